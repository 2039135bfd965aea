"""Generation by several processes: each loads city and model once, and answers parts of the requests.

Threads inside one process share a small transformer badly; processes do not share at all. Parts carry the number of
their first request, so the trips are the same as those of one process.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess

import numpy as np

from suffuse.backbone import use_threads
from suffuse.trajectory.baselines import Baseline
from suffuse.trajectory.best_guess import answered
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator, load_model
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every process needs to know: names and paths, nothing loaded."""

    city: str
    model: str
    closed: tuple[int, ...] = ()
    """Segment indices."""
    config: GenerationConfig = field(default_factory=GenerationConfig)
    best_of: int = 1
    threads: int | None = None


class Worker:
    """A loaded job: answers requests."""

    def __init__(self, job: Job, network: RoadNetwork | None = None) -> None:
        use_threads(job.threads)
        self.job = job
        home = load_city(job.city) if network is None else network
        self.model: TripGenerator | Baseline = load_model(job.model, home, city=job.city)
        self.network = home
        if job.closed:
            self.network = home.without(np.array(job.closed))
            self.model = self.model.on(self.network)

    def __call__(self, requests: Requests, first: int) -> Trips:
        """One trip a request: a draw, or the best guess of several."""
        return answered(self.model, requests, self.job.config, best_of=self.job.best_of, first=first)


_worker: Worker | Exception | None = None


def _start(job: Job) -> None:
    """Load the job. What is wrong with it is kept for the first answer, which can carry it home."""
    global _worker
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        _worker = Worker(job)
    except Exception as error:
        _worker = error


def _answer(requests: Requests, first: int) -> Trips:
    assert _worker is not None
    if isinstance(_worker, Exception):
        raise _worker
    return _worker(requests, first)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that are started here do not hear Ctrl-C while they import; it comes to this one at the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def answer(job: Job, requests: Requests, *, workers: int = 1, local: Worker | None = None) -> Iterator[Trips]:
    """One trip a request, in order, a part at a time. `local` is a worker to use if one process is enough."""
    size = job.config.batch_size
    parts = [
        (first, requests.take(np.arange(first, min(first + size, len(requests)))))
        for first in range(0, len(requests), size)
    ]
    if workers == 1:
        worker = local or Worker(job)
        for first, part in parts:
            yield worker(part, first)
        return
    started: list[BaseProcess] = []
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start, initargs=(job,))
    try:
        with _uninterrupted():
            pending = [pool.submit(_answer, part, first) for first, part in parts]
            started += active_children()
        for future in pending:
            yield future.result()
    except BrokenProcessPool as error:
        if any(process.exitcode == -signal.SIGINT for process in started):  # Ctrl-C, told to them before it was to us
            raise KeyboardInterrupt from None
        raise MemoryError(
            "a process that draws trips was ended from outside, as happens where memory runs out"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
