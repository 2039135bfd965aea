"""What a city's trips say about its streets: observed flows and turns, by where the trip was going.

These are features, not weights: the same model reads them in any city, and does without where there are none. The
model never sees a trip's own contribution to them: in training a trip reads the usage of the folds it is not in
(`TripBatches`).

Dimensions: s segments, t transitions, k trips, m pairs in hand; a level of zones has as many keys as it has pairs.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from suffuse.console import because
from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

ZONE_METRES = (2000.0, 700.0)
"""Edges of the square zones in which destinations are taken together, coarse and fine."""

STANDARD_TRIPS = 100_000
"""Counts are scaled to this many trips, so that a small and a large sample of one city look alike."""

ZONES = 1 << 20
"""Zone numbers stay below this: 1,024 x 1,024 cells."""


def zone_of(network: RoadNetwork, level: int) -> Int[ndarray, " s"]:
    """Square zone of each segment's middle, for `ZONE_METRES[level]`."""
    cells = np.floor(network.to_metres(network.centroid_lonlat) / ZONE_METRES[level]).astype(np.int64) + 512
    cells = cells.clip(0, 1023)
    return cells[:, 0] * 1024 + cells[:, 1]


def opened(network: RoadNetwork) -> RoadNetwork:
    """The network with nothing closed: the one whose transitions are counted."""
    return replace(network, closed=frozenset()) if network.closed else network


@dataclass(frozen=True, kw_only=True, eq=False)
class Usage:
    """Observed counts, scaled to `STANDARD_TRIPS`. Pairs are sorted by key = item * `ZONES` + zone of the destination.

    Transitions are numbered as in `successors` of the network with nothing closed; `on` renumbers them.
    """

    flow: Float[ndarray, " s"]
    """Traversals of each segment."""
    turn_flow: Float[ndarray, " t"]
    """Traversals of each legal transition."""
    leaving: Float[ndarray, " s"]
    """Traversals of each segment that went on."""
    flow_key: tuple[Int[ndarray, " _"], ...]
    """By zone level: keys of (segment, zone)."""
    flow_count: tuple[Float[ndarray, " _"], ...]
    turn_key: tuple[Int[ndarray, " _"], ...]
    """By zone level: keys of (transition, zone)."""
    turn_count: tuple[Float[ndarray, " _"], ...]

    def flow_to(self, level: int, zone: int) -> Float[ndarray, " s"]:
        """Traversals of each segment by trips bound for a zone."""
        order, sorted_zone = self._by_zone[level]
        rows = order[np.searchsorted(sorted_zone, zone) : np.searchsorted(sorted_zone, zone, side="right")]
        flow = np.zeros_like(self.flow)
        flow[self.flow_key[level][rows] // ZONES] = self.flow_count[level][rows]
        return flow

    @cached_property
    def _by_zone(self) -> tuple[tuple[Int[ndarray, " e"], Int[ndarray, " e"]], ...]:
        found = []
        for key in self.flow_key:
            zone = np.where(key >= 0, key % ZONES, -1)
            order = np.argsort(zone, kind="stable")
            found.append((order, zone[order]))
        return tuple(found)

    @cached_property
    def starts(self) -> tuple[tuple[Int[ndarray, " _"], ...], tuple[Int[ndarray, " _"], ...]]:
        """By zone level, of segments and of transitions: keys of item i are rows `start[i]:start[i + 1]`."""

        def of(keys: tuple[Int[ndarray, " _"], ...], items: int) -> tuple[Int[ndarray, " _"], ...]:
            return tuple(np.searchsorted(key, np.arange(items + 1) * ZONES) for key in keys)

        return of(self.flow_key, len(self.flow)), of(self.turn_key, len(self.turn_flow))

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        tensors = {"flow": self.flow, "turn_flow": self.turn_flow, "leaving": self.leaving}
        for level in range(len(ZONE_METRES)):
            tensors |= {f"flow_key_{level}": self.flow_key[level], f"flow_count_{level}": self.flow_count[level]}
            tensors |= {f"turn_key_{level}": self.turn_key[level], f"turn_count_{level}": self.turn_count[level]}
        path.write_bytes(save(tensors))

    def on(self, network: RoadNetwork) -> "Usage":
        """The same counts where segments are closed, without the drivers who went on to where nobody may go now."""
        if not network.closed:
            return self
        closed = np.zeros(len(network), dtype=bool)
        closed[list(network.closed)] = True
        home = opened(network).successors
        first = np.repeat(np.arange(len(network)), np.diff(home.indptr))
        place = transition_index(network, first, home.indices)
        gone = place < 0
        flow_count, turn_key, turn_count = [], [], []
        for flow_key, went, key, count in zip(
            self.flow_key, self.flow_count, self.turn_key, self.turn_count, strict=True
        ):
            turn, zone = np.divmod(key, ZONES)
            stays = ~gone[turn]
            turn_key.append(place[turn[stays]] * ZONES + zone[stays])
            turn_count.append(count[stays])
            left = np.where(closed[flow_key // ZONES], 0, went)
            lost = np.searchsorted(flow_key, first[turn[~stays]] * ZONES + zone[~stays])
            np.subtract.at(left, lost, count[~stays])
            flow_count.append(np.maximum(left, 0))
        lost_turns = np.bincount(first[gone], weights=self.turn_flow[gone], minlength=len(network))
        return replace(
            self,
            flow=np.where(closed, 0, self.flow),
            turn_flow=self.turn_flow[~gone],
            leaving=np.maximum(self.leaving - lost_turns, 0).astype(np.float32),
            flow_count=tuple(flow_count),
            turn_key=tuple(turn_key),
            turn_count=tuple(turn_count),
        )

    @staticmethod
    def load(path: Path, network: RoadNetwork) -> "Usage":
        """Read what `save` wrote. Raises ModelError for a file that is not that, or of another network."""
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is not a readable usage file in safetensors format: {because(error)}") from None
        levels = range(len(ZONE_METRES))
        segments, transitions = len(network), opened(network).successors.nnz
        sizes = [tensors[name].size if name in tensors else 0 for name in ("flow", "turn_flow")]
        if sizes != [segments, transitions]:
            raise ModelError(
                f"{path} is about {sizes[0]} segments and {sizes[1]} transitions, but {network.name!r} has "
                f"{segments} and {transitions}"
            )
        for name, size in (("flow", segments), ("turn_flow", transitions), ("leaving", segments)):
            _check_counts(tensors, name, size, path)
        for kind, items in (("flow", segments), ("turn", transitions)):
            for level in levels:
                key, count = f"{kind}_key_{level}", f"{kind}_count_{level}"
                _check_keys(tensors, key, items * ZONES, path)
                _check_counts(tensors, count, len(tensors[key]), path)
        return Usage(
            flow=tensors["flow"],
            turn_flow=tensors["turn_flow"],
            leaving=tensors["leaving"],
            flow_key=tuple(tensors[f"flow_key_{level}"] for level in levels),
            flow_count=tuple(tensors[f"flow_count_{level}"] for level in levels),
            turn_key=tuple(tensors[f"turn_key_{level}"] for level in levels),
            turn_count=tuple(tensors[f"turn_count_{level}"] for level in levels),
        )


def _check_counts(tensors: dict[str, ndarray], name: str, size: int, path: Path) -> None:
    """Raise ModelError unless a tensor holds as many counts as wanted, each finite and 0 or more."""
    count = tensors.get(name)
    if count is None or count.shape != (size,) or count.dtype.kind != "f":
        raise ModelError(f"{path}: {name} is {_kind(count)}, but must be {size} floating-point numbers")
    if not (np.isfinite(count) & (count >= 0)).all():
        raise ModelError(f"{path}: {name} holds counts that are not finite and 0 or more")


def _check_keys(tensors: dict[str, ndarray], name: str, below: int, path: Path) -> None:
    """Raise ModelError unless a tensor holds ascending keys below a limit, or the one key -1 of `no_usage`."""
    key = tensors.get(name)
    if key is None or key.ndim != 1 or key.dtype.kind != "i":
        raise ModelError(f"{path}: {name} is {_kind(key)}, but must be a list of whole numbers")
    if len(key) and not (key[0] >= -1 and key[-1] < below and (np.diff(key) > 0).all()):
        raise ModelError(f"{path}: {name} holds keys that do not ascend from 0 to {below - 1}")


def _kind(tensor: ndarray | None) -> str:
    return "missing" if tensor is None else f"{tensor.dtype} of shape {tensor.shape}"


def transition_index(network: RoadNetwork, first: Int[ndarray, " m"], second: Int[ndarray, " m"]) -> Int[ndarray, " m"]:
    """Position of each pair of segments in `network.successors`, -1 for pairs that are not legal transitions."""
    pattern = network.successors
    segments = len(network)
    key = np.repeat(np.arange(segments), np.diff(pattern.indptr)) * segments + pattern.indices
    wanted = first.astype(np.int64) * segments + second
    place = np.searchsorted(key, wanted).clip(max=len(key) - 1)
    return np.where(key[place] == wanted, place, -1)


def count_usage(network: RoadNetwork, trips: Trips) -> Usage:
    """Counts over all given trips. Illegal transitions in them are left out; those of closed segments are not."""
    network = opened(network)
    scale = np.float32(STANDARD_TRIPS / max(len(trips), 1))
    trip = np.repeat(np.arange(len(trips)), trips.lengths)
    last = np.zeros(len(trips.segment), dtype=bool)
    last[trips.start[1:] - 1] = True
    first, second = trips.segment[:-1][~last[:-1]], trips.segment[1:][~last[:-1]]
    turn = transition_index(network, first, second)
    legal = turn >= 0
    turn, turn_trip = turn[legal], trip[:-1][~last[:-1]][legal]
    segments, transitions = len(network), network.successors.nnz

    def by_zone(item: ndarray, owner: ndarray, level: int) -> tuple[ndarray, ndarray]:
        zone = zone_of(network, level)[trips.destination]
        key, count = np.unique(item.astype(np.int64) * ZONES + zone[owner], return_counts=True)
        return key, count.astype(np.float32) * scale

    flows = [by_zone(trips.segment, trip, level) for level in range(len(ZONE_METRES))]
    turns = [by_zone(turn, turn_trip, level) for level in range(len(ZONE_METRES))]
    return Usage(
        flow=np.bincount(trips.segment, minlength=segments).astype(np.float32) * scale,
        turn_flow=np.bincount(turn, minlength=transitions).astype(np.float32) * scale,
        leaving=np.bincount(first[legal], minlength=segments).astype(np.float32) * scale,
        flow_key=tuple(key for key, _ in flows),
        flow_count=tuple(count for _, count in flows),
        turn_key=tuple(key for key, _ in turns),
        turn_count=tuple(count for _, count in turns),
    )


def no_usage(network: RoadNetwork) -> Usage:
    """Usage of a city without observed trips: all counts zero, closed segments left out."""
    empty_key = tuple(np.zeros(1, dtype=np.int64) - 1 for _ in ZONE_METRES)
    empty_count = tuple(np.zeros(1, dtype=np.float32) for _ in ZONE_METRES)
    zeros = np.zeros(len(network), dtype=np.float32)
    return Usage(
        flow=zeros,
        turn_flow=np.zeros(network.successors.nnz, dtype=np.float32),
        leaving=zeros,
        flow_key=empty_key,
        flow_count=empty_count,
        turn_key=empty_key,
        turn_count=empty_count,
    )
