"""What `calibrate` and `report` sample with: a model of the study, or a diffusers pipeline in a folder."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.recipes import RECIPES, recipe
from suffuse.backbone_cli.study.scene import GUIDANCE, STEPS, Scene
from suffuse.backbone_cli.study.shipped import load_study
from suffuse.console import because, shown

PIPELINE_STEPS = 50
STUDY_SAMPLES = 16
"""Samples of one episode of the study."""


@dataclass(frozen=True)
class Target:
    """Something to sample with.

    Attributes:
        accelerated: What `accelerate` takes: a pipeline, or a denoiser.
        steps: Steps of a generation.
        bare: Whether it is a denoiser, which has to be told the number of steps.
        generate: A sample by the number of the episode.
    """

    accelerated: Any
    steps: int
    bare: bool
    generate: Callable[[int], Tensor]


def target(name: str, *, steps: int | None, prompts: Path | None, seed: int) -> Target:
    """The target of a name.

    Raises StudyError for a folder without a pipeline, and prompts that are missing or make no sense.
    """
    if name in RECIPES:
        if prompts is not None:
            raise StudyError(f"--prompts goes with a pipeline, and --model is {name!r}, a model of the study")
        model = load_study(recipe(name))
        count = steps or STEPS

        def episode_of_study(episode: int) -> Tensor:
            return Scene(model, seed + episode, STUDY_SAMPLES, GUIDANCE).run(model, count).images

        return Target(model, count, True, episode_of_study)
    folder = Path(name)
    if not (folder / "model_index.json").is_file():
        raise StudyError(f"--model is {shown(name)}, but must be {', '.join(RECIPES)} or the folder of a pipeline")
    try:
        kind: Any = DiffusionPipeline  # diffusers has no types
        pipeline = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise StudyError(f"{folder} holds no pipeline that can be loaded: {because(error)}") from None
    pipeline.set_progress_bar_config(disable=True)
    lines = _prompts(prompts, of_classes="class_labels" in inspect.signature(pipeline.__call__).parameters)

    def episode_of_pipeline(episode: int) -> Tensor:
        given = [lines[episode % len(lines)]] if lines else []
        generator = torch.Generator().manual_seed(seed + episode)
        try:
            made = pipeline(*given, num_inference_steps=steps or PIPELINE_STEPS, generator=generator, output_type="np")
        except TypeError as error:
            hint = "" if lines else "; if it takes prompts, give it some by --prompts"
            raise StudyError(f"the pipeline in {folder} cannot sample: {because(error)}{hint}") from error
        return torch.as_tensor(made.images)

    return Target(pipeline, steps or PIPELINE_STEPS, False, episode_of_pipeline)


def _prompts(path: Path | None, *, of_classes: bool) -> Sequence[Any]:
    """Each line as the pipeline wants it: a prompt, or a list with the number of a class."""
    if path is None:
        return []
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise StudyError(f"{path} holds no prompt")
    if not of_classes:
        return lines
    for line in lines:
        if not line.isdecimal():
            raise StudyError(f"{path} holds {shown(line)}, but this pipeline takes numbers of classes")
    return [[int(line)] for line in lines]
