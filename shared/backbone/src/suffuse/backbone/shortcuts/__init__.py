"""Accelerators at sampling time, one file each: plug-ins over the sites of a denoiser."""

from suffuse.backbone.shortcuts.block_adaptive_cache import (
    BlockAdaptiveCache,
    PartStatistics,
    best_updates,
    bubbling_union,
    counted_late,
    schedule_updates,
    shared_updates,
)
from suffuse.backbone.shortcuts.centroid_attention import CentroidAttention
from suffuse.backbone.shortcuts.clustered_attention import Centroids, Work, cluster, clustered_attention, first_centres
from suffuse.backbone.shortcuts.delta_cache import DeltaCache, DeltaPlan, plan_deltas, spans_between
from suffuse.backbone.shortcuts.elastic_routers import WIDTHS, Decision, Router, Routers, elastic_parts
from suffuse.backbone.shortcuts.elastic_routing import BlockHistory, ElasticRouting
from suffuse.backbone.shortcuts.elastic_training import RelaxedRouting, routing_loss, set_prices
from suffuse.backbone.shortcuts.elastic_width import (
    FeedForwardShape,
    Neurons,
    feed_forward_shape,
    masked_hidden,
    narrowed,
    sort_neurons,
)
from suffuse.backbone.shortcuts.feature_inheritance import FeatureInheritance, plan_inheritance, units
from suffuse.backbone.shortcuts.forecast_cache import (
    DeltaRecorder,
    ForecastCache,
    RunSchedule,
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
    "WIDTHS",
    "BlockAdaptiveCache",
    "BlockHistory",
    "CentroidAttention",
    "Centroids",
    "Decision",
    "DeltaCache",
    "DeltaPlan",
    "DeltaRecorder",
    "ElasticRouting",
    "FeatureInheritance",
    "FeedForwardShape",
    "Feedback",
    "ForecastCache",
    "InnerLoopFeedback",
    "Neurons",
    "PartStatistics",
    "Recorder",
    "RelaxedRouting",
    "Router",
    "Routers",
    "RunSchedule",
    "Work",
    "best_runs",
    "best_updates",
    "bubbling_union",
    "cluster",
    "clustered_attention",
    "counted_late",
    "elastic_parts",
    "even_runs",
    "feed_forward_shape",
    "first_centres",
    "foretelling_error",
    "least_squares",
    "masked_hidden",
    "narrowed",
    "plan_deltas",
    "plan_inheritance",
    "polynomial_weights",
    "routing_loss",
    "schedule_runs",
    "schedule_updates",
    "set_prices",
    "shared_updates",
    "shortcut",
    "sort_neurons",
    "spans_between",
    "units",
]
