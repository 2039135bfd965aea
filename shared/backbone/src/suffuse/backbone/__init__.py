"""What the suffuse tasks share: backbones, block diffusion, training, and shortcuts at sampling time.

Nothing is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suffuse.backbone.acceleration import accelerate

__all__ = ["accelerate"]


def __getattr__(name: str) -> Any:
    if name == "accelerate":
        from suffuse.backbone.acceleration import accelerate

        return accelerate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
