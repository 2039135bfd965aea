"""The segments of a network as polylines in metres, all in two flat arrays.

Dimensions: s segments, p points of all segments together.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.roads.network import RoadNetwork

SHARPEST = 2.0
"""A parallel line stays within this many times its distance where a street bends sharply."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """s polylines as a ragged table: line i is rows `start[i]:start[i + 1]` of `xy`."""

    xy: Float[ndarray, "p 2"]
    """Metres east and north of the network's middle."""
    start: Int[ndarray, " bounds"]
    """s + 1 offsets into the points."""

    @staticmethod
    def of(network: RoadNetwork) -> "Lines":
        """Project the geometry of every segment, in the direction of travel."""
        lonlat, owner = shapely.get_coordinates(network.geometry, return_index=True)
        start = np.searchsorted(owner, np.arange(len(network) + 1))
        return Lines(xy=network.to_metres(lonlat), start=start)

    def __len__(self) -> int:
        return len(self.start) - 1

    @cached_property
    def low(self) -> Float[ndarray, "s 2"]:
        """The south-western corner of the box around each line."""
        return np.minimum.reduceat(self.xy, self.start[:-1])

    @cached_property
    def high(self) -> Float[ndarray, "s 2"]:
        """The north-eastern corner of the box around each line."""
        return np.maximum.reduceat(self.xy, self.start[:-1])

    def line(self, row: int) -> Float[ndarray, "q 2"]:
        """The points of one line."""
        return self.xy[self.start[row] : self.start[row + 1]]

    def path(self, rows: Int[ndarray, " r"]) -> Float[ndarray, "q 2"]:
        """The points of several lines driven one after the other."""
        return np.concatenate([self.line(int(row)) for row in rows])

    def middle(self, row: int) -> Float[ndarray, "2"]:
        """The point halfway along one line."""
        return shapely.get_coordinates(
            shapely.line_interpolate_point(shapely.linestrings(self.line(row)), 0.5, normalized=True)
        )[0]

    def moved_right(self, metres: Float[ndarray, " s"]) -> "Lines":
        """Each line moved sideways, to the right of its direction, corners mitred.

        Two directions of one street moved so lie side by side, as in every band diagram of traffic.
        """
        owner = np.repeat(np.arange(len(self)), np.diff(self.start))
        step = np.diff(self.xy, axis=0)
        length = np.hypot(*step.T)
        inside = (owner[1:] == owner[:-1]) & (length > 0)
        along = np.where(inside[:, None], step / np.where(length > 0, length, 1)[:, None], 0.0)
        both = np.zeros_like(self.xy)
        both[:-1] += along
        both[1:] += along
        size = np.hypot(*both.T)
        heading = both / np.where(size > 0, size, 1)[:, None]
        edges = np.zeros(len(self.xy))
        edges[:-1] += inside
        edges[1:] += inside
        # |a + b| is 2 cos(turn / 2): a mitred corner lies 1 / cos(turn / 2) times as far out.
        mitre = np.clip(edges / np.where(size > 0, size, 1), 1.0, SHARPEST)
        right = np.stack([heading[:, 1], -heading[:, 0]], axis=-1)
        return Lines(xy=self.xy + right * (mitre * metres[owner])[:, None], start=self.start)
