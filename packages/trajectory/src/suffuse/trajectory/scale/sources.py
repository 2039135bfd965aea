"""Requests by number, so that each shard of a job makes its own and nobody holds all of them.

Dimensions: k requests.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from suffuse.trajectory.demand.draw_requests import draw_requests
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Requests of a city's simulated demand: request i depends on the seed and i alone."""

    seed: int
    depart: np.datetime64 | None = None
    """Of all requests; drawn with them if None."""

    def part(self, network: RoadNetwork, first: int, count: int, before: RoadNetwork | None = None) -> Requests:
        """Requests `first` to `first + count - 1`, of those who lived on the network `before` it was changed."""
        requests = draw_requests(network, count, seed=self.seed, first=first, before=before)
        return requests if self.depart is None else replace(requests, depart=np.full(count, self.depart))

    def facts(self) -> dict[str, object]:
        """What the requests depend on, apart from the network."""
        return {"requests": "simulated", "depart": None if self.depart is None else str(self.depart)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """The requests of a list in turn, again and again, each with an id of its own."""

    requests: Requests
    stride: int | None = None
    """How many requests the list had before any were left out; None: as many as there are."""

    def part(self, network: RoadNetwork, first: int, count: int, before: RoadNetwork | None = None) -> Requests:
        """Requests `first` to `first + count - 1` of the endless list, the same on every network."""
        turn, row = np.divmod(np.arange(first, first + count), len(self.requests))
        again = self.requests.take(row)
        names = [f"{name}-{k}" if k else name for name, k in zip(again.request_id, turn.tolist(), strict=True)]
        number = self.requests.numbers()[row] + turn * (self.stride or len(self.requests))
        return replace(again, request_id=np.array(names, dtype=object), number=number)

    def facts(self) -> dict[str, object]:
        """A hash of the list."""
        digest = hashlib.sha256()
        asked = self.requests
        stride = np.array([self.stride or len(asked)])
        for values in (asked.origin, asked.destination, asked.depart.astype(np.int64), asked.numbers(), stride):
            digest.update(np.ascontiguousarray(values, dtype=np.int64).tobytes())
        digest.update("\n".join(map(str, asked.request_id)).encode())
        return {"requests": digest.hexdigest()[:16]}


Source = Simulated | Listed
