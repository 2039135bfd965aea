"""UNets."""

from collections.abc import Callable
from typing import Any

import torch
from denoisers.builders import B, Case, at, case, ones, r, text


def unet(**config: Any) -> dict[str, Any]:
    return {
        "sample_size": 8,
        "block_out_channels": (8, 8, 16),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "cross_attention_dim": 16,
        "attention_head_dim": 4,
    } | config


def call(*shape: int, **more: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """A sample of that shape, times and text tokens."""
    said = {"encoder_hidden_states": text} | more
    return lambda: {"sample": r(B, *shape), "timestep": at(900.0)} | {name: value() for name, value in said.items()}


UNETS: dict[str, Case] = {
    "DreamLiteUNetModel": case(unet(attention_head_dim=(2, 2, 2)), call(4, 8, 8), "sample"),
    "I2VGenXLUNet": case(
        unet(
            num_attention_heads=2,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        ),
        lambda: {
            "sample": r(B, 4, 2, 8, 8),
            "timestep": at(900.0),
            "fps": torch.full((B,), 8),
            "image_latents": r(B, 4, 2, 8, 8),
            "image_embeddings": r(B, 1, 16),
            "encoder_hidden_states": text(),
        },
        "sample",
    ),
    "Kandinsky3UNet": case(
        {
            "groups": 4,
            "attention_head_dim": 4,
            "layers_per_block": 3,
            "block_out_channels": (8, 16, 32, 64),
            "cross_attention_dim": 16,
            "encoder_hid_dim": 16,
            "time_embedding_dim": 16,
        },
        call(4, 8, 8, encoder_attention_mask=lambda: ones(B, 6)),
        "sample",
    ),
    "StableCascadeUNet": case(
        {
            "in_channels": 4,
            "out_channels": 4,
            "timestep_ratio_embedding_dim": 8,
            "conditioning_dim": 16,
            "block_out_channels": (8, 16),
            "num_attention_heads": (0, 2),
            "down_num_layers_per_block": (1, 2),
            "up_num_layers_per_block": (2, 1),
            "block_types_per_layer": (
                ("SDCascadeResBlock", "SDCascadeTimestepBlock"),
                ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),
            ),
            "clip_text_pooled_in_channels": 16,
            "dropout": (0.0, 0.0),
        },
        lambda: {"sample": r(B, 4, 8, 8), "timestep_ratio": at(0.9), "clip_text_pooled": r(B, 1, 16)},
        "sample",
        "timestep_ratio",
    ),
    "UNet1DModel": case(
        {
            "sample_size": 16,
            "in_channels": 2,
            "out_channels": 2,
            "block_out_channels": (32, 32, 64),
            "extra_in_channels": 64,
        },
        lambda: {"sample": r(B, 2, 32), "timestep": at(900.0)},
        "sample",
    ),
    "UNet2DConditionModel": case(
        unet(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        call(4, 8, 8),
        "sample",
    ),
    "UNet2DModel": case(
        unet(
            cross_attention_dim=...,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        ),
        lambda: {"sample": r(B, 3, 8, 8), "timestep": at(900.0)},
        "sample",
    ),
    "UNet3DConditionModel": case(
        unet(
            down_block_types=("CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"),
        ),
        call(4, 2, 8, 8),
        "sample",
    ),
    "UNetMotionModel": case(
        unet(
            attention_head_dim=...,
            num_attention_heads=2,
            motion_num_attention_heads=2,
            down_block_types=("CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion", "DownBlockMotion"),
            up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion"),
        ),
        call(4, 2, 8, 8, encoder_hidden_states=lambda: r(2 * B, 6, 16)),
        "sample",
    ),
    "UNetSpatioTemporalConditionModel": case(
        {
            "sample_size": 8,
            "in_channels": 4,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 24,
            "cross_attention_dim": 16,
            "num_attention_heads": (2, 2),
            "num_frames": 2,
            "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        },
        call(2, 4, 8, 8, encoder_hidden_states=lambda: r(B, 1, 16), added_time_ids=lambda: ones(B, 3)),
        "sample",
    ),
}
