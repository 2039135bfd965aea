"""Accelerators at sampling time, one file each: plug-ins over the sites of a denoiser."""

from suffuse.backbone.shortcuts.block_adaptive_cache import (
    BlockAdaptiveCache,
    PartStatistics,
    best_updates,
    bubbling_union,
    schedule_updates,
)
from suffuse.backbone.shortcuts.centroid_attention import CentroidAttention
from suffuse.backbone.shortcuts.clustered_attention import Centroids, Work, cluster, clustered_attention, first_centres
from suffuse.backbone.shortcuts.delta_cache import DeltaCache, DeltaPlan, plan_deltas, spans_between
from suffuse.backbone.shortcuts.feature_inheritance import FeatureInheritance, plan_inheritance
from suffuse.backbone.shortcuts.forecast_cache import (
    DeltaRecorder,
    ForecastCache,
    best_runs,
    even_runs,
    foretelling_error,
    least_squares,
    polynomial_weights,
    schedule_runs,
)
from suffuse.backbone.shortcuts.inner_loop_feedback import Feedback, InnerLoopFeedback
from suffuse.backbone.shortcuts.recorder import Recorder
from suffuse.backbone.shortcuts.registry import SHORTCUTS, shortcut

__all__ = [
    "SHORTCUTS",
    "BlockAdaptiveCache",
    "CentroidAttention",
    "Centroids",
    "DeltaCache",
    "DeltaPlan",
    "DeltaRecorder",
    "FeatureInheritance",
    "Feedback",
    "ForecastCache",
    "InnerLoopFeedback",
    "PartStatistics",
    "Recorder",
    "Work",
    "best_runs",
    "best_updates",
    "bubbling_union",
    "cluster",
    "clustered_attention",
    "even_runs",
    "first_centres",
    "foretelling_error",
    "least_squares",
    "plan_deltas",
    "plan_inheritance",
    "polynomial_weights",
    "schedule_runs",
    "schedule_updates",
    "shortcut",
    "spans_between",
]
