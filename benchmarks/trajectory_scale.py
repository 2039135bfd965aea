"""Trips in shards: throughput of a core, and memory against the number of trips.

    python benchmarks/trajectory_scale.py [--rows CITY:MODEL:TRIPS ...] [--shard-size 2000] [--json out.json]

Without `--rows` the whole table of docs/trajectory/scale.md, about an hour of a core. Each row is a process of its own
with one thread, which draws the simulated requests, the trips, and writes the Parquet shards as `generate --shard-size`
does. Trips a second are of its processor time, so that other work on the machine does not count; what it takes to load
city and model is left out (the first shard). Memory is the most that was resident at any time.
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

ROWS = [
    "la-serena:dijkstra:10000",
    "la-serena:dijkstra:100000",
    "la-serena:dijkstra:1000000",
    "la-serena:la-serena:10000",
    "la-serena:la-serena:100000",
    "coquimbo-full:dijkstra:10000",
    "coquimbo-full:la-serena:4000",
]


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
    """Print one line a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=ROWS, metavar="CITY:MODEL:TRIPS")
    parser.add_argument("--shard-size", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="file to keep the figures in, after each row")
    parser.add_argument("--here", action="store_true", help="measure one row in this process, and print JSON")
    args = parser.parse_args()
    rows = [(city, model, int(count)) for city, model, count in (row.split(":") for row in args.rows)]
    if args.here:
        print(json.dumps(measure(*rows[0], args.shard_size)))
        return
    print(describe())
    print(f"{'city':14} {'model':14} {'trips':>9} {'trips/s':>8} {'first shard':>12} {'peak MiB':>9} {'MB':>7}")
    found = []
    for (city, model, count), row in zip(rows, args.rows, strict=True):
        command = [sys.executable, __file__, "--rows", row, "--shard-size", str(args.shard_size), "--here"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        got = json.loads(done.stdout.splitlines()[-1])
        found.append({"city": city, "model": model, "trips": count, **got})
        print(
            f"{city:14} {model:14} {count:9,} {got['trips_a_second']:8.1f} {got['first_shard_mib']:12.0f} "
            f"{got['peak_mib']:9.0f} {got['megabytes']:7.1f}",
            flush=True,
        )
        if args.json:
            args.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
