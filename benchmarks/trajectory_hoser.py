"""HOSER's own published program beside the shipped model: trips a second of processor time, on the same requests.

    git clone https://github.com/caoji2001/HOSER
    pip install kahip loguru haversine scikit-learn tensorboard
    python benchmarks/trajectory_hoser.py --hoser HOSER [--work runs/hoser] [-n 128] [--trips 2000] [--epochs 5]

The clone stays as it is. A copy of it in the work folder gets roads and simulated trips of a city in HOSER's format,
written here, and the settings `REPLACED`: the processor instead of a graphics card, whole instead of half precision,
one process for reading, the requests of a file instead of drawn ones, and epochs, batch size and zones as given here. A
clone in which one of these is not found is refused. Zones come from KaHIP, asked as HOSER's own script asks, through
its Python package. HOSER's scripts then count the traffic between zones, train and generate. A work folder that holds a
HOSER of the same settings is used again without training.

Of HOSER's generation script the processor time of all its processes counts; one of them works at a time, with one
thread. Each of four turns runs it on a quarter of the requests, and once more on the first of these alone: the
difference is what the others take, without start-up. The shipped model runs in this process with one thread, in each
turn on all requests, since it draws trips together, and in every other turn on `--many` that begin with them.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import harmonic_mean, median

import numpy as np
import pandas as pd
import shapely
import torch
from machine import describe
from rich.console import Console

from suffuse.trajectory import Requests, RoadNetwork, Trips, load_city, read_trips, write_trips
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.trips.table import concatenate
from suffuse.trajectory.workers import Job, Worker

DATASET = "Beijing"
"""A name that HOSER has settings for; the data are those of the city asked for."""

IMBALANCE = 0.03
"""How much larger than the mean a zone may be; what the program of KaHIP takes where, as in HOSER, nothing is said."""

NEEDED = ("kahip", "loguru", "haversine", "sklearn", "tensorboard", "torch_geometric")

_DEVICE = ("f'cuda:{args.cuda}'", "'cpu'", 1)
_WHOLE = ("torch.cuda.amp.autocast()", "torch.amp.autocast('cpu', enabled=False)")
REPLACED = {
    "train.py": (
        _DEVICE,
        (*_WHOLE, 6),
        ("torch.cuda.amp.GradScaler()", "torch.amp.GradScaler('cpu', enabled=False)", 1),
        ("num_workers=4", "num_workers=1", 3),
    ),
    "dataset.py": (("processes=multiprocessing.cpu_count()", "processes=1", 1),),
    "gene.py": (
        _DEVICE,
        (*_WHOLE, 2),
        (
            "np.column_stack(np.unravel_index(od_indices, od_mat.shape))",
            "pd.read_csv('requests.csv')[['origin', 'destination']].values.tolist()",
            1,
        ),
        (
            "random.sample(list(train_traj['time_list']), args.num_gene)",
            "pd.read_csv('requests.csv')['depart'].tolist()",
            1,
        ),
    ),
    "data/preprocess/get_zone_trans_mat.py": (("['Beijing', 'Porto', 'San_Francisco']", f"['{DATASET}']", 1),),
    f"config/{DATASET}.yaml": (
        ("max_epoch: 25", "max_epoch: {epochs}", 1),
        ("batch_size: 256", "batch_size: {batch}", 1),
        ("zone_id_num_embeddings: 300", "zone_id_num_embeddings: {zones}", 1),
    ),
}
"""What stands in a file of the clone, what stands there in the copy, and how often."""


def copy_of(clone: Path, work: Path, settings: dict[str, str | int]) -> None:
    """A copy of the clone with its settings replaced; ends with a sentence where one is not found."""
    texts = dict[str, str]()
    for name, pairs in REPLACED.items():
        if not (clone / name).is_file():
            sys.exit(f"{clone / name}: no such file; --hoser must be a clone of HOSER")
        texts[name] = (clone / name).read_text(encoding="utf-8")
        for old, new, times in pairs:
            if (found := texts[name].count(old)) != times:
                sys.exit(f"{clone / name}: {old!r} stands there {found} times, not {times}: another version of HOSER")
            texts[name] = texts[name].replace(old, new.format(**settings) if name.endswith(".yaml") else new)
    shutil.copytree(clone, work, ignore=shutil.ignore_patterns(".git", "assets"))
    for name, text in texts.items():
        (work / name).write_text(text, encoding="utf-8")


def write_city(city: RoadNetwork, zones: int, folder: Path) -> None:
    """Roads in HOSER's format, segment ids their rows, and the zone of each segment."""
    with (folder / "roadmap.geo").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["geo_id", "type", "coordinates", "highway", "length"])
        for row, line in enumerate(city.geometry):
            points = np.round(shapely.get_coordinates(line), 7).tolist()
            writer.writerow([row, "LineString", json.dumps(points), city.highway[row], float(city.length_m[row])])
    pairs = city.successors.tocoo()
    pd.DataFrame(
        {"rel_id": range(pairs.nnz), "type": "geo", "origin_id": pairs.row, "destination_id": pairs.col}
    ).to_csv(folder / "roadmap.rel", index=False)
    both = (city.successors + city.successors.T).tolil()
    both.setdiag(0)
    graph = both.tocsr()
    graph.eliminate_zeros()
    kahip = import_module("kahip")
    ones = [1] * len(city), [1] * graph.nnz
    asked = zones, IMBALANCE, True, 0, kahip.STRONG
    _, zone = kahip.kaffpa(ones[0], graph.indptr.tolist(), ones[1], graph.indices.tolist(), *asked)
    (folder / "road_network_partition").write_text("".join(f"{of}\n" for of in zone))


def run(work: Path, script: str, *options: str, log: str, folder: str = ".") -> float:
    """Run a script of the copy with one thread; the seconds of processor time of all its processes."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    before = getrusage(RUSAGE_CHILDREN)
    with (work / log).open("w") as out:
        done = subprocess.run(
            [sys.executable, script, *options], cwd=work / folder, env=os.environ | threads, stdout=out, stderr=out,
            check=False,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"{script} of HOSER ended with status {done.returncode}; see {work / log}")
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepare(city: RoadNetwork, args: argparse.Namespace) -> None:
    """A trained HOSER in the work folder, unless it is there."""
    settings: dict[str, str | int] = {
        name: getattr(args, name) for name in ("city", "trips", "epochs", "batch", "zones")
    }
    said = args.work / "settings.json"
    if said.is_file() and json.loads(said.read_text()) == settings:
        print(f"HOSER: as trained in {args.work}", flush=True)
        return
    if not np.array_equal(city.segment_ids, np.arange(len(city))):
        sys.exit(f"{city.name}: its segment ids are not 0 to {len(city) - 1}, as HOSER wants them")
    if args.work.exists():
        sys.exit(f"{args.work}: is there already, without a HOSER of these settings; name another folder with --work")
    copy_of(args.hoser, args.work, settings)
    data = args.work / "data" / DATASET
    data.mkdir()
    write_city(city, args.zones, data)
    for part, count in (("train", args.trips), ("val", 300), ("test", 300)):
        write_trips(simulated_trips(city, part, count), city, data / f"{part}.csv")
    run(args.work, "get_zone_trans_mat.py", log="zones.log", folder="data/preprocess")
    spent = run(args.work, "train.py", "--dataset", DATASET, log="train.log")
    said.write_text(json.dumps(settings))
    print(f"HOSER: {args.trips:,} trips, {args.epochs} epochs in {spent:.0f} s of processor time", flush=True)
    print((args.work / "train.log").read_text().splitlines()[-1], flush=True)  # what HOSER says of its test trips


def generate(work: Path, city: RoadNetwork, asked: Requests) -> tuple[Trips, float]:
    """HOSER's answers by its own script, and the seconds of processor time with start-up."""
    pd.DataFrame({"origin": asked.origin, "destination": asked.destination,
                  "depart": [f"{moment}Z" for moment in np.datetime_as_string(asked.depart, unit="s")]}
                 ).to_csv(work / "requests.csv", index=False)  # fmt: skip
    folder = work / "gene" / DATASET / "seed0"
    shutil.rmtree(folder, ignore_errors=True)
    spent = run(
        work, "gene.py", "--dataset", DATASET, "--num_gene", str(len(asked)), "--processes", "1", log="gene.log"
    )
    table = pd.read_csv(next(folder.glob("*.csv")))
    table.columns = ["rid_list", "time_list"]
    table.assign(trip_id=asked.request_id).to_csv(work / "generated.csv", index=False)
    return read_trips(work / "generated.csv", city), spent


def main() -> None:
    """Train HOSER, generate in turns, print rates and both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hoser", type=Path, required=True, help="a clone of github.com/caoji2001/HOSER")
    parser.add_argument("--work", type=Path, default=Path("runs/hoser"), help="a folder for the copy; made here")
    parser.add_argument("--city", default="la-serena")
    parser.add_argument("--model", default="la-serena")
    parser.add_argument("-n", type=int, default=128, help="requests, which HOSER answers in four turns")
    parser.add_argument("--many", type=int, default=4096, help="requests that ours is timed on too")
    parser.add_argument("--trips", type=int, default=2000, help="trips that HOSER learns from")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="trips a step of HOSER's training")
    parser.add_argument("--zones", type=int, default=300, help="zones of HOSER, 300 by its own settings")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        sys.exit(f"HOSER needs {', '.join(missing)}: pip install kahip loguru haversine scikit-learn tensorboard")
    if args.n < 8:
        sys.exit(f"-n is {args.n}, but four turns of two requests are the least")
    torch.set_num_threads(1)
    print(describe())
    city = load_city(args.city)
    prepare(city, args)
    held_out = simulated_trips(city, "test", max(args.many, args.n))
    many = Requests.from_trips(held_out)
    held_out = held_out.take(np.arange(args.n))
    asked = Requests.from_trips(held_out)

    worker = Worker(Job(city=args.city, model=args.model, config=GenerationConfig(), threads=1))
    whole = worker(asked, 0)  # compiles and fills caches
    parts, starts = list[Trips](), list[float]()
    rates: dict[str, list[float]] = {"HOSER": [], "few": [], "many": []}
    for turn, rows in enumerate(np.array_split(np.arange(args.n), 4)):
        trips, spent = generate(args.work, city, asked.take(rows))
        _, first = generate(args.work, city, asked.take(rows[:1]))
        parts.append(trips)
        starts.append(first)
        rates["HOSER"].append((len(rows) - 1) / (spent - first))
        began = time.process_time()
        whole = worker(asked, 0)
        rates["few"].append(args.n / (time.process_time() - began))
        if turn % 2:
            began = time.process_time()
            worker(many, 0)
            rates["many"].append(len(many) / (time.process_time() - began))
        print(f"turn {turn + 1}: HOSER {rates['HOSER'][-1]:.3f}, ours {rates['few'][-1]:.1f} trips/s", flush=True)
    theirs, few, more = harmonic_mean(rates["HOSER"]), median(rates["few"]), median(rates["many"])
    print(f"HOSER: {theirs:.2f} trips/s in all turns together, start-up and first trip {median(starts):.0f} s")
    for rate, asked_for in ((few, args.n), (more, len(many))):
        print(f"{args.model}: {rate:.1f} trips/s on {asked_for:,} requests, {rate / theirs:.0f} times", flush=True)
    console = Console(width=170)
    tables = {name: evaluate(city, held_out, trips, requests=asked) for name, trips in
              ((args.model, whole), ("HOSER", concatenate(parts)))}  # fmt: skip
    for name, table in tables.items():
        console.rule(name)
        console.print(table.table())
    if args.json:
        found = {"rates": rates, "startup_s": starts, "ratio": {"few": few / theirs, "many": more / theirs}}
        args.json.write_text(json.dumps(found | {name: table.to_dict() for name, table in tables.items()}, indent=2))


if __name__ == "__main__":
    main()
