"""A tiny DiT and a tiny UNet that the study's code can sample with, and a judge without training."""

from collections.abc import Callable

import diffusers
import pytest
import torch
from torch import nn

from suffuse.backbone_cli.study.classifier import FashionClassifier
from suffuse.backbone_cli.study.measures import moments
from suffuse.backbone_cli.study.shipped import Judge


def tiny_dit() -> nn.Module:
    return diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=1,
        out_channels=1,
        num_layers=3,
        sample_size=32,
        patch_size=8,
        num_embeds_ada_norm=10,
    )


def tiny_unet() -> nn.Module:
    return diffusers.UNet2DModel(
        sample_size=32,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(4, 4),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        norm_num_groups=2,
        attention_head_dim=4,
        num_class_embeds=11,
    )


TINY = {"dit": tiny_dit, "unet": tiny_unet}


@pytest.fixture
def tiny() -> Callable[[str], nn.Module]:
    """Builds the tiny model of a study."""

    def make(study: str) -> nn.Module:
        torch.manual_seed(0)
        model = TINY[study]()
        for parameter in model.parameters():
            if parameter.numel() and not parameter.any():
                nn.init.normal_(parameter, std=0.05)
        return model.eval().requires_grad_(False)

    return make


@pytest.fixture
def judge() -> Judge:
    """A classifier with random weights, and the moments of noise."""
    torch.manual_seed(0)
    classifier = FashionClassifier(width=2, features=4).eval().requires_grad_(False)
    return Judge(classifier, *moments(classifier.features(torch.randn(50, 1, 32, 32))))
