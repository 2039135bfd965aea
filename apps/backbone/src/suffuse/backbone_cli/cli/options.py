"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from suffuse.console import number, whole

MOST_SEED = 2**31 - 1

Model = Annotated[
    str,
    typer.Option("--model", help="dit or unet (the study's), or the folder of a diffusers pipeline."),
]
Budget = Annotated[float, number("--budget", 0.0, 1.0, "Share of the full work that a generation may take.", but=0.0)]
Steps = Annotated[int | None, whole("--steps", 2, 10_000, "Steps of a generation. Default: 30 for the study, else 50.")]
Prompts = Annotated[
    Path | None, typer.Option("--prompts", help="A file with a prompt on each line, for pipelines that take prompts.")
]
Seed = Annotated[int, whole("--seed", 0, MOST_SEED, "The same seed, the same noise.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of Fashion-MNIST. Default: where Debian's package puts it.")
]
Study = Annotated[str, typer.Option("--study", help="dit or unet.")]
