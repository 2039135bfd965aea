"""The hidden Markov model: fixes to a path of segments, by the library fastmm (extra `match`).

fastmm is the fast map matching of Yang and Gidofalvi (2018): candidate segments for each fix, a normal error, and
transitions weighed by the straight distance over the shortest way, which a table of all ways up to a reach gives.

The table grows with the square of the number of nodes within reach, so segments that follow each other without a choice
are one here. Dimensions: s segments, m fixes.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Bool, Float
from numpy import ndarray

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching.config import MatchConfig
from suffuse.trajectory.roads.contract import chains, part_of
from suffuse.trajectory.roads.network import RoadNetwork


@dataclass(frozen=True)
class Stretch:
    """Some consecutive fixes of a trace, and the way they lie on."""

    first: int
    """Position of the first fix; the last is `first + len(travelled) - 1`."""
    path: list[int]
    """Segment indices."""
    travelled: list[float]
    """Metres from the start of the path to each fix; a fix may lie a little behind the one before."""
    off_m: list[float]
    """Metres from each fix to its segment."""


class Matcher:
    """fastmm with the segments of a network where `near` is true; `folder` keeps its table of ways, for others with the
    same arguments.

    Raises:
        TripError: if fastmm is not installed.

    """

    def __init__(
        self, network: RoadNetwork, config: MatchConfig, reach_m: float, near: Bool[ndarray, " s"], folder: Path
    ) -> None:
        library = _fastmm()
        self._library, self.config, self.reach_m = library, config, reach_m
        usable = np.flatnonzero(near)
        lines = shapely.transform(network.geometry, network.to_metres)
        self.length_m = shapely.length(lines)
        here = part_of(network, near)
        self._members = [usable[chain].tolist() for chain in chains(here, np.zeros(len(usable)))]
        self._length = [float(self.length_m[members].sum()) for members in self._members]
        self._open_lines = shapely.STRtree(lines[usable])
        with _quiet_stdout():
            self._roads = library.Network()  # the model points to it and does not keep it alive
            for number, members in enumerate(self._members):
                corners = shapely.get_coordinates(lines[members]).tolist()
                self._roads.add_edge(
                    number,
                    source=int(network.from_node[members[0]]),
                    target=int(network.to_node[members[-1]]),
                    geom=list(map(tuple, corners)),
                )
            self._roads.finalize()
            self._model = library.FastMapMatch(
                self._roads,
                library.TransitionMode.SHORTEST,
                max_distance_between_candidates=reach_m,
                cache_dir=str(folder),
            )

    def __call__(self, xy: Float[ndarray, "m 2"]) -> list[Stretch]:
        """The stretches of a trace that have a way, in order; one that covers all fixes if all is well."""
        found = self._model.match(
            self._library.Trajectory.from_xy_tuples(list(map(tuple, xy.tolist()))),
            max_candidates=self.config.candidates,
            candidate_search_radius=self.config.radius_m,
            gps_error=self.config.gps_error_m,
            reverse_tolerance=self.config.reverse_m,
        ).subtrajectories
        good = self._library.MatchErrorCode.SUCCESS
        parts = [part for part in found if part.error_code == good and part.end_index > part.start_index]
        return sorted((self._stretch(part) for part in parts), key=lambda stretch: stretch.first)

    def distance_to_road(self, xy: Float[ndarray, "m 2"]) -> Float[ndarray, " m"]:
        """Metres from each point to the nearest segment."""
        return self._open_lines.query_nearest(shapely.points(xy), all_matches=False, return_distance=True)[1]

    def _stretch(self, part: Any) -> Stretch:
        pieces = part.segments
        begin = pieces[0].p0
        on, travelled, off = (
            list[int](),
            [begin.offset_from_start_of_edge],
            [begin.perpendicular_distance_to_matched_geometry],
        )
        behind = 0.0
        for piece in pieces:
            edges = [edge.edge_id for edge in piece.edges]
            if on and edges and edges[0] == on[-1]:
                edges = edges[1:]
            for edge in edges:
                behind += self._length[on[-1]] if on else 0.0
                on.append(edge)
            end = piece.p1
            travelled.append(behind + end.offset_from_start_of_edge)
            off.append(end.perpendicular_distance_to_matched_geometry)
        path = [segment for chain in on for segment in self._members[chain]]
        return Stretch(part.start_index, path, travelled, off)


def _fastmm() -> Any:
    try:
        return importlib.import_module("fastmm")
    except ImportError as error:
        raise TripError(
            "GPS points are matched to roads with fastmm, which is not installed: "
            "pip install 'suffuse-trajectory[match]'"
        ) from error


@contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Nothing on file descriptor 1: fastmm logs its every step there, where a command prints its results."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
