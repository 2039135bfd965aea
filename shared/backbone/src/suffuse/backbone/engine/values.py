"""Keeping what a site returned, to hand it out again in later steps."""

from collections.abc import Hashable
from typing import Any

from torch import Tensor


class ValueCache:
    """Outputs of sites (tensors, tuples, lists, dictionaries of them) by key.

    Nothing is copied where that is safe: a tensor knows whether it was written to since (not so in inference mode,
    where everything is copied). An output that was written to is not handed out; from then on that key is copied.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[Any, list[int]]] = {}
        self._written: set[Hashable] = set()

    def put(self, key: Hashable, output: Any) -> None:
        """Keep an output."""
        if key in self._written or any(tensor.is_inference() for tensor in _tensors(output)):
            self._written.add(key)
            output = _copied(output)
        self._kept[key] = (output, _versions(output))

    def get(self, key: Hashable) -> tuple[bool, Any]:
        """The output that was kept last, and whether there is one."""
        if key not in self._kept:
            return False, None
        output, versions = self._kept[key]
        if key in self._written:
            return True, _copied(output)
        if versions != _versions(output):
            self._written.add(key)
            del self._kept[key]
            return False, None
        return True, output

    def drop(self, key: Hashable) -> None:
        """Forget an output."""
        self._kept.pop(key, None)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, tuple | list) else []


def _versions(value: Any) -> list[int]:
    return [tensor._version for tensor in _tensors(value) if not tensor.is_inference()]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return type(value)({key: _copied(item) for key, item in value.items()})
    return type(value)(_copied(item) for item in value) if isinstance(value, tuple | list) else value
