"""Trips per second, and how the price of a trip grows with the city.

    python benchmarks/trajectory_speed.py [-n 2000]
    python benchmarks/trajectory_speed.py --where [-n 512]

1. Trips/s of the shipped model on la-serena at its default settings: one process of one thread, and two. 2. Time per
trip on coquimbo-full (22,186 segments) beside la-serena (2,560) at equal trip length, interleaved in one process,
   medians of CPU time. Needs `suffuse-trajectory prepare coquimbo-full`; left out with a note otherwise.
With `--where`: in which functions one process of one thread spends its processor time, and nothing else.
"""

import argparse
import cProfile
import pstats
import time
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from machine import describe

from suffuse.trajectory import Requests, RoadNetwork, load_city
from suffuse.trajectory.demand.draw_requests import draw_requests
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.roads.reachability import hops_to
from suffuse.trajectory.trips.table import concatenate
from suffuse.trajectory.workers import Job, Worker, answer


def throughput(n: int, workers: int) -> float:
    """Trips/s after start-up: the time from the first part that arrives to the last."""
    requests = draw_requests(load_city("la-serena"), n, seed=0)
    job = Job(city="la-serena", model="la-serena", config=GenerationConfig(batch_size=256), threads=1)
    moments, sizes = [], []
    for part in answer(job, requests, workers=workers):
        moments.append(time.perf_counter())
        sizes.append(len(part))
    skip = workers  # the first part of every process pays for its start
    return sum(sizes[skip:]) / (moments[-1] - moments[skip - 1])


def where(n: int) -> None:
    """Print the functions that take most processor time, that of the profiler included."""
    requests = draw_requests(load_city("la-serena"), n, seed=0)
    config = GenerationConfig(batch_size=256)
    worker = Worker(Job(city="la-serena", model="la-serena", config=config, threads=1))
    worker(requests.take(np.arange(32)), 0)  # compiles and fills caches
    began = time.process_time()
    worker(requests, 0)
    print(f"{n / (time.process_time() - began):.1f} trips/s of processor time without the profiler")
    profile = cProfile.Profile(time.process_time)
    profile.runcall(worker, requests, 0)
    pstats.Stats(profile).sort_stats("tottime").print_stats(20)


def of_like_length(network: RoadNetwork, hops: int, count: int) -> Requests:
    """Requests whose destination is `hops` segments away at least, within a tenth."""
    rng = np.random.default_rng(0)
    pairs: list[tuple[int, int]] = []
    while len(pairs) < count:
        destination = int(rng.integers(len(network)))
        near = np.flatnonzero(np.abs(hops_to(network, np.array([destination]))[0] - hops) <= hops // 10)
        if len(near):
            pairs.append((int(rng.choice(near)), destination))
    origin, destination = np.array(pairs).T
    depart = np.full(count, np.datetime64("2024-03-04T08:00:00", "s"))
    return Requests(
        origin=origin, destination=destination, depart=depart,
        request_id=np.array([str(i) for i in range(count)], dtype=object),
    )  # fmt: skip


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=4096)
    parser.add_argument("--hops", type=int, default=30)
    parser.add_argument("--where", action="store_true", help="only say where the time goes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    if args.where:
        where(args.n)
        return
    for workers in (1, 2):
        print(f"la-serena, {workers} process(es) of one thread: {throughput(args.n, workers):6.1f} trips/s", flush=True)

    job = Job(city="la-serena", model="la-serena", threads=1)
    workers_by_city = {"la-serena": Worker(job)}
    try:
        workers_by_city["coquimbo-full"] = Worker(replace(job, city="coquimbo-full"))
    except RoadNetworkError as error:
        print(f"coquimbo-full left out: {error}")
        return
    requests = {name: of_like_length(worker.network, args.hops, 256) for name, worker in workers_by_city.items()}
    spent: dict[str, list[float]] = {name: [] for name in workers_by_city}
    length = {}
    for turn in range(7):
        for name, worker in workers_by_city.items():
            began = time.process_time()
            trips = concatenate([worker(requests[name], turn << 20)])
            if turn:  # the first turn compiles and fills caches
                spent[name].append((time.process_time() - began) / len(trips) * 1000)
            length[name] = trips.lengths.mean()
    for name, worker in workers_by_city.items():
        cost = median(spent[name])
        print(
            f"{name:14} {len(worker.network):6,} segments, {length[name]:5.1f} of them a trip, {cost:6.2f} ms CPU each"
        )
    a, b = (median(spent[name]) / length[name] for name in ("la-serena", "coquimbo-full"))
    print(f"time per segment of a trip, coquimbo-full over la-serena: {b / a:.2f}")


if __name__ == "__main__":
    main()
