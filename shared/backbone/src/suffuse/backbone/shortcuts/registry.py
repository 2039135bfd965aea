"""Shortcuts by name."""

from dataclasses import MISSING, fields

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Shortcut
from suffuse.backbone.shortcuts.block_adaptive_cache import BlockAdaptiveCache
from suffuse.backbone.shortcuts.centroid_attention import CentroidAttention
from suffuse.backbone.shortcuts.delta_cache import DeltaCache
from suffuse.backbone.shortcuts.elastic_routing import ElasticRouting
from suffuse.backbone.shortcuts.feature_inheritance import FeatureInheritance
from suffuse.backbone.shortcuts.forecast_cache import ForecastCache
from suffuse.backbone.shortcuts.inner_loop_feedback import InnerLoopFeedback

SHORTCUTS: dict[str, type[Shortcut]] = {
    kind.name: kind
    for kind in (
        BlockAdaptiveCache,
        CentroidAttention,
        DeltaCache,
        ElasticRouting,
        FeatureInheritance,
        ForecastCache,
        InnerLoopFeedback,
    )
}


def shortcut(name: str, **settings: object) -> Shortcut:
    """The shortcut of this name with these settings. Raises ShortcutError for a name or setting there is not."""
    if name not in SHORTCUTS:
        raise ShortcutError(f"there is no shortcut {name!r}; there are {', '.join(sorted(SHORTCUTS))}")
    kind = SHORTCUTS[name]
    known = {field.name for field in fields(kind) if field.init}
    if "budget" in settings and "budget" not in known:
        raise ShortcutError(f"{name} has to be calibrated for a budget first; see suffuse.backbone.calibrate")
    for setting in settings:
        if setting not in known:
            raise ShortcutError(f"{name} has no setting {setting!r}; it has {', '.join(sorted(known))}")
    for field in fields(kind):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in settings:
            raise ShortcutError(f"{name} needs {field.name}")
    return kind(**settings)
