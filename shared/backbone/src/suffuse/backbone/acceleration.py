"""The front door: shortcuts on a diffusers pipeline, or on a denoiser in a loop of one's own."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from suffuse.backbone.engine.clock import Clock, PipelineClock
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.session import Session
from suffuse.backbone.engine.shortcut import Shortcut
from suffuse.backbone.shortcuts.registry import shortcut as by_name
from suffuse.backbone.sites import Backbone, UnknownDenoiserError, unwrapped
from suffuse.backbone.sites.layout import layout_of


def accelerate(
    target: Any,
    shortcut: str | Shortcut | Sequence[Shortcut] = "delta-cache",
    *,
    budget: float | None = None,
    steps: int | None = None,
    calls_per_step: int = 1,
) -> Session:
    """Make sampling cheaper as long as the returned session is open.

    ```python
    with accelerate(pipeline, "delta-cache", budget=0.6) as session:
        image = pipeline("a lighthouse").images[0]
    print(session.report())
    ```

    Args:
        target: A diffusers pipeline, all of whose denoisers are accelerated, or a denoiser by itself.
        shortcut: Name of a shortcut, a shortcut with settings of its own, or several of these to be combined.
        budget: Share of the full work that a generation may take, in (0, 1]; only with a name. 1 runs everything.
        steps: Number of steps of a generation. A pipeline says it by itself; for a denoiser it must be given.
        calls_per_step: Calls of a bare denoiser in each step, 2 if the branches of guidance are called one by one.
            Whoever tells the session each step by `session.step(i)` need not give it.

    Raises ShortcutError for values outside their ranges and shortcuts that do not fit the model or each other,
    UnknownDenoiserError for a model that is not in the table (see `suffuse.backbone.sites.register`).
    """
    models = denoisers(target)
    clock: Clock
    if isinstance(target, nn.Module):
        if steps is None:
            raise ShortcutError("steps is missing: a denoiser by itself does not know how many steps it is called for")
        clock = Clock(steps, calls_per_step)
    else:
        clock = PipelineClock(target, steps)
    return Session([Backbone(model) for model in models], _shortcuts(shortcut, budget), clock)


def denoisers(target: Any) -> list[nn.Module]:
    """The denoisers of a pipeline, or the one that was given.

    Raises UnknownDenoiserError for a model of an unknown class, ShortcutError for a pipeline without any that is known.
    """
    if isinstance(target, nn.Module):
        return [target]
    components = getattr(target, "components", None)
    if not isinstance(components, dict) or not hasattr(target, "scheduler"):
        raise ShortcutError(f"a pipeline with a scheduler or a denoiser is needed, got a {type(target).__name__}")
    modules = {name: part for name, part in components.items() if isinstance(part, nn.Module)}
    found = [part for part in modules.values() if _known(part)]
    if not found:
        for name in ("transformer", "unet", "prior"):
            if name in modules:
                layout_of(unwrapped(modules[name]))  # raises, and says what to write
        raise ShortcutError(
            f"a {type(target).__name__} has no denoiser, only {', '.join(sorted(modules)) or 'nothing'}"
        )
    return found


def _known(module: nn.Module) -> bool:
    try:
        layout_of(unwrapped(module))
    except UnknownDenoiserError:
        return False
    return True


def _shortcuts(shortcut: str | Shortcut | Sequence[Shortcut], budget: float | None) -> list[Shortcut]:
    if isinstance(shortcut, str):
        return [by_name(shortcut, **({} if budget is None else {"budget": budget}))]
    if budget is not None:
        raise ShortcutError("budget goes with the name of a shortcut; a shortcut that is given as such has its own")
    return [shortcut] if isinstance(shortcut, Shortcut) else list(shortcut)
