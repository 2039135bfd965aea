"""A job in shards: which there are, where they lie, and whether those that lie there are of this job."""

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from suffuse.console import because, read_object, write_json
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.scale.facts import DENSE_LAYERS, facts_of_city, facts_of_model
from suffuse.trajectory.scale.sources import Source
from suffuse.trajectory.trips.write import write_trips
from suffuse.trajectory.workers import Job, Worker

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two commands apart there; what each writes is whole all the same
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system without locks answers: there, as on Windows, nothing keeps two commands apart."""

JOB_FILE = "_job.json"
"""Begins with an underscore, as what readers of Parquet folders pass over does."""

FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """`count` trips in files `part-000000.parquet` and so on of `size` trips each, the last one of the rest.

    Trip i is the same in whatever shard it lies: it depends on the seed, i and its request alone.
    """

    job: Job
    source: Source
    count: int
    size: int
    folder: Path

    @property
    def shards(self) -> int:
        """How many there are in all."""
        return -(-self.count // self.size)

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"part-{shard:06d}.parquet"

    def trips_in(self, shard: int) -> int:
        """How many trips a shard has."""
        return min(self.size, self.count - shard * self.size)

    def is_whole(self, shard: int) -> bool:
        """Whether a shard is there, with a footer (which comes last in Parquet) that counts its trips."""
        try:
            there: int = pq.read_metadata(self.path(shard)).num_rows
        except (OSError, pa.ArrowException):
            return False
        return there == self.trips_in(shard)

    def missing(self) -> list[int]:
        """Shards that are not there yet, or broken."""
        return [shard for shard in range(self.shards) if not self.is_whole(shard)]

    def write(self, worker: Worker, shard: int) -> int:
        """Draw and write a shard unless it is there and whole; returns its number of trips."""
        count = self.trips_in(shard)
        if not self.is_whole(shard):
            first = shard * self.size
            trips = worker(self.source.part(worker.network, first, count, worker.home), first)
            write_trips(trips, worker.network, self.path(shard))
        return count

    def facts(self) -> dict[str, Any]:
        """Everything the trips depend on."""
        config = asdict(self.job.config)
        del config["batch_size"]  # which changes no trip
        decoding = self.job.config.decoding
        network = load_city(self.job.city, self.job.mode)
        return {
            "format": FORMAT,
            "version": version("suffuse-trajectory"),
            "trips": self.count,
            "trips_a_shard": self.size,
            "city": self.job.city,
            "mode": network.mode,
            **facts_of_city(network),
            **facts_of_model(self.job.model, self.job.city),
            "best_of": self.job.best_of,
            **asdict(self.job.changes),
            **self.source.facts(),
            **config,
            "decoding": {"kind": type(decoding).__name__, **config["decoding"]},
        }

    @contextmanager
    def begun(self) -> Iterator[None]:
        """The folder, made if need be, for this command alone; what one that was killed left half-written is removed.

        Raises:
            TripError: if the folder cannot be written, holds shards of another job, or is in use.

        """
        if self.folder.is_symlink() and not self.folder.exists():
            raise TripError(f"{self.folder}: is a link to {self.folder.readlink()}, which is not there")
        if self.folder.exists() and not self.folder.is_dir():
            raise TripError(f"{self.folder}: is a file, but shards need a folder")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / JOB_FILE).exists() and any(self.folder.iterdir()):
                raise TripError(f"{self.folder}: is not empty and holds no shards; choose another folder")
        except OSError as error:
            raise TripError(f"{self.folder}: cannot be written: {because(error)}") from error
        facts = json.loads(json.dumps(self.facts(), default=str))
        if not (self.folder / JOB_FILE).exists():
            write_json(self.folder / JOB_FILE, facts, error=TripError)
        with _locked(self.folder / JOB_FILE):
            there = completed(read_object(self.folder / JOB_FILE, error=TripError), facts)
            for name in sorted(facts.keys() | there.keys()):
                if facts.get(name) != there.get(name):
                    raise TripError(
                        f"{self.folder}: holds shards of another job: {name} is {there.get(name)} there, "
                        f"{facts.get(name)} here"
                    )
            for left in self.folder.glob(".part-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield


def completed(there: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """What `_job.json` says, and what those before it left out: all were of drivers, their rounding is not known."""
    unknown = {name: facts[name] for name in (DENSE_LAYERS,) if name in facts}
    return {"mode": "drive", **unknown, **there}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other commands out for as long as this one lives, however it ends."""
    with path.open("rb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TripError(f"{path.parent}: another command is writing shards there") from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
        yield
