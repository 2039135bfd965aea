"""Accelerators at sampling time, one file each: plug-ins over the sites of a denoiser."""

from suffuse.backbone.shortcuts.delta_cache import DeltaCache, DeltaPlan, plan_deltas, spans_between
from suffuse.backbone.shortcuts.registry import SHORTCUTS, shortcut

__all__ = ["SHORTCUTS", "DeltaCache", "DeltaPlan", "plan_deltas", "shortcut", "spans_between"]
