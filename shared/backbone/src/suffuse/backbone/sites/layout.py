"""Layouts: where the parts of a denoiser are, one line for each class.

A layout is all that has to be known of a class beforehand. What its blocks take and give back, and in which order they
run, is seen in one forward pass (`probe.py`).
"""

from dataclasses import dataclass

from torch import nn

from suffuse.backbone.sites.errors import UnknownDenoiserError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Paths into a model, all relative to it and with dots: `"blocks"`, `"mode_blocks.image"`.

    A path leads to one module, or to a list (of lists) or dictionary of modules, each of which is then a site.

    Attributes:
        blocks: Modules that pass on a stream of features: what comes out has the shape of what went in.
        stages: The stages of a UNet from the input to the output: down, middle, up.
        attention: Names of attention modules inside a block or stage; with none, they are known by their class.
        feed_forward: The same for feed-forward modules.

    Raises ValueError if there are neither blocks nor stages.
    """

    blocks: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    feed_forward: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.blocks and not self.stages:
            raise ValueError("a layout needs blocks or stages, got neither")


_registered: dict[str, Layout] = {}


def register(denoiser: type[nn.Module] | str, layout: Layout) -> None:
    """Make a class of denoisers known, given as itself or by its name. A later call for the same class replaces it."""
    _registered[denoiser if isinstance(denoiser, str) else denoiser.__name__] = layout


def layout_of(model: nn.Module) -> Layout:
    """The layout of a model's class, or of the nearest of its bases that has one.

    Raises UnknownDenoiserError, which spells out the line to write.
    """
    from suffuse.backbone.sites.table import LAYOUTS

    for base in type(model).__mro__:
        layout = _registered.get(base.__name__) or LAYOUTS.get(base.__name__)
        if layout is not None:
            return layout
    raise UnknownDenoiserError(type(model).__name__, suggested_blocks(model))


def suggested_blocks(model: nn.Module) -> tuple[str, ...]:
    """Paths of the lists of two or more modules of one class that lie outermost in a model, the longest list first."""
    found: list[tuple[int, str]] = []
    for name, module in model.named_modules():
        inside_one = any(name.startswith(f"{outer}.") for _, outer in found)
        if isinstance(module, nn.ModuleList) and not inside_one and len({type(part) for part in module}) == 1:
            found.append((len(module), name))
    return tuple(name for length, name in sorted(found, key=lambda item: -item[0]) if length > 1)
