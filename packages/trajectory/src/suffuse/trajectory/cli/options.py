"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from suffuse.console import whole

MOST_TRIPS = 100_000_000

City = Annotated[
    str,
    typer.Option(
        "--city",
        help="A city by name (la-serena, coquimbo-8km, coquimbo-full), a city folder, or a road file: GraphML, "
        "GeoPackage, GeoParquet, GeoJSON, SUMO net.xml, .osm.pbf.",
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(
        "--mode", help="Who travels: drive, bike or walk. Default: those the roads were made for; drivers where their "
        "file names nobody.",
    ),
]  # fmt: skip
Seed = Annotated[int, whole("--seed", 0, 2**63 - 1, "Another seed, other trips; the same seed, the same trips.")]
OnError = Annotated[str, typer.Option("--on-error", help="What to do with records that cannot be used: fail or skip.")]
Close = Annotated[str, typer.Option("--close", help="Segment ids that no trip may use, separated by commas.")]
Speed = Annotated[
    list[str] | None,
    typer.Option(
        "--speed", help="ID=KMH: a segment's speed from now on; repeat it, separate by commas, or name a CSV file "
        "with the columns segment,speed_kmh.",
    ),
]  # fmt: skip
Out = Annotated[Path, typer.Option("--out", help="The file to write; its suffix chooses the format.")]


def checked_on_error(value: str) -> Literal["fail", "skip"]:
    """`fail` or `skip`. Raises ValueError for anything else."""
    if value == "fail":
        return "fail"
    if value == "skip":
        return "skip"
    raise ValueError(f"--on-error is {value!r}, but must be fail or skip")
