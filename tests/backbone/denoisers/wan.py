"""Wan, and the transformers made of it."""

from typing import Any

import torch
from denoisers.builders import DEPTH, B, Case, case, layers, r, video
from diffusers.models.transformers.transformer_wan_animate_2 import WanAnimate2KVCache


def wan(**config: Any) -> dict[str, Any]:
    return (
        layers(
            attention_head_dim=12,
            in_channels=4,
            out_channels=4,
            text_dim=16,
            freq_dim=16,
            ffn_dim=32,
            rope_max_seq_len=32,
        )
        | config
    )


WAN: dict[str, Case] = {
    "AnyFlowFARTransformer3DModel": case(
        wan(full_chunk_limit=3),
        video(
            frames=4,
            frames_first=True,
            chunk_partition=lambda: [2, 2],
            timestep=lambda: torch.full((B, 4), 900.0),
            r_timestep=lambda: torch.full((B, 4), 500.0),
        ),
    ),
    "AnyFlowTransformer3DModel": case(
        wan(),
        video(
            frames_first=True, timestep=lambda: torch.full((B, 2), 900.0), r_timestep=lambda: torch.full((B, 2), 500.0)
        ),
    ),
    "ChronoEditTransformer3DModel": case(wan(), video()),
    "HeliosTransformer3DModel": case(
        wan(rope_dim=(4, 4, 4)) | {"rope_max_seq_len": ...}, video(timestep=lambda: torch.full((B,), 900))
    ),
    "SkyReelsV2Transformer3DModel": case(wan(), video()),
    "WanAnimate2Transformer3DModel": case(
        {
            "text_len": 8,
            "in_dim": 8,
            "dim": 24,
            "ffn_dim": 32,
            "freq_dim": 16,
            "text_dim": 16,
            "out_dim": 4,
            "num_heads": 2,
            "num_layers": DEPTH,
        },
        lambda: {
            "hidden_states": [r(4, 1, 8, 8)],
            "timestep": torch.tensor([900.0]),
            "encoder_hidden_states": [r(6, 16)],
            "condition_latents": [r(4, 1, 8, 8)],
            "encoder_hidden_states_image": r(1, 4, 1280),
            "kv_cache": WanAnimate2KVCache(DEPTH),
            "kv_cache_mode": "extract",
            "seq_len": 16,
            "offset_grid_sizes": torch.tensor([[1, 4, 4]]),
        },
    ),
    "WanAnimateTransformer3DModel": case(
        wan(
            in_channels=12,
            latent_channels=4,
            image_dim=16,
            motion_encoder_channel_sizes={"4": 8, "8": 8, "16": 8},
            motion_encoder_size=16,
            motion_style_dim=8,
            motion_dim=4,
            motion_encoder_dim=16,
            face_encoder_hidden_dim=16,
            face_encoder_num_heads=2,
            inject_face_latents_blocks=1,
        ),
        video(
            12,
            frames=3,
            size=16,
            encoder_hidden_states_image=lambda: r(B, 4, 16),
            pose_hidden_states=lambda: r(B, 4, 2, 16, 16),
            face_pixel_values=lambda: r(B, 3, 5, 16, 16),
        ),
    ),
    "WanTransformer3DModel": case(wan(), video()),
    "WanVACETransformer3DModel": case(
        wan(vace_layers=[0, 2], vace_in_channels=8), video(control_hidden_states=lambda: r(B, 8, 2, 8, 8))
    ),
}
