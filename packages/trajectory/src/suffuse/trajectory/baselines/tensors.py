"""Tensors of a baseline's file, checked one by one: nobody knows who has written it."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def counts(
    tensors: dict[str, ndarray], name: str, *, size: int | tuple[int, ...], above_zero: bool = False
) -> Float[ndarray, "..."]:
    """A tensor of that size with finite numbers of 0 or more, or above 0. Raises ValueError for any other."""
    values = _of_size(tensors, name, size)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"{name} holds numbers that are not finite and 0 or more")
    if above_zero and not values.all():
        raise ValueError(f"{name} holds a 0, but all of it must be above")
    return values.astype(np.float64)


def whole_numbers(tensors: dict[str, ndarray], name: str, *, below: int, size: int | None = None) -> Int[ndarray, " m"]:
    """A list of whole numbers from 0 to less than `below`. Raises ValueError for any other tensor."""
    values = _of_size(tensors, name, size)
    if values.dtype.kind not in "iu" or not ((values >= 0) & (values < below)).all():
        raise ValueError(f"{name} holds what is no whole number from 0 to {below - 1}")
    return values.astype(np.int64)


def _of_size(tensors: dict[str, ndarray], name: str, size: int | tuple[int, ...] | None) -> ndarray:
    if name not in tensors:
        raise ValueError(f"it has no {name}")
    values = tensors[name]
    shape = values.shape[:1] if size is None else size if isinstance(size, tuple) else (size,)
    if values.shape != shape:
        raise ValueError(f"{name} has the shape {values.shape}, but must have {shape}")
    return values
