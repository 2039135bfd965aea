"""Training, validation and test trips that share no pair of origin and destination cells.

Dimensions: k trips, r rows of one part.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.demand.zones import grid_cells
from suffuse.trajectory.errors import TrajectoryError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}
"""Parts and their shares of the cell pairs, by default."""


class OdCellSplit:
    """Which part each ordered pair of origin and destination cells belongs to, by a hash of the two cells.

    The part depends on the places, the seed and the shares alone: not on which trips there are.
    """

    def __init__(
        self,
        network: RoadNetwork,
        *,
        cell_m: float = 500.0,
        fractions: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        """Check the shares (each above 0, sum 1) and lay the grid."""
        shares = FRACTIONS if fractions is None else fractions
        if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-9:
            raise TrajectoryError(f"fractions are {shares}, but must all be above 0 and add up to 1")
        if not cell_m > 0:
            raise TrajectoryError(f"cell_m is {cell_m}, but must be above 0")
        self.parts = tuple(shares)
        self._limits = np.cumsum([*shares.values()])[:-1]
        self._cells = grid_cells(network, cell_m).astype(np.uint64)
        self._seed = np.uint64(seed)

    def part_of(self, origin: Int[ndarray, " k"], destination: Int[ndarray, " k"]) -> Int[ndarray, " k"]:
        """Index in `parts` of each pair of segment indices."""
        mixed = _splitmix(
            _splitmix(self._cells[origin] + _splitmix(np.atleast_1d(self._seed))) + self._cells[destination]
        )
        uniform = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
        return np.searchsorted(self._limits, uniform, side="right")


def split_by_od_cell(
    network: RoadNetwork,
    trips: Trips,
    *,
    cell_m: float = 500.0,
    fractions: dict[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Int[ndarray, " r"]]:
    """Rows of `trips` in each part; all trips between the same two cells (in this order) are in one part.

    Args:
        network: the network of the trips.
        trips: what to split.
        cell_m: side of the square cells, metres.
        fractions: part names and shares of the cell pairs; train .8, val .1, test .1 unless given.
        seed: another seed, another split.

    Raises:
        TrajectoryError: if the shares are not above 0 with sum 1, or `cell_m` is not above 0.

    """
    split = OdCellSplit(network, cell_m=cell_m, fractions=fractions, seed=seed)
    part = split.part_of(trips.origin, trips.destination)
    order = np.argsort(part, kind="stable")
    bounds = np.searchsorted(part[order], np.arange(len(split.parts) + 1))
    return {name: order[low:high] for name, (low, high) in zip(split.parts, pairwise(bounds.tolist()), strict=True)}


def _splitmix(x: ndarray) -> ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014): a well-mixed 64-bit hash."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
