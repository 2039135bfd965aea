"""`prepare`: demonstrations from a scripted expert, or from a file in another format."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from suffuse.console import number, progress, say, whole, write_run
from suffuse.policy.cli.app import app
from suffuse.policy.cli.options import DEFAULT_ENV, MOST_SEED, Env, check_given
from suffuse.policy.data import read_demonstrations, write_demonstrations
from suffuse.policy.data.files import check_target
from suffuse.policy.environments.pusht_pictures import with_pictures
from suffuse.policy.experts.demonstrate import demonstrate


@app.command()
def prepare(
    out: Annotated[
        Path, typer.Option("--out", help="What to write: a name in .zarr, .zarr.zip, .hdf5, or a LeRobot folder.")
    ],
    source: Annotated[
        Path | None, typer.Option("--source", help="Demonstrations to convert. Default: ask the scripted expert.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="zarr, robomimic, lerobot or lerobot-v2.1. Default: by the name.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Columns of --source to keep, by commas; action is always kept.")
    ] = None,
    fps: Annotated[float | None, number("--fps", 0.001, 1e6, "Moments a second, where --source does not say.")] = None,
    disturb: Annotated[
        float, number("--disturb", 0.0, 1.0, "Push the expert of an arm off its way: standard deviation.")
    ] = 0.0,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="PushT: add what the simulator shows of each state, as a column pixels.")
    ] = False,
    env: Env = DEFAULT_ENV,
    episodes: Annotated[int, whole("--episodes", 1, 1_000_000, "Episodes of the expert to keep.")] = 100,
    first_seed: Annotated[int, whole("--first-seed", 0, MOST_SEED, "Seed of the first; the others follow.")] = 0,
) -> None:
    """Write demonstrations: those of a scripted expert, or those of another file."""
    arguments = dict(locals())
    if source is None:
        check_given(prepare, arguments, ("columns", "fps"), "goes with --source")
    else:
        replaced = ("disturb", "env", "episodes", "first_seed")
        check_given(prepare, arguments, replaced, "concerns the expert, which --source replaces")
    check_target(out, format=format)
    if source is not None:
        names = None if columns is None else [name.strip() for name in columns.split(",")]
        made = read_demonstrations(source, columns=names)
        if fps is not None:
            made = replace(made, fps=fps)
    else:
        with progress("episodes", episodes) as bar:
            made = demonstrate(
                env, episodes, first_seed=first_seed, disturbance=disturb,
                on_end=lambda: bar.advance(bar.task_ids[0]),
            )  # fmt: skip
    if pixels:
        with progress("pictures", made.rows) as bar:
            made = with_pictures(made, on_row=lambda: bar.advance(bar.task_ids[0]))
    write_demonstrations(made, out, format=format)
    write_run(out, "suffuse-policy", arguments, episodes=len(made), rows=made.rows)
    say(f"{len(made):,} episodes, {made.rows:,} rows written to {out}")
