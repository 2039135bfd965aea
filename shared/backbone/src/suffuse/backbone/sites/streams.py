"""Streams: which arguments of a block come back from it, changed, and where.

Diffusion transformers pass one residual stream from block to block, or several (image and text, video and audio), by
names and in orders of their own; the last block may return None for a stream that nobody needs any more. What a block
returns beside its streams (a cache of keys, say) is an extra.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Stream:
    """Argument `argument` of a block comes back at place `position` of what it returns."""

    argument: str
    position: int


@dataclass(frozen=True)
class Streams:
    """The contract of one block.

    Attributes:
        streams: The streams, those that come back as None left out.
        size: How many values the block returns; 0 if it returns a tensor and no tuple.
        ended: Places that hold None.
        kind: `tuple` or `list` for a block with `size` > 0.
    """

    streams: tuple[Stream, ...]
    size: int
    ended: tuple[int, ...] = ()
    kind: type = tuple

    @property
    def extras(self) -> tuple[int, ...]:
        """Places that hold neither a stream nor None."""
        taken = {stream.position for stream in self.streams} | set(self.ended)
        return tuple(place for place in range(max(self.size, 1)) if place not in taken)

    def pack(self, values: Mapping[int, Any]) -> Any:
        """What the block would return with these values at their places, None elsewhere."""
        if not self.size:
            return values[0]
        return self.kind(values.get(place) for place in range(self.size))


def unpack(output: Any) -> list[Any]:
    """The values that a block returned, as a list of one for a bare value."""
    return list(output) if isinstance(output, tuple | list) else [output]


@cache
def parameter_names(forward: Callable[..., Any]) -> tuple[str, ...]:
    """The names by which a `forward`, taken from its class, takes its positional arguments."""
    parameters = list(inspect.signature(forward).parameters.values())[1:]
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def bind(kind: type[nn.Module], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name; surplus positional ones are left out."""
    return dict(zip(parameter_names(kind.forward), args, strict=False)) | dict(kwargs)


def streams_of(block: nn.Module, arguments: Mapping[str, Any], output: Any, hints: Mapping[str, int]) -> Streams:
    """Read the contract of a block from one call.

    A value belongs to the first argument of its shape and type for which these speak, in this order: `hints`, an
    argument's name with the place where it was seen to come back; what diffusers says of the class; the names that
    diffusers' own blocks use; the order of the arguments.
    """
    values = unpack(output)
    told = dict(hints) or _told_by_diffusers(type(block))
    free = [name for name, value in arguments.items() if isinstance(value, Tensor)]
    free.sort(key=lambda name: (name not in told, name != "hidden_states", name != "encoder_hidden_states"))
    streams = []
    for place in sorted(range(len(values)), key=lambda place: place not in told.values()):
        value = values[place]
        fitting = [name for name in free if told.get(name, place) == place and _alike(arguments[name], value)]
        if fitting:
            streams.append(Stream(fitting[0], place))
            free.remove(fitting[0])
    streams.sort(key=lambda stream: stream.position)
    is_sequence = isinstance(output, tuple | list)
    return Streams(
        tuple(streams),
        len(values) if is_sequence else 0,
        tuple(place for place, value in enumerate(values) if value is None),
        list if isinstance(output, list) else tuple,
    )


def _alike(argument: Tensor, value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and argument.shape == value.shape
        and argument.is_floating_point() == value.is_floating_point()
    )


def _told_by_diffusers(kind: type[nn.Module]) -> dict[str, int]:
    """Argument and place of the streams of the blocks in diffusers' own register of blocks."""
    try:
        from diffusers.hooks._helpers import TransformerBlockRegistry

        metadata = TransformerBlockRegistry.get(kind)
    except (ImportError, ValueError):
        return {}
    places = {
        metadata.hidden_states_argument_name: metadata.return_hidden_states_index,
        metadata.encoder_hidden_states_argument_name: metadata.return_encoder_hidden_states_index,
    }
    return {name: place for name, place in places.items() if place is not None}
