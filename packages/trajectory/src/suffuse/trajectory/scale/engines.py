"""Who writes the shards: this process, several beside it, or the workers of a Ray cluster."""

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from suffuse.console import UserError
from suffuse.trajectory.processes import in_processes
from suffuse.trajectory.scale.plan import Plan
from suffuse.trajectory.workers import Worker

TRIES = 3
"""A shard whose process is ended from outside is given to another one, this many times in all."""

IN_HAND = 2
"""Shards that a Ray worker has before it: one to write, one to go on with."""


def write_shards(plan: Plan, *, engine: str = "process", workers: int = 1) -> Iterator[int]:
    """Write the shards of a plan that are missing; yields the number of trips of each as it is done.

    Run again after anything went wrong it goes on where it was. With `engine` "ray", `workers` are started on this
    machine, or those of the cluster that `RAY_ADDRESS` names are used, which have to see the same files.

    Raises:
        TripError: see `Plan.begun`.
        MemoryError: if a shard's process was ended from outside `TRIES` times.
        UserError: for "ray" without Ray.

    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, but must be one of {', '.join(ENGINES)}")
    with plan.begun():
        yield from ENGINES[engine](plan, workers)


def _by_processes(plan: Plan, workers: int) -> Iterator[int]:
    for attempt in range(TRIES):
        missing = plan.missing()
        try:
            yield from in_processes(partial(_writer, plan), missing, workers=workers)
            return
        except MemoryError:
            if attempt == TRIES - 1:
                raise


def _writer(plan: Plan) -> Callable[[int], int]:
    """What a process does with the number of a shard, city and model loaded."""
    return partial(plan.write, Worker(plan.job))


def _by_ray(plan: Plan, workers: int) -> Iterator[int]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError("--engine ray needs Ray: pip install 'suffuse-trajectory[ray]'") from None
    cluster = os.environ.get("RAY_ADDRESS")
    began = not ray.is_initialized()
    if began:
        where: dict[str, Any] = {"address": cluster} if cluster else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
    write = ray.remote(num_cpus=1, max_retries=TRIES - 1)(_ray_shard)
    try:
        cores = int(ray.cluster_resources().get("CPU", workers))  # type: ignore[no-untyped-call, unused-ignore]
        shared = ray.put(plan)
        waiting = plan.missing()[::-1]
        pending: list[Any] = []
        while waiting or pending:
            while waiting and len(pending) < IN_HAND * max(cores, 1):
                pending.append(write.remote(shared, waiting.pop()))
            done, pending = ray.wait(pending)
            for answer in ray.get(done):
                if isinstance(answer, Exception):
                    raise answer
                yield answer
    except ray.exceptions.WorkerCrashedError:
        raise MemoryError("a process was ended from outside, as happens where memory runs out") from None
    finally:
        if began:
            ray.shutdown()


_loaded: tuple[str, Worker] | None = None


def _ray_shard(plan: Plan, shard: int) -> int | Exception:
    """A Ray task. City and model stay loaded from one shard to the next; what is wrong with them comes home whole."""
    global _loaded
    try:
        key = repr(plan.job)
        if _loaded is None or _loaded[0] != key:
            _loaded = (key, Worker(plan.job))
        return plan.write(_loaded[1], shard)
    except Exception as error:
        return error


ENGINES: dict[str, Callable[[Plan, int], Iterator[int]]] = {"process": _by_processes, "ray": _by_ray}
"""By name."""
