"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.backbone.shortcuts import SHORTCUTS
from suffuse.console import number, whole

MOST_SEED = 2**31 - 1
SHARE = "Share of the operations of a full generation that one may take."
NAMES = ", ".join(sorted(SHORTCUTS))

Model = Annotated[
    str,
    typer.Option("--model", help="dit or unet (the study's), or the folder of a diffusers pipeline."),
]
Budget = Annotated[float, number("--budget", 0.0, 1.0, SHARE, but=0.0)]
Steps = Annotated[int | None, whole("--steps", 2, 10_000, "Steps of a generation. Default: 30 for the study, else 50.")]
Prompts = Annotated[
    Path | None,
    typer.Option(
        "--prompts", help="A file with a prompt on each line (or the number of a class), for pipelines that take one."
    ),
]
Seed = Annotated[int, whole("--seed", 0, MOST_SEED, "Of the noise: the same seed, the same samples.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of Fashion-MNIST. Default: where Debian's package puts it.")
]
Study = Annotated[str, typer.Option("--study", help="dit or unet.")]
