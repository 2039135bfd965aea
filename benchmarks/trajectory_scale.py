"""Trips in shards: throughput of a core, and memory against the number of trips.

    python benchmarks/trajectory_scale.py [--cities la-serena,coquimbo-full] [--trips 10000,100000] [--model la-serena]

Each measurement is a process of its own with one thread, which draws the simulated requests, the trips, and writes the
Parquet shards as `generate --shard-size` does. Trips a second are of its processor time, so that other work on the
machine does not count; what it takes to load city and model is left out (the first shard). Memory is the most that was
resident at any time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from suffuse.trajectory.scale import Plan, Simulated
from suffuse.trajectory.workers import Job, Worker


def peak_mib() -> float:
    """The most memory this process ever had resident, MiB, as Linux counts it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure(city: str, model: str, count: int, size: int) -> dict[str, float]:
    """Write all shards of a job here; trips/s of processor time after the first shard, and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(city=city, model=model, threads=1)
        plan = Plan(job=job, source=Simulated(seed=0), count=count, size=size, folder=Path(folder))
        worker = Worker(job)
        plan.write(worker, 0)
        early = peak_mib()
        began = time.process_time()
        for shard in range(1, plan.shards):
            plan.write(worker, shard)
        spent = time.process_time() - began
        megabytes = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    return {
        "trips_a_second": (count - size) / spent,
        "first_shard_mib": early,
        "peak_mib": peak_mib(),
        "megabytes": megabytes,
    }


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cities", default="la-serena,coquimbo-full")
    parser.add_argument("--trips", default="10000,100000")
    parser.add_argument("--model", default="la-serena")
    parser.add_argument("--shard-size", type=int, default=2000)
    parser.add_argument("--here", action="store_true", help="measure in this process, and print JSON")
    args = parser.parse_args()
    cities, counts = args.cities.split(","), [int(count) for count in args.trips.split(",")]
    if args.here:
        print(json.dumps(measure(cities[0], args.model, counts[0], args.shard_size)))
        return
    print(describe())
    print(f"{'city':14} {'model':14} {'trips':>9} {'trips/s':>8} {'first shard':>12} {'peak MiB':>9} {'MB':>7}")
    for city in cities:
        for count in counts:
            options = ["--cities", city, "--trips", str(count), "--model", args.model]
            command = [sys.executable, __file__, *options, "--shard-size", str(args.shard_size), "--here"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            got = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{city:14} {args.model:14} {count:9,} {got['trips_a_second']:8.1f} {got['first_shard_mib']:12.0f} "
                f"{got['peak_mib']:9.0f} {got['megabytes']:7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
