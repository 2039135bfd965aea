"""What the study trains: a transformer and a UNet of diffusers, of like size, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffusers
from diffusers.models.embeddings import LabelEmbedding
from torch import nn

from suffuse.backbone.train import TrainConfig
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import CLASSES, SIZE


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model of the study.

    Attributes:
        name: Name of the folder with its weights.
        make: Builds it with random weights.
        batch: Images in a batch.
        config: How it is trained.
    """

    name: str
    make: Callable[[], nn.Module]
    batch: int
    config: TrainConfig


def study_dit() -> nn.Module:
    """A class-conditional DiT (Peebles and Xie 2023): eight blocks of width 128 over 64 patches of 4 x 4.

    diffusers drops labels in each block by itself, so that hardly ever all blocks see no label, which is what guidance
    asks for; here the loss drops them once for all, and that of the blocks is off.
    """
    kind: Any = diffusers.DiTTransformer2DModel  # diffusers has no types
    model: nn.Module = kind(
        num_attention_heads=4,
        attention_head_dim=32,
        in_channels=1,
        out_channels=1,
        num_layers=8,
        sample_size=SIZE,
        patch_size=4,
        num_embeds_ada_norm=len(CLASSES),
    )
    for module in model.modules():
        if isinstance(module, LabelEmbedding):
            module.dropout_prob = 0.0
    return model


def study_unet() -> nn.Module:
    """A class-conditional UNet (Ho, Jain and Abbeel 2020): 32 x 32 to 8 x 8, attention at 8 x 8."""
    kind: Any = diffusers.UNet2DModel
    model: nn.Module = kind(
        sample_size=SIZE,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=32,
        num_class_embeds=len(CLASSES) + 1,
    )
    return model


def settings(*, steps: int, learning_rate: float) -> TrainConfig:
    """How a model of the study is trained."""
    return TrainConfig(
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=200,
        ema_decay=0.998,
        checkpoint_every_steps=500,
        checkpoint_every_seconds=300.0,
        mixed_precision="bf16",
    )


RECIPES = {
    "dit": Recipe(name="study-dit", make=study_dit, batch=32, config=settings(steps=3000, learning_rate=1.5e-3)),
    "unet": Recipe(name="study-unet", make=study_unet, batch=32, config=settings(steps=2000, learning_rate=1e-3)),
}
"""The recipes by the word that the command takes."""


def recipe(name: str) -> Recipe:
    """The recipe of this name. Raises StudyError for any other."""
    if name not in RECIPES:
        raise StudyError(f"there is no study {name!r}; there are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
