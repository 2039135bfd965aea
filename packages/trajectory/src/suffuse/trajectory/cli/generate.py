"""`generate`: trips for requests, to a file whose suffix says how."""

import os
import re
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from suffuse.backbone.discrete import ConfidenceDecoding, Decoding, DeferredCommitmentDecoding
from suffuse.console import MOST_PROCESSES, WEIGHTS_FILE, file_hash, number, progress, say, shown, whole, write_run
from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import MOST_TRIPS, City, Model, OnError, Out, Seed, checked_on_error
from suffuse.trajectory.demand.draw_requests import draw_requests
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.model.generate import GenerationConfig, unreachable
from suffuse.trajectory.model.pretrained import model_directory, sharpness_on
from suffuse.trajectory.od import parse_depart, read_requests
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import concatenate
from suffuse.trajectory.trips.write import check_suffix, write_trips
from suffuse.trajectory.workers import Job, Worker, answer

MANY = 2000
"""From this many trips on, one process a core pays for its start."""


def closed_segments(text: str, network: RoadNetwork) -> tuple[int, ...]:
    """Indices of the ids in `--close 1,2,3`. Raises RequestError for an id that is not in the network."""
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        index = network.index_of.get(int(part)) if re.fullmatch(r"-?[0-9]{1,19}", part) else None
        if index is None:
            raise RequestError(f"--close: segment {shown(part)} is not in road network {network.name!r}")
        found.append(index)
    return tuple(found)


def repeated(requests: Requests, count: int) -> Requests:
    """`count` requests: the given ones in turn, again and again, each with an id of its own."""
    rows = np.arange(count) % len(requests)
    again = requests.take(rows)
    if count <= len(requests):
        return again
    turn = np.arange(count) // len(requests)
    names = [f"{name}-{k}" if k else name for name, k in zip(again.request_id, turn, strict=True)]
    return replace(again, request_id=np.array(names, dtype=object))


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


@app.command()
def generate(
    out: Out,
    city: City = "la-serena",
    model: Model = "la-serena",
    n: Annotated[int | None, whole("-n", 1, MOST_TRIPS, "How many trips. Default: 1000, or one a row of --od.")] = None,
    od: Annotated[
        Path | None, typer.Option("--od", help="CSV with origin,destination[,depart]: segment ids or lon/lat pairs.")
    ] = None,
    depart: Annotated[str | None, typer.Option("--depart", help="Departure of all trips: 08:00 or ISO 8601.")] = None,
    close: Annotated[str, typer.Option("--close", help="Segment ids that no trip may use, separated by commas.")] = "",
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
    best_of: Annotated[int, whole("--best-of", 1, 9999, "Draws a request, of which the medoid is kept.")] = 1,
    seed: Seed = 0,
    batch_size: Annotated[int, whole("--batch-size", 1, MOST_TRIPS, "Requests planned together; bounds memory.")] = 512,
    threads: Annotated[
        int, whole("--threads", 1, MOST_PROCESSES, "Threads of each process; on few cores more is slower.")
    ] = 1,
    workers: Annotated[
        int | None, whole("--workers", 1, MOST_PROCESSES, "Processes. Default: one a core for large jobs.")
    ] = None,
    on_error: OnError = "fail",
) -> None:
    """Generate trips: .geojson, .parquet, .csv, .gpx or .rou.xml."""
    arguments = dict(locals())
    check_suffix(out)
    checked_on_error(on_error)
    if order not in (None, "left", "confidence"):
        raise ValueError(f"--order is {order!r}, but must be left or confidence")
    config = GenerationConfig(
        decoding=choose_decoding(decoding, blocks, steps, threshold), guidance=guidance, temperature=temperature,
        spread=spread, route_choice=route_choice, least=least,
        order=order, seed=seed, batch_size=batch_size,  # type: ignore[arg-type]
    )  # fmt: skip
    when = None if depart is None else parse_depart(depart, "--depart")
    network = load_city(city)
    closed = closed_segments(close, network)
    open_network = network.without(np.array(closed)) if closed else network
    if od is None:
        requests = draw_requests(open_network, n or 1000, seed=seed)
        if when is not None:
            requests = replace(requests, depart=np.full(len(requests), when))
    else:
        requests, skipped = read_requests(od, network, depart=when, on_error=checked_on_error(on_error))
        for sentence in skipped[:10]:
            say(f"Note: skipped: {sentence}")
        if len(skipped) > 10:
            say(f"Note: {len(skipped) - 10} more lines of {od} skipped")
        requests = repeated(requests, n or len(requests))
    requests = check_reachable(open_network, requests, on_error)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers or (cores if len(requests) * best_of >= MANY else 1)
    job = Job(
        city=city, model=model, closed=closed, config=config, best_of=best_of,
        threads=threads,
    )  # fmt: skip
    local = Worker(job, network) if count == 1 else None
    began = time.perf_counter()
    parts = []
    with progress("Generating trips", len(requests)) as bar:
        for part in answer(job, requests, workers=count, local=local):
            parts.append(part)
            bar.advance(bar.task_ids[0], len(part))
    trips = concatenate(parts)
    spent = time.perf_counter() - began
    write_trips(trips, open_network, out)
    used = what_was_used(model, network, config if best_of == 1 else config.for_guess())
    write_run(
        out, "suffuse-trajectory", arguments, trips=len(trips), seconds=round(spent, 3),
        trips_a_second=round(len(trips) / spent, 1), processes=count,
        attribution=network.attribution, **used,
    )  # fmt: skip
    say(f"{len(trips):,} trips written to {out} ({len(trips) / spent:,.0f} trips/s)")


def what_was_used(model: str, network: RoadNetwork, config: GenerationConfig) -> dict[str, object]:
    """For the record of a run: hash of the weights, and how their probabilities were used; nothing for a baseline."""
    if model in BASELINES and not Path(model).exists():
        return {}
    directory = model_directory(model)
    if not (directory / WEIGHTS_FILE).is_file():
        return {}
    sharpness = asdict(config.sharpness(sharpness_on(directory, network)))
    return {"model_sha256": file_hash(directory / WEIGHTS_FILE), "sharpness": sharpness}


def choose_decoding(name: str, blocks: int, steps: int, threshold: float) -> Decoding:
    """A decoder by name. Raises ValueError for a name that is neither confidence nor dcd."""
    if name == "confidence":
        return ConfidenceDecoding(block=blocks, steps=steps, threshold=threshold)
    if name == "dcd":
        return DeferredCommitmentDecoding(masks=blocks, width=2 * blocks, threshold=threshold)
    raise ValueError(f"--decoding is {name!r}, but must be confidence or dcd")
