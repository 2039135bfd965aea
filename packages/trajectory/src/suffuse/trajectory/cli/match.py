"""`match`: GPS points to trips, in any format trips are written in, with a report of what could not be matched."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.console import MOST_PROCESSES, check_writable, number, progress, say, whole, write_json, write_run
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, Mode, OnError, Out, checked_on_error
from suffuse.trajectory.matching import MatchConfig, read_points
from suffuse.trajectory.matching import match as match_points
from suffuse.trajectory.matching.read import is_read
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.network import WGS84
from suffuse.trajectory.trips.write import check_suffix, write_trips

SHOWN = 5
"""Problems that are printed; the report has all."""


@app.command()
def match(
    points: Annotated[
        Path,
        typer.Argument(help="GPS points: CSV, GPX, GeoJSON, Porto's CSV, GeoLife .plt, T-Drive .txt, or a folder."),
    ],
    out: Out,
    city: City = "la-serena",
    mode: Mode = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write what was matched, and what not and why, as JSON.")
    ] = None,
    crs: Annotated[str, typer.Option("--crs", help="CRS of the positions in a CSV file.")] = WGS84,
    gap: Annotated[
        float | None,
        number("--gap", 0.0, 1e9, "Seconds without a fix that begin a new trip. Default: none do.", but=0.0),
    ] = None,
    cut: Annotated[
        bool, typer.Option("--cut", help="Cut a trace where it cannot be matched, instead of leaving it out.")
    ] = False,
    radius: Annotated[
        float, number("--radius", 0.0, 10_000.0, "Metres from a fix to its segment at most.", but=0.0)
    ] = MatchConfig.radius_m,
    gps_error: Annotated[
        float, number("--gps-error", 0.0, 10_000.0, "Standard deviation of the fixes, metres.", but=0.0)
    ] = MatchConfig.gps_error_m,
    candidates: Annotated[
        int, whole("--candidates", 1, 1000, "Segments considered for each fix.")
    ] = MatchConfig.candidates,
    reach: Annotated[
        float | None,
        number(
            "--reach", 0.0, 100_000.0, "Metres between two fixes at most, by road. Default: from the fixes.", but=0.0
        ),
    ] = None,
    stray: Annotated[
        float, number("--stray", 0.0, 1.0, "Share of a trace's fixes that may be left out for want of a road.")
    ] = MatchConfig.stray_share,
    workers: Annotated[int, whole("--workers", 1, MOST_PROCESSES, "Processes.")] = 1,
    on_error: OnError = "skip",
) -> None:
    """Match GPS points to roads: .geojson, .parquet, .csv, .gpx or .rou.xml."""
    arguments = dict(locals())
    check_suffix(out)
    skipping = checked_on_error(on_error)
    if report is not None:
        check_writable(report)
    check_apart(points, out, report)
    config = MatchConfig(
        radius_m=radius, gps_error_m=gps_error, candidates=candidates, reach_m=reach, stray_share=stray, gap_s=gap,
        cut=cut,
    )  # fmt: skip
    network = load_city(city, mode)
    traces = read_points(points, crs=crs)
    with progress("Matching traces", len(traces)) as bar:
        trips, found = match_points(
            traces, network, config=config, on_error=skipping, workers=workers,
            on_progress=lambda done: bar.update(bar.task_ids[0], completed=done),
        )  # fmt: skip
    facts = found.to_dict()
    if report is not None:
        write_json(report, facts)  # before the trips: where it cannot be written, there are none either
    write_trips(trips, network, out)
    facts.pop("problems")
    write_run(out, "suffuse-trajectory", arguments, attribution=network.attribution, **facts)
    say(f"{found.sentence()}.")
    for problem in found.problems[:SHOWN]:
        say(f"Note: {traces.unit} {problem.record} (trip {problem.trip_id!r}): {problem.sentence}")
    if len(found.problems) > SHOWN:
        say(f"Note: {len(found.problems) - SHOWN:,} more{f' in {report}' if report else ': give --report FILE'}")
    say(f"{len(trips):,} trips written to {out} ({found.traces / max(found.seconds, 1e-9):,.0f} traces/s)")


def check_apart(points: Path, out: Path, report: Path | None) -> None:
    """Raise ValueError where a file would be written over what is read, or over another that is written."""
    for option, path in (("--out", out), ("--report", report)):
        if path is not None and is_read(path, points):
            raise ValueError(f"{option} {path} would overwrite the points that are read: give another file")
    if report is not None and report.resolve() in {out.resolve(), out.with_name(f"{out.name}.run.json").resolve()}:
        raise ValueError(f"--report {report} is written by --out {out} already: give another file")
