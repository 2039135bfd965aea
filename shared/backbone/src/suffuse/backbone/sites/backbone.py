"""One view over any denoiser: its sites, found by layout and class."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from suffuse.backbone.sites.errors import SitesError
from suffuse.backbone.sites.layout import Layout, layout_of

SiteKind = Literal["block", "attention", "feed_forward", "stage", "layer", "unit"]

ATTENTION = re.compile(r"Attention|Attn(?!.*Block$)")
FEED_FORWARD = re.compile(r"FeedForward|FFN|M[Ll][Pp]$|GLUMBConv|SwiGLU|MoE|GatedMLP")
STAGE_LISTS = ("resnets", "attentions", "motion_modules", "temp_convs", "temp_attentions")


@dataclass(frozen=True, eq=False)
class Site:
    """A place where a shortcut can step in: one module of the denoiser.

    Attributes:
        name: Its path in the model.
        kind: `block`: passes streams on; `attention` and `feed_forward`: parts of a block or stage; `stage`: one of
            the down, middle and up stages of a UNet; `layer`: a residual or attention layer of a stage; `unit`: a
            single operation of a stage, in no list of sites, for shortcuts that name their own.
        module: The module itself.
        owner: Name of the block or stage it is part of; its own name for a block or stage.
    """

    name: str
    kind: SiteKind
    module: nn.Module
    owner: str


class Backbone:
    """The sites of a denoiser. The model is looked at, not changed.

    A model wrapped by torch.compile or DistributedDataParallel is looked through: `model` is the module inside.

    Raises UnknownDenoiserError if no layout is given and none is known, SitesError if the layout does not fit.
    """

    def __init__(self, model: nn.Module, layout: Layout | None = None) -> None:
        self.model = unwrapped(model)
        self.layout = layout or layout_of(self.model)
        self.sites: tuple[Site, ...] = tuple(self._find())

    def of_kind(self, *kinds: SiteKind) -> tuple[Site, ...]:
        """The sites of these kinds, in the order of the layout and, inside a block, of its modules."""
        return tuple(site for site in self.sites if site.kind in kinds)

    def _find(self) -> Iterator[Site]:
        for path in self.layout.blocks:
            for name, module in self._reach(path):
                yield Site(name, "block", module, name)
                yield from self._parts(name, module)
        for path in self.layout.stages:
            for name, module in self._reach(path):
                yield Site(name, "stage", module, name)
                layers = {f"{part}.{i}": layer for part in STAGE_LISTS for i, layer in _numbered(module, part)}
                yield from (Site(f"{name}.{inner}", "layer", layer, name) for inner, layer in layers.items())
                yield from (part for part in self._parts(name, module) if part.module not in layers.values())

    def _reach(self, path: str) -> list[tuple[str, nn.Module]]:
        found: object = self.model
        for step in path.split("."):
            found = getattr(found, step, None) if not isinstance(found, nn.ModuleDict) else found[step]
        if found is None:  # optional parts: a refiner that the configuration left out
            if not any(hasattr(self.model, other.split(".")[0]) for other in self.layout.blocks + self.layout.stages):
                raise SitesError(f"{type(self.model).__name__} has no {path!r}, where its layout says blocks are")
            return []
        assert isinstance(found, nn.Module)
        return list(_leaves(path, found))

    def _parts(self, name: str, module: nn.Module) -> Iterator[Site]:
        """Attention and feed-forward modules inside `module`, only the outermost where they nest."""
        taken: list[str] = []
        for inner, part in module.named_modules():
            if not inner or any(inner.startswith(f"{outer}.") for outer in taken):
                continue
            kind = self._kind(inner, part)
            if kind is not None:
                taken.append(inner)
                yield Site(f"{name}.{inner}", kind, part, name)

    def _kind(self, name: str, module: nn.Module) -> Literal["attention", "feed_forward"] | None:
        if self.layout.attention or self.layout.feed_forward:
            if name in self.layout.attention:
                return "attention"
            return "feed_forward" if name in self.layout.feed_forward else None
        title = type(module).__name__
        if ATTENTION.search(title) and not isinstance(module, nn.ModuleList) and not title.endswith("Processor"):
            return "attention"
        return "feed_forward" if FEED_FORWARD.search(title) else None


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside torch.compile's and DistributedDataParallel's wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _numbered(stage: nn.Module, name: str) -> Iterator[tuple[int, nn.Module]]:
    """The modules in a list of a stage, with their numbers; nothing if the stage has no such list."""
    layers = getattr(stage, name, None)
    if isinstance(layers, nn.ModuleList):
        yield from ((i, layer) for i, layer in enumerate(layers) if layer is not None)


def _leaves(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """A module, or the modules of a list or dictionary of them, however deep."""
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        for inner, part in module.named_children():
            yield from _leaves(f"{name}.{inner}", part)
    else:
        yield name, module
