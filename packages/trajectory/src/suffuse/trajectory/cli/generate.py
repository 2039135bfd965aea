"""`generate`: trips for requests, to a file whose suffix says how."""

import inspect
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from suffuse.backbone.discrete import ConfidenceDecoding, Decoding, DeferredCommitmentDecoding
from suffuse.console import MOST_PROCESSES, WEIGHTS_FILE, file_hash, number, progress, say, whole, write_run
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import MOST_TRIPS, City, Close, Mode, OnError, Out, Seed, Speed, checked_on_error
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.model.generate import GenerationConfig, unreachable
from suffuse.trajectory.model.pretrained import is_baseline, model_directory, sharpness_on, usual_model
from suffuse.trajectory.od import parse_depart, read_requests
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.scale import ENGINES, Listed, Plan, Simulated, Source, write_shards
from suffuse.trajectory.trips.table import concatenate
from suffuse.trajectory.trips.write import check_suffix, suffix_of, write_trips
from suffuse.trajectory.what_if import Changes
from suffuse.trajectory.workers import Job, Worker, answer

MANY = 2000
"""From this many trips on, one process a core pays for its start."""


def check_reachable(network: RoadNetwork, requests: Requests, on_error: str) -> Requests:
    """The requests that can be met; names the first that cannot, or with "skip" says how many were left out."""
    lost = unreachable(network, requests)
    if not len(lost):
        return requests
    ids, first = network.segment_ids, lost[0]
    sentence = (
        f"request {requests.request_id[first]}: no way leads from segment {ids[requests.origin[first]]} "
        f"to segment {ids[requests.destination[first]]}{' with the given segments closed' if network.closed else ''}"
    )
    if on_error == "fail" or len(lost) == len(requests):
        raise RequestError(f"{sentence} ({len(lost)} of {len(requests)} requests cannot be met)")
    say(f"Note: {len(lost)} of {len(requests)} requests skipped; {sentence}")
    return requests.take(np.setdiff1d(np.arange(len(requests)), lost))


OF_A_TRAINED_MODEL = (
    "decoding", "blocks", "steps", "threshold", "order", "least", "guidance", "temperature", "spread", "route_choice",
)  # fmt: skip
"""Options that say nothing to a baseline."""


def check_has_use(arguments: Mapping[str, object], model: str) -> None:
    """Raise ValueError for an option with a value of its own although the model does not listen to it."""
    if not is_baseline(model):
        return
    usual = inspect.signature(generate).parameters
    for name in OF_A_TRAINED_MODEL:
        if arguments[name] != usual[name].default:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{option} is for trained models, but --model {model} is a baseline")


@app.command()
def generate(
    out: Out,
    city: City = "la-serena",
    mode: Mode = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="A shipped model (la-serena, base), a model directory, or dijkstra, dijkstra-time. Default: la-serena "
            "for that city, base for any other.",
        ),
    ] = None,
    n: Annotated[int | None, whole("-n", 1, MOST_TRIPS, "How many trips. Default: 1000, or one a row of --od.")] = None,
    od: Annotated[
        Path | None, typer.Option("--od", help="CSV with origin,destination[,depart]: segment ids or lon/lat pairs.")
    ] = None,
    depart: Annotated[str | None, typer.Option("--depart", help="Departure of all trips: 08:00 or ISO 8601.")] = None,
    close: Close = "",
    speed: Speed = None,
    decoding: Annotated[
        str, typer.Option("--decoding", help="confidence (block by block) or dcd (sliding window).")
    ] = "confidence",
    blocks: Annotated[int, whole("--blocks", 1, 64, "Segments a block, or masks a window.")] = 8,
    steps: Annotated[int, whole("--steps", 1, 1000, "Most denoising steps a block.")] = 8,
    threshold: Annotated[
        float, number("--threshold", 0.0, 1.0, "Confidence from which a segment is committed.", but=0.0)
    ] = 0.97,
    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            help="left or confidence: which positions come first. Default: left, but confidence with dcd.",
        ),
    ] = None,
    least: Annotated[
        float,
        number("--least", 0.0, 1.0, "Segments less probable than this share of the likeliest are not drawn.", but=1.0),
    ] = 0.03,
    guidance: Annotated[float, number("--guidance", 0.0, 100.0, "Classifier-free guidance w; 0 for none.")] = 0.0,
    temperature: Annotated[
        float | None,
        number("--temperature", 0.0, 100.0, "1 samples what was learned, 0 takes the likeliest. Default: the model's."),
    ] = None,
    spread: Annotated[
        float | None,
        number("--spread", 0.0, 3.0, "How much the temperature differs among trips. Default: the model's."),
    ] = None,
    route_choice: Annotated[
        float | None,
        number("--route-choice", 0.0, 100.0, "Weight of the model's recursive logit. Default: the model's."),
    ] = None,
    best_of: Annotated[
        int, whole("--best-of", 1, 9999, "Draws for each request, of which the best guess is made.")
    ] = 1,
    seed: Seed = 0,
    batch_size: Annotated[int, whole("--batch-size", 1, MOST_TRIPS, "Requests planned together; bounds memory.")] = 512,
    threads: Annotated[
        int, whole("--threads", 1, MOST_PROCESSES, "Threads of each process; on few cores more is slower.")
    ] = 1,
    workers: Annotated[
        int | None, whole("--workers", 1, MOST_PROCESSES, "Processes. Default: one a core for large jobs.")
    ] = None,
    shard_size: Annotated[
        int | None,
        whole("--shard-size", 1, MOST_TRIPS, "Trips a Parquet file: --out is then a folder, filled bit by bit."),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="Who writes shards: process, or ray (extra ray) for more than one machine.")
    ] = "process",
    on_error: OnError = "fail",
) -> None:
    """Generate trips: .geojson, .parquet, .csv, .gpx or .rou.xml; a folder of Parquet files with --shard-size."""
    model = usual_model(city, mode) if model is None else model
    arguments = dict(locals())
    if shard_size is None:
        check_suffix(out)
    elif suffix_of(out):
        raise ValueError(
            f"--out {out} is named like a file, but --shard-size writes a folder: leave out {suffix_of(out)}"
        )
    checked_on_error(on_error)
    if engine not in ENGINES:
        raise ValueError(f"--engine is {engine!r}, but must be one of {', '.join(ENGINES)}")
    if engine != "process" and shard_size is None:
        raise ValueError(f"--engine {engine} writes shards: give --shard-size too")
    if order not in (None, "left", "confidence"):
        raise ValueError(f"--order is {order!r}, but must be left or confidence")
    config = GenerationConfig(
        decoding=choose_decoding(decoding, blocks, steps, threshold), guidance=guidance, temperature=temperature,
        spread=spread, route_choice=route_choice, least=least,
        order=order, seed=seed, batch_size=batch_size,  # type: ignore[arg-type]
    )  # fmt: skip
    check_has_use(arguments, model)
    when = None if depart is None else parse_depart(depart, "--depart")
    network = load_city(city, mode)
    changes = Changes.parse(network, close=close, speed=speed or ())
    changed = changes.on(network)
    source: Source
    if od is None:
        source, count = Simulated(seed=seed, depart=when), n or 1000
    else:
        source, count = listed(od, changed, n, when, on_error)
    job = Job(city=city, mode=mode, model=model, changes=changes, config=config, best_of=best_of, threads=threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = workers or (cores if count * best_of >= MANY else 1)
    began = time.perf_counter()
    with progress("Generating trips", count) as bar:

        def done(trips: int) -> None:
            bar.advance(bar.task_ids[0], trips)

        if shard_size is None:
            made = write_one_file(job, source.part(changed, 0, count, network), network, out, processes, done)
        else:
            plan = Plan(job=job, source=source, count=count, size=shard_size, folder=out)
            made = 0
            for part in write_shards(plan, engine=engine, workers=processes):
                made += part
                done(part)
    spent = time.perf_counter() - began
    used = what_was_used(model, network, config if best_of == 1 else config.for_guess())
    write_run(
        out, "suffuse-trajectory", arguments, trips=count, seconds=round(spent, 3),
        trips_a_second=round(made / spent, 1), processes=processes,
        attribution=network.attribution, **used,
    )  # fmt: skip
    there = f", {count - made:,} of them there already" if made < count else ""
    say(f"{count:,} {'trip' if count == 1 else 'trips'} written to {out} ({made / spent:,.0f} trips/s{there})")


def listed(
    od: Path, network: RoadNetwork, n: int | None, depart: np.datetime64 | None, on_error: str
) -> tuple[Listed, int]:
    """The requests of an OD file that can be met, and how many trips they ask for: `n`, less those that cannot."""
    requests, skipped = read_requests(od, network, depart=depart, on_error=checked_on_error(on_error))
    for sentence in skipped[:10]:
        say(f"Note: skipped: {sentence}")
    if len(skipped) > 10:
        say(f"Note: {len(skipped) - 10} more lines of {od} skipped")
    lines = len(requests) + len(skipped)
    wanted = requests.take(np.arange(min(n or len(requests), len(requests))))
    can = check_reachable(network, wanted, on_error)
    if n is None or len(can) == len(requests):
        return Listed(requests=can, stride=lines), n or len(can)
    turns, rest = divmod(n, len(requests))
    more = int(np.isin(can.request_id, requests.request_id[:rest]).sum())
    return Listed(requests=can, stride=lines), turns * len(can) + more


def write_one_file(
    job: Job, requests: Requests, network: RoadNetwork, out: Path, processes: int, done: Callable[[int], None]
) -> int:
    """All trips in one file, which appears when the last is drawn; returns their number."""
    local = Worker(job, network) if processes == 1 else None
    parts = []
    for part in answer(job, requests, workers=processes, local=local):
        parts.append(part)
        done(len(part))
    write_trips(concatenate(parts), job.changes.on(network), out)
    return len(requests)


def what_was_used(model: str, network: RoadNetwork, config: GenerationConfig) -> dict[str, object]:
    """For the record of a run: hash of the weights, and how their probabilities were used; nothing for a baseline."""
    if is_baseline(model):
        return {}
    directory = model_directory(model)
    sharpness = asdict(config.sharpness(sharpness_on(directory, network)))
    return {"model_sha256": file_hash(directory / WEIGHTS_FILE), "sharpness": sharpness}


def choose_decoding(name: str, blocks: int, steps: int, threshold: float) -> Decoding:
    """A decoder by name. Raises ValueError for a name that is neither confidence nor dcd."""
    if name == "confidence":
        return ConfidenceDecoding(block=blocks, steps=steps, threshold=threshold)
    if name == "dcd":
        return DeferredCommitmentDecoding(masks=blocks, width=2 * blocks, threshold=threshold)
    raise ValueError(f"--decoding is {name!r}, but must be confidence or dcd")
