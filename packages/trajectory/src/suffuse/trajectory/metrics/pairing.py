"""Which generated trip is compared with which real one: trips of the same request, the i-th with the i-th.

Dimensions: a, b trips of two sets; k pairs.
"""

from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.demand.zones import grid_cells
from suffuse.trajectory.roads.network import RoadNetwork

CELL_M = 200.0
"""Edge of the square cells of HOSER's published evaluation code."""

Pairing = Literal["segments", "cells"]
"""What two trips of one request have in common: first and last segment, or only the cells that these lie in."""


def request_keys(
    network: RoadNetwork, origin: Int[ndarray, " a"], destination: Int[ndarray, " a"], pairing: Pairing
) -> Int[ndarray, " a"]:
    """One number a trip, equal for trips of the same request."""
    if pairing == "segments":
        return origin.astype(np.int64) * len(network) + destination
    names, cell = np.unique(grid_cells(network, CELL_M), return_inverse=True)
    return cell[origin].astype(np.int64) * len(names) + cell[destination]


def occurrence(keys: Int[ndarray, " a"]) -> Int[ndarray, " a"]:
    """How many earlier trips have the same key."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.append(True, ordered[1:] != ordered[:-1])[: len(keys)]
    position = np.arange(len(keys))
    out = np.empty(len(keys), dtype=np.int64)
    out[order] = position - np.maximum.accumulate(np.where(new, position, 0))
    return out


def pair_up(first: Int[ndarray, " a"], second: Int[ndarray, " b"]) -> Int[ndarray, "k 2"]:
    """Rows of the i-th trip of each key in `first` beside the i-th of that key in `second`; the rest has no partner."""
    names, merged = np.unique(np.concatenate([first, second]), return_inverse=True)
    rank = np.concatenate([occurrence(first), occurrence(second)])
    combined = rank * len(names) + merged
    _, left, right = np.intersect1d(
        combined[: len(first)], combined[len(first) :], assume_unique=True, return_indices=True
    )
    order = np.argsort(left)
    return np.stack([left[order], right[order]], axis=-1).astype(np.int64)


def twice(keys: Int[ndarray, " a"]) -> Int[ndarray, "k 2"]:
    """Rows of the first and the second trip of every key that occurs more than once."""
    rank = occurrence(keys)
    first, second = np.flatnonzero(rank == 0), np.flatnonzero(rank == 1)
    _, left, right = np.intersect1d(keys[first], keys[second], assume_unique=True, return_indices=True)
    return np.stack([first[left], second[right]], axis=-1).astype(np.int64)
