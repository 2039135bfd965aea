"""Accelerators at sampling time, one file each: plug-ins over the sites of a denoiser."""

from suffuse.backbone.shortcuts.block_adaptive_cache import (
    BlockAdaptiveCache,
    PartStatistics,
    best_updates,
    bubbling_union,
    schedule_updates,
)
from suffuse.backbone.shortcuts.delta_cache import DeltaCache, DeltaPlan, plan_deltas, spans_between
from suffuse.backbone.shortcuts.feature_inheritance import FeatureInheritance, plan_inheritance
from suffuse.backbone.shortcuts.recorder import Recorder
from suffuse.backbone.shortcuts.registry import SHORTCUTS, shortcut

__all__ = [
    "SHORTCUTS",
    "BlockAdaptiveCache",
    "DeltaCache",
    "DeltaPlan",
    "FeatureInheritance",
    "PartStatistics",
    "Recorder",
    "best_updates",
    "bubbling_union",
    "plan_deltas",
    "plan_inheritance",
    "schedule_updates",
    "shortcut",
    "spans_between",
]
