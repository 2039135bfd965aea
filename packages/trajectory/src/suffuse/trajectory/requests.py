"""Requests for trips: where from, where to, when."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from suffuse.trajectory.trips.table import Trips


@dataclass(frozen=True, kw_only=True, eq=False)
class Requests:
    """k requests; origins and destinations are segment indices of the road network."""

    origin: Int[ndarray, " k"]
    destination: Int[ndarray, " k"]
    depart: ndarray
    """k departure times, datetime64[s], UTC."""
    request_id: ndarray
    """k strings; the trip that answers a request carries its id."""
    number: Int[ndarray, " k"] | None = None
    """Random numbers of a trip are keyed by it, so that a request has the same whether others are asked for or not.

    None: its row, counted from the first request of the job.
    """

    def __len__(self) -> int:
        return len(self.origin)

    @property
    def hour(self) -> ndarray:
        """Departure as hours since midnight UTC, [0, 24)."""
        seconds = (self.depart - self.depart.astype("datetime64[D]")).astype("timedelta64[s]").astype(np.float64)
        return seconds / 3600

    def numbers(self, first: int = 0) -> Int[ndarray, " k"]:
        """The number of each; `first` is that of the first one where they have none of their own."""
        return first + np.arange(len(self)) if self.number is None else self.number

    def take(self, rows: Int[ndarray, " r"]) -> "Requests":
        """The requests of the given rows, in that order."""
        return Requests(
            origin=self.origin[rows],
            destination=self.destination[rows],
            depart=self.depart[rows],
            request_id=self.request_id[rows],
            number=None if self.number is None else self.number[rows],
        )

    @staticmethod
    def from_trips(trips: Trips) -> "Requests":
        """The requests that the given trips answer, numbered from 0."""
        return Requests(
            origin=trips.origin, destination=trips.destination, depart=trips.depart, request_id=trips.trip_id,
            number=np.arange(len(trips)),
        )  # fmt: skip
