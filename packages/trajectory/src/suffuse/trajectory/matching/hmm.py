"""The matcher: fixes to ways over a network, by a hidden Markov model.

Dimensions: s segments, m fixes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float, Int
from numpy import ndarray

from suffuse.trajectory.matching.candidates import candidates_of
from suffuse.trajectory.matching.config import MatchConfig
from suffuse.trajectory.matching.graph import graph_of
from suffuse.trajectory.matching.stretches import Stretches, stretches
from suffuse.trajectory.matching.viterbi import likeliest
from suffuse.trajectory.matching.ways import Ways
from suffuse.trajectory.roads.network import RoadNetwork


@dataclass(frozen=True)
class Stretch:
    """Some consecutive fixes of a trace, and the way they lie on."""

    first: int
    """Position of the first fix; the last is `first + len(travelled) - 1`."""
    path: Int[ndarray, " l"]
    """Segment indices."""
    travelled: Float[ndarray, " k"]
    """Metres from the start of the path to each fix; a fix may lie a little behind the one before."""
    off_m: Float[ndarray, " k"]
    """Metres from each fix to its segment."""
    log_likelihood: float
    """Of way and fixes, but for a constant."""


class Matcher:
    """Matches traces to the open segments of a network, with ways of at most `reach_m` between two fixes."""

    def __init__(self, network: RoadNetwork, config: MatchConfig, reach_m: float) -> None:
        self.config, self.reach_m = config, reach_m
        lines = shapely.transform(network.geometry, network.to_metres)
        self.length_m: Float[ndarray, " s"] = shapely.length(lines)
        self.graph = graph_of(network, lines, config.radius_m)
        self._ways = Ways(self.graph, reach_m)

    def __call__(self, traces: Sequence[Float[ndarray, "_ 2"]], *, obey: bool = False) -> list[list[Stretch]]:
        """The stretches of each trace that have a way, in order; one that covers all fixes if all is well.

        With `obey`, ways take no U-turn that the roads bar; else they may, where a fix is.
        """
        config = self.config
        xy = np.concatenate([np.empty((0, 2)), *traces])
        start = np.append(0, np.cumsum([len(trace) for trace in traces])).astype(np.int64)
        found = candidates_of(self.graph, xy, config.radius_m, config.candidates)
        table = self._ways.from_nodes(np.unique(self.graph.head[found.chain]))
        chosen, begins, score = likeliest(
            self.graph, table, start, xy, *found, config.gps_error_m, config.reverse_m, obey, self.reach_m
        )
        runs = Stretches(*stretches(
            self.graph, table, start, chosen, begins, found.chain, found.offset, config.reverse_m, obey, self.reach_m
        ))  # fmt: skip
        off = found.off[chosen] if len(found.off) else np.zeros(len(chosen))
        out: list[list[Stretch]] = [[] for _ in traces]
        owner = np.searchsorted(start, runs.first, side="right") - 1
        for i, (trace, first, count) in enumerate(
            zip(owner.tolist(), runs.first.tolist(), runs.fixes.tolist(), strict=True)
        ):
            fixes = slice(first, first + count)
            path = runs.path[runs.path_start[i] : runs.path_start[i + 1]]
            likelihood = float(score[chosen[first + count - 1]])
            out[trace].append(Stretch(first - int(start[trace]), path, runs.travelled[fixes], off[fixes], likelihood))
        return out

    def near_road(self, xy: Float[ndarray, "m 2"]) -> ndarray:
        """Whether each point is within `radius_m` of a segment."""
        return np.diff(candidates_of(self.graph, xy, self.config.radius_m, 1).start) > 0
