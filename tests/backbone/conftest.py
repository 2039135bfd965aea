"""Tiny denoisers with random weights: one of every class that diffusers exports, with fitting inputs."""

from collections.abc import Callable

import diffusers
import pytest
import torch
from denoisers.denoiser import Denoiser
from denoisers.images import IMAGES
from denoisers.sounds import SOUNDS
from denoisers.tokens import TOKENS
from denoisers.unets import UNETS
from denoisers.videos import VIDEOS
from denoisers.wan import WAN
from torch import nn

CASES = IMAGES | TOKENS | VIDEOS | WAN | SOUNDS | UNETS

MakeDenoiser = Callable[[str], Denoiser]


@pytest.fixture
def make_denoiser() -> MakeDenoiser:
    """Builds the tiny denoiser of a class, in which every layer matters: no zero-initialised gate stays zero."""

    def make(name: str) -> Denoiser:
        config, inputs, sample, time = CASES[name]
        torch.manual_seed(0)
        model = getattr(diffusers, name)(**{key: value for key, value in config.items() if value is not ...})
        for parameter in model.parameters():
            if parameter.numel() and parameter.is_floating_point() and not parameter.any():
                nn.init.normal_(parameter, std=0.02)
        return Denoiser(model.eval().requires_grad_(False), inputs(), sample, time)

    return make
