"""What every baseline is: fitted to trips on a network, answering requests with trips, kept as safetensors and JSON."""

import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from suffuse.console import because, read_object, replacing, write_json
from suffuse.trajectory.baselines.tensors import counts
from suffuse.trajectory.baselines.travel_times import TravelTimes
from suffuse.trajectory.errors import ModelError, RequestError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES, RoadNetwork
from suffuse.trajectory.trips.table import Trips

SETTINGS_FILE = "baseline.json"
TENSORS_FILE = "baseline.safetensors"
FORMAT = 1


class Baseline(ABC):
    """A fitted baseline. It holds the network it answers on; `on` moves it to the same network with segments closed."""

    name: ClassVar[str]
    """What `--model` and the registry call it."""

    def __init__(self, network: RoadNetwork, times: TravelTimes) -> None:
        self.network, self.times = network, times

    @classmethod
    @abstractmethod
    def fit(cls, network: RoadNetwork, trips: Trips, *, seed: int = 0) -> "Baseline":
        """Learn from trips; `seed` draws whatever part of them tunes the rest."""

    @classmethod
    def without_trips(cls, network: RoadNetwork) -> "Baseline":
        """The baseline of a city without any trips. Raises `ModelError` for one that has to learn from them."""
        raise ModelError(f"the {cls.name} baseline on {network.name!r} needs trips to learn from")

    @abstractmethod
    def routes(self, requests: Requests, *, seed: int, first: int) -> list[Int[ndarray, " l"]]:
        """Segments of one trip a request; each may depend on `seed`, its number and its own request only.

        The numbers are `requests.numbers(first)`.

        An empty route says that there is no way to the destination.
        """

    def sample(self, requests: Requests, *, seed: int = 0, first: int = 0) -> Trips:
        """One trip a request, in order, with the times of mean speeds.

        Request i has number `first + i` unless it brings one: a long list may be answered in parts, and gives the same
        trips. Raises `RequestError` for a request whose destination cannot be reached from its origin.
        """
        for ends, what in ((requests.origin, "origin"), (requests.destination, "destination")):
            if bad := [
                int(end) for end in ends if end < 0 or end >= len(self.network) or int(end) in self.network.closed
            ]:
                raise RequestError(f"{what} {self._called(bad[0])} is closed or not in the network")
        routes = self.routes(requests, seed=seed, first=first)
        for row, route in enumerate(routes):
            if len(route) == 0:
                origin, destination = int(requests.origin[row]), int(requests.destination[row])
                raise RequestError(
                    f"request {requests.request_id[row]}: no way leads from segment {self._called(origin)} "
                    f"to segment {self._called(destination)}"
                )
        start = np.append(0, np.cumsum([len(route) for route in routes], dtype=np.int64))
        segment = np.concatenate([np.empty(0, np.int64), *routes])
        enter_s, duration_s = self.times.clock(self.network, segment, start, hour_of(requests))
        return Trips(
            start=start,
            segment=segment,
            enter_s=enter_s,
            duration_s=duration_s,
            depart=requests.depart,
            trip_id=requests.request_id,
        )

    def on(self, network: RoadNetwork) -> "Baseline":
        """The same baseline on the same network with other segments closed. Raises `ModelError` for another network."""
        tensors, settings = self.state()
        return self.restore(self._same(network), tensors | self._times(), settings)

    @abstractmethod
    def state(self) -> tuple[dict[str, ndarray], dict[str, Any]]:
        """What was learned beside the times: arrays, and settings that JSON can hold."""

    @classmethod
    @abstractmethod
    def restore(cls, network: RoadNetwork, tensors: dict[str, ndarray], settings: dict[str, Any]) -> "Baseline":
        """Undo `state`; the times are among the tensors as `times_by_hour`, `times_by_segment`."""

    def save(self, directory: Path) -> None:
        """Write `baseline.json` and `baseline.safetensors`, whole or not at all. Raises `ModelError` if it cannot."""
        directory.mkdir(parents=True, exist_ok=True)
        tensors, settings = self.state()
        arrays = {name: np.ascontiguousarray(array) for name, array in (tensors | self._times()).items()}
        with replacing(directory / TENSORS_FILE, error=ModelError) as temporary:
            save_file(arrays, temporary)
        said = {"baseline": self.name, "format": FORMAT, "network": fingerprint(self.network), "settings": settings}
        write_json(directory / SETTINGS_FILE, said, error=ModelError)

    @classmethod
    def load(cls, directory: Path, network: RoadNetwork) -> "Baseline":
        """Read what `save` wrote. Raises `ModelError` for files that are not that, or for another network."""
        said = read_settings(directory)
        if said["baseline"] != cls.name:
            raise ModelError(f"{directory} holds a {said['baseline']!r}, not a {cls.name!r}")
        if said["network"] != fingerprint(network):
            raise ModelError(f"{directory} was fitted on a network other than {network.name!r}")
        try:
            tensors = load_file(directory / TENSORS_FILE)
            return cls.restore(network, tensors, said["settings"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            what = f"the settings lack {error}" if isinstance(error, KeyError) else because(error)
            raise ModelError(f"{directory / TENSORS_FILE} is no whole baseline in safetensors format: {what}") from None

    def _times(self) -> dict[str, ndarray]:
        return {"times_by_hour": self.times.by_hour, "times_by_segment": self.times.by_segment}

    def _same(self, network: RoadNetwork) -> RoadNetwork:
        if fingerprint(network) != fingerprint(self.network):
            raise ModelError(f"the {self.name} baseline was fitted on a network other than {network.name!r}")
        return network

    def _called(self, segment: int) -> str:
        known = 0 <= segment < len(self.network)
        return str(self.network.segment_ids[segment]) if known else f"with index {segment}"


def read_settings(directory: Path) -> dict[str, Any]:
    """The checked content of a baseline's `baseline.json`."""
    path = directory / SETTINGS_FILE
    said = read_object(path, error=ModelError)
    if not {"baseline", "format", "network", "settings"} <= said.keys():
        raise ModelError(f"{path} does not describe a baseline")
    if said["format"] != FORMAT:
        raise ModelError(f"{path} has format {said['format']!r}; this version reads format {FORMAT}")
    return said


def fingerprint(network: RoadNetwork) -> str:
    """The same for networks of one mode with the same segments in the same order, whatever is closed."""
    parts = (network.segment_ids, network.from_node, network.to_node)
    check = 0 if network.mode == "drive" else zlib.crc32(network.mode.encode())
    for part in parts:
        check = zlib.crc32(np.ascontiguousarray(part, dtype=np.int64).tobytes(), check)
    return f"{len(network)}-{check:08x}"


def times_from(tensors: dict[str, ndarray], network: RoadNetwork) -> TravelTimes:
    """The travel times among the tensors of a baseline. Raises ValueError for those of another network."""
    return TravelTimes(
        counts(tensors, "times_by_hour", size=(len(HIGHWAY_CLASSES), 24), above_zero=True),
        counts(tensors, "times_by_segment", size=len(network), above_zero=True),
    )


def hour_of(requests: Requests) -> Int[ndarray, " k"]:
    """Hour of departure of each request, 0-23 UTC."""
    hours: ndarray = requests.depart.astype("datetime64[h]").astype(np.int64) % 24
    return hours


def generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of one trip: they depend on the seed and the number of its request only."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64)))
