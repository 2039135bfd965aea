"""Generation by several processes: each loads city and model once, and answers parts of the requests.

Threads inside one process share a small transformer badly; processes do not share at all. Parts carry the number of
their first request, so the trips are the same as those of one process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from suffuse.backbone import use_threads
from suffuse.trajectory.baselines import Baseline
from suffuse.trajectory.best_guess import answered
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator, load_model
from suffuse.trajectory.processes import in_processes
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.what_if.changes import Changes


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every process needs to know: names and paths, nothing loaded."""

    city: str
    model: str
    mode: str | None = None
    """Who travels; None: those that the city was made for."""
    changes: Changes = field(default_factory=Changes)
    config: GenerationConfig = field(default_factory=GenerationConfig)
    best_of: int = 1
    threads: int | None = None


class Worker:
    """A loaded job: answers requests."""

    def __init__(self, job: Job, network: RoadNetwork | None = None) -> None:
        use_threads(job.threads)
        self.job = job
        self.home = load_city(job.city, job.mode) if network is None else network
        self.model: TripGenerator | Baseline = load_model(job.model, self.home, city=job.city)
        self.network = job.changes.on(self.home)
        if job.changes:
            self.model = self.model.on(self.network)

    def __call__(self, requests: Requests, first: int) -> Trips:
        """One trip a request: a draw, or the best guess of several."""
        return answered(self.model, requests, self.job.config, best_of=self.job.best_of, first=first)


def answer(job: Job, requests: Requests, *, workers: int = 1, local: Worker | None = None) -> Iterator[Trips]:
    """One trip a request, in order, a part at a time. `local` is a worker to use if one process is enough."""
    size = job.config.batch_size
    parts = [
        (first, requests.take(np.arange(first, min(first + size, len(requests)))))
        for first in range(0, len(requests), size)
    ]
    start = partial(_answerer, job, local if workers == 1 else None)
    return in_processes(start, parts, workers=workers)


def _answerer(job: Job, local: Worker | None) -> Callable[[tuple[int, Requests]], Trips]:
    """What a process does with the number and the requests of a part, city and model loaded."""
    worker = local or Worker(job)
    return lambda part: worker(part[1], part[0])
