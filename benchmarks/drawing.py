"""Trips of a trained model for a benchmark: drawn by several processes, with what it took."""

import time

from suffuse.trajectory import Requests, Trips
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.trips.table import concatenate
from suffuse.trajectory.workers import Job, answer


def draw(job: Job, requests: Requests, workers: int) -> Trips:
    """One trip a request; prints how long it took, start-up of the processes included."""
    began = time.perf_counter()
    trips = concatenate(list(answer(job, requests, workers=workers)))
    spent = time.perf_counter() - began
    print(f"{len(trips):,} trips (best of {job.best_of}) in {spent:.0f} s by {workers} processes", flush=True)
    return trips


def draw_twice(city: str, model: str, requests: Requests, *, guidance: float, workers: int) -> tuple[Trips, Trips]:
    """Two independent draws for the same requests."""
    jobs = [
        Job(city=city, model=model, config=GenerationConfig(guidance=guidance, seed=seed), threads=1) for seed in (0, 1)
    ]
    return draw(jobs[0], requests, workers), draw(jobs[1], requests, workers)
