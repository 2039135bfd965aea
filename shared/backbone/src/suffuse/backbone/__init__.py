"""What the suffuse tasks share: backbones, block diffusion, training, and shortcuts at sampling time.

Nothing is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suffuse.backbone.acceleration import accelerate
    from suffuse.backbone.calibration import Calibration, calibrate
    from suffuse.backbone.threads import use_threads

__all__ = ["Calibration", "accelerate", "calibrate", "use_threads"]

_HOMES = {
    "accelerate": "acceleration",
    "calibrate": "calibration",
    "Calibration": "calibration",
    "use_threads": "threads",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
