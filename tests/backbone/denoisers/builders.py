"""Pieces of tiny denoisers: how many samples and layers, the inputs of a call, and the settings of families."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

B = 2  # samples
DEPTH = 3


def r(*shape: int) -> Tensor:
    return torch.randn(*shape)


def ones(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.ones(*shape, dtype=dtype)


def at(time: float) -> Tensor:
    """One time for all samples."""
    return torch.full((B,), time)


Case = tuple[dict[str, Any], Callable[[], dict[str, Any]], str, str]


def case(
    config: dict[str, Any], inputs: Callable[[], dict[str, Any]], sample: str = "hidden_states", time: str = "timestep"
) -> Case:
    return config, inputs, sample, time


def layers(**config: Any) -> dict[str, Any]:
    return {"num_layers": DEPTH, "num_attention_heads": 2} | config


def latents(**config: Any) -> dict[str, Any]:
    """Layers between four channels and four channels, with heads of eight numbers."""
    return layers(in_channels=4, out_channels=4, attention_head_dim=8) | config


def text() -> Tensor:
    """Six text tokens of sixteen numbers."""
    return r(B, 6, 16)


def image(
    channels: int = 4, size: int = 8, text: int = 16, tokens: int = 6, **more: Any
) -> Callable[[], dict[str, Any]]:
    """An image in channels, text tokens and times."""

    def make() -> dict[str, Any]:
        return {
            "hidden_states": r(B, channels, size, size),
            "encoder_hidden_states": r(B, tokens, text),
            "timestep": at(900.0),
        } | {name: value() for name, value in more.items()}

    return make


def video(
    channels: int = 4,
    frames: int = 2,
    size: int = 8,
    text: int = 16,
    tokens: int = 6,
    frames_first: bool = False,
    **more: Any,
) -> Callable[[], dict[str, Any]]:
    """A video, text tokens and times."""

    def make() -> dict[str, Any]:
        shape = (frames, channels) if frames_first else (channels, frames)
        return {
            "hidden_states": r(B, *shape, size, size),
            "encoder_hidden_states": r(B, tokens, text),
            "timestep": at(900.0),
        } | {name: value() for name, value in more.items()}

    return make


def packed(
    channels: int = 4, side: int = 4, text: int = 16, tokens: int = 6, ids: int = 3, **more: Any
) -> Callable[[], dict[str, Any]]:
    """An image as a row of tokens with positions, text tokens with positions, and times in [0, 1]."""

    def make() -> dict[str, Any]:
        grid = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
        positions = torch.cat([torch.zeros(side * side, 1), grid, torch.zeros(side * side, 1)], dim=1)[:, :ids]
        return (
            {
                "hidden_states": r(B, side * side, channels),
                "encoder_hidden_states": r(B, tokens, text),
                "timestep": at(0.9),
            }
            | ({"img_ids": positions, "txt_ids": torch.zeros(tokens, ids)} if ids else {})
            | {name: value() for name, value in more.items()}
        )

    return make


def flux(**config: Any) -> dict[str, Any]:
    return (
        layers(
            patch_size=1,
            in_channels=4,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=8,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
        )
        | config
    )
