"""Transformers over videos, some with sound."""

from typing import Any

import torch
from denoisers.builders import DEPTH, B, Case, at, case, latents, layers, ones, packed, r, text, video

HUNYUAN_VIDEO_CALL = {
    "encoder_attention_mask": lambda: ones(B, 6),
    "pooled_projections": lambda: r(B, 8),
    "guidance": lambda: at(900.0),
}


def cog_video() -> dict[str, Any]:
    sizes = {"sample_width": 8, "sample_height": 8, "sample_frames": 5}
    return latents(time_embed_dim=8, text_embed_dim=16, max_text_seq_length=6, **sizes)


def hunyuan_video(**config: Any) -> dict[str, Any]:
    return latents(num_refiner_layers=1, mlp_ratio=2.0, text_embed_dim=16, rope_axes_dim=(2, 2, 4)) | config


def kandinsky(**config: Any) -> dict[str, Any]:
    return {
        "in_visual_dim": 4,
        "out_visual_dim": 4,
        "in_text_dim": 16,
        "in_text_dim2": 16,
        "time_dim": 16,
        "model_dim": 16,
        "ff_dim": 32,
        "num_text_blocks": 2,
        "num_visual_blocks": DEPTH,
        "axes_dims": (4, 2, 2),
    } | config


def ltx2() -> dict[str, Any]:
    sound = {
        "audio_in_channels": 4,
        "audio_out_channels": 4,
        "audio_num_attention_heads": 2,
        "audio_attention_head_dim": 4,
        "audio_cross_attention_dim": 8,
    }
    return latents(cross_attention_dim=16, caption_channels=16, rope_double_precision=False) | sound


VIDEOS: dict[str, Case] = {
    "AllegroTransformer3DModel": case(
        layers(
            attention_head_dim=24,
            cross_attention_dim=48,
            sample_width=8,
            sample_height=8,
            sample_frames=2,
            caption_channels=16,
        ),
        video(),
    ),
    "CogVideoXTransformer3DModel": case(cog_video(), video(frames_first=True)),
    "ConsisIDTransformer3DModel": case(cog_video(), video(frames_first=True)),
    "Cosmos3OmniTransformer": case(
        {
            "head_dim": 6,
            "hidden_size": 12,
            "intermediate_size": 24,
            "latent_channel": 2,
            "latent_patch_size": 1,
            "num_attention_heads": 2,
            "num_hidden_layers": DEPTH,
            "num_key_value_heads": 1,
            "patch_latent_dim": 2,
            "rope_axes_dim": [1, 1, 1],
            "vocab_size": 32,
        },
        lambda: {
            "input_ids": torch.tensor([1, 2]),
            "text_indexes": torch.tensor([0, 1]),
            "position_ids": torch.zeros(3, 18, dtype=torch.long),
            "und_len": 2,
            "sequence_length": 18,
            "vision_tokens": [r(1, 2, 1, 4, 4)],
            "vision_token_shapes": [(1, 4, 4)],
            "vision_sequence_indexes": torch.arange(2, 18),
            "vision_mse_loss_indexes": torch.arange(2, 18),
            "vision_timesteps": torch.full((16,), 900.0),
            "vision_noisy_frame_indexes": [torch.tensor([0])],
        },
        "vision_tokens",
        "vision_timesteps",
    ),
    "CosmosTransformer3DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=12,
            mlp_ratio=2,
            text_embed_dim=16,
            adaln_lora_dim=4,
            max_size=(4, 16, 16),
            concat_padding_mask=False,
        ),
        video(fps=lambda: 30, padding_mask=lambda: None),
    ),
    "EasyAnimateTransformer3DModel": case(
        layers(
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            patch_size=2,
            mmdit_layers=2,
            text_embed_dim=16,
            time_embed_dim=8,
        ),
        video(),
    ),
    "HunyuanVideo15Transformer3DModel": case(
        hunyuan_video(text_embed_2_dim=8, image_embed_dim=8, target_size=16, task_type="t2v"),
        video(
            frames=1,
            size=4,
            encoder_attention_mask=lambda: ones(B, 6),
            encoder_hidden_states_2=lambda: r(B, 4, 8),
            encoder_attention_mask_2=lambda: ones(B, 4),
            image_embeds=lambda: torch.zeros(B, 3, 8),
        ),
    ),
    "HunyuanVideoFramepackTransformer3DModel": case(
        hunyuan_video(
            num_layers=2,
            num_single_layers=2,
            pooled_projection_dim=8,
            has_image_proj=True,
            image_proj_dim=16,
            has_clean_x_embedder=True,
        ),
        video(
            size=4,
            **HUNYUAN_VIDEO_CALL,
            image_embeds=lambda: r(B, 4, 16),
            indices_latents=lambda: torch.arange(2),
            latents_clean=lambda: r(B, 4, 1, 4, 4),
            indices_latents_clean=lambda: torch.arange(1),
            latents_history_2x=lambda: r(B, 4, 2, 4, 4),
            indices_latents_history_2x=lambda: torch.arange(2),
            latents_history_4x=lambda: r(B, 4, 4, 4, 4),
            indices_latents_history_4x=lambda: torch.arange(4),
        ),
    ),
    "HunyuanVideoTransformer3DModel": case(
        hunyuan_video(num_layers=2, num_single_layers=2, pooled_projection_dim=8), video(size=4, **HUNYUAN_VIDEO_CALL)
    ),
    "Kandinsky5Transformer3DModel": case(
        kandinsky(patch_size=(1, 2, 2)),
        lambda: {
            "hidden_states": r(B, 1, 8, 8, 4),
            "encoder_hidden_states": text(),
            "timestep": at(900.0),
            "pooled_projections": r(B, 16),
            "visual_rope_pos": (torch.arange(1), torch.arange(4), torch.arange(4)),
            "text_rope_pos": torch.arange(6),
        },
    ),
    "Kandinsky6SRTransformer3DModel": case(
        {
            "in_visual_dim": 4,
            "out_visual_dim": 4,
            "time_dim": 16,
            "model_dim": 32,
            "ff_dim": 32,
            "num_visual_blocks": DEPTH,
            "axes_dims": (8, 4, 4),
        },
        lambda: {"hidden_states": r(B, 1, 8, 16, 9), "timestep": at(900.0)},
    ),
    "Kandinsky6Transformer3DModel": case(
        kandinsky(in_audio_dim=4, out_audio_dim=4, visual_cond=False),
        lambda: {
            "hidden_states": r(B, 1, 8, 8, 4),
            "encoder_hidden_states": text(),
            "pooled_projections": r(B, 16),
            "timestep": at(900.0),
            "audio_hidden_states": r(B, 8, 4),
        },
    ),
    "LTX2VideoTransformer3DModel": case(
        ltx2(),
        packed(
            ids=0,
            audio_hidden_states=lambda: r(B, 9, 4),
            audio_encoder_hidden_states=text,
            num_frames=lambda: 1,
            height=lambda: 4,
            width=lambda: 4,
            audio_num_frames=lambda: 9,
            fps=lambda: 25.0,
        ),
    ),
    "LTXVideoTransformer3DModel": case(
        latents(cross_attention_dim=16, caption_channels=16),
        packed(
            ids=0, encoder_attention_mask=lambda: ones(B, 6), num_frames=lambda: 1, height=lambda: 4, width=lambda: 4
        ),
    ),
    "LatteTransformer3DModel": case(
        latents(
            sample_size=8,
            patch_size=2,
            caption_channels=16,
            cross_attention_dim=16,
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            video_length=2,
        ),
        video(),
    ),
    "MiniMaxH3Transformer3DModel": case(
        layers(
            attention_head_dim=16,
            hidden_size=24,
            num_refiner_layers=1,
            ffn_dim=32,
            in_channels=4,
            audio_in_channels=6,
            text_dim=8,
            freq_dim=8,
            time_embed_hidden_dim=24,
            time_embed_dim=16,
            rope_freq_dim=2,
        ),
        lambda: {
            "hidden_states": r(B, 8, 16),
            "audio_hidden_states": r(B, 4, 6),
            "encoder_hidden_states": r(B, 5, 8),
            "timestep": torch.tensor([0.7, 0.3]),
            "timestep_indices": torch.tensor([0] * 5 + [1] * 4 + [0] * 8),
            "token_tags": torch.tensor([1] * 5 + [2] * 4 + [0] * 8),
            "position_ids": torch.arange(17.0)[:, None].repeat(1, 3),
            "text_indices": torch.arange(5),
            "audio_indices": torch.arange(5, 9),
            "video_indices": torch.arange(9, 17),
        },
    ),
    "MochiTransformer3DModel": case(
        layers(
            attention_head_dim=8,
            pooled_projection_dim=16,
            in_channels=4,
            text_embed_dim=16,
            time_embed_dim=4,
            max_sequence_length=6,
        ),
        video(encoder_attention_mask=lambda: ones(B, 6, dtype=torch.bool)),
    ),
    "MotifVideoTransformer3DModel": case(
        layers(
            in_channels=9,
            out_channels=4,
            attention_head_dim=12,
            num_layers=2,
            num_single_layers=2,
            num_decoder_layers=1,
            patch_size=1,
            text_embed_dim=16,
            image_embed_dim=4,
            rope_axes_dim=(4, 4, 4),
        ),
        video(9, size=4),
    ),
    "SanaVideoTransformer3DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=12,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=16,
            sample_size=8,
            rope_max_seq_len=32,
        ),
        video(),
    ),
    "SanaWMLTX2RefinerTransformer3DModel": case(
        ltx2(),
        packed(
            ids=0,
            timestep=lambda: torch.full((B, 16), 0.9),
            video_rotary_emb=lambda: (ones(B, 16, 16), torch.zeros(B, 16, 16)),
        ),
    ),
    "SanaWMTransformer3DModel": case(
        layers(
            in_channels=4,
            hidden_size=48,
            softmax_every_n=2,
            linear_head_dim=24,
            caption_channels=16,
            mlp_ratio=2.0,
            image_size=64,
            use_chunk_plucker_post_attn=False,
        ),
        lambda: {
            "hidden_states": r(B, 4, 2, 4, 4),
            "timestep": torch.full((B, 1, 2), 900.0),
            "encoder_hidden_states": r(B, 1, 6, 16),
            "mask": ones(B, 1, 1, 6),
        },
    ),
    "TransformerTemporalModel": case(
        layers(attention_head_dim=8, in_channels=8, norm_num_groups=4),
        lambda: {"hidden_states": r(B * 4, 8, 4, 4), "num_frames": 4, "timestep": None},
    ),
}
