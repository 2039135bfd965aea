"""Tiny denoisers with random weights: one of every class that diffusers exports, with fitting inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffusers
import pytest
import torch
from diffusers.models.transformers.transformer_wan_animate_2 import WanAnimate2KVCache
from torch import Tensor, nn

B = 2  # samples
DEPTH = 3


def r(*shape: int) -> Tensor:
    return torch.randn(*shape)


def ones(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.ones(*shape, dtype=dtype)


@dataclass
class Denoiser:
    """A model and the keyword arguments of a call; `sample` and `time` name those that change from step to step."""

    model: nn.Module
    inputs: dict[str, Any]
    sample: str
    time: str

    def generate(self, steps: int, seed: int = 1) -> Tensor:
        """Euler steps from noise, as a flow model would take them; the outputs of all steps, in a row.

        Models whose output has another shape than their input are called with a new random input each time.
        """
        generator = torch.Generator().manual_seed(seed)
        first = self.inputs[self.sample]
        is_list = isinstance(first, list)
        x = torch.stack(first) if is_list else first
        tokens = not x.is_floating_point()
        drift = torch.randn(x.shape, generator=generator)
        outputs = []
        with torch.no_grad():
            for step in range(steps):
                time = self.inputs[self.time]
                time = time * (1 - 0.2 * step / steps) if isinstance(time, Tensor) else time
                call = self.inputs | {self.sample: list(x) if is_list else x, self.time: time}
                output = _first_tensor(self.model(**call))
                outputs.append(output.flatten())
                if not tokens:
                    x = x - output / steps if output.shape == x.shape else x + 0.1 * drift / steps
        return torch.cat(outputs)


def _first_tensor(output: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = output[0]
        if isinstance(output, list | tuple) and output and isinstance(output[0], Tensor):
            output = torch.stack(list(output))
    return output


Case = tuple[dict[str, Any], Callable[[], dict[str, Any]], str, str]


def case(
    config: dict[str, Any], inputs: Callable[[], dict[str, Any]], sample: str = "hidden_states", time: str = "timestep"
) -> Case:
    return config, inputs, sample, time


def layers(**config: Any) -> dict[str, Any]:
    return {"num_layers": DEPTH, "num_attention_heads": 2} | config


def image(
    channels: int = 4, size: int = 8, text: int = 16, tokens: int = 6, **more: Any
) -> Callable[[], dict[str, Any]]:
    """An image in channels, text tokens and times."""

    def make() -> dict[str, Any]:
        return {
            "hidden_states": r(B, channels, size, size),
            "encoder_hidden_states": r(B, tokens, text),
            "timestep": torch.full((B,), 900.0),
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
            "timestep": torch.full((B,), 900.0),
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
                "timestep": torch.full((B,), 0.9),
            }
            | ({"img_ids": positions, "txt_ids": torch.zeros(tokens, ids)} if ids else {})
            | {name: value() for name, value in more.items()}
        )

    return make


def sizes() -> Tensor:
    return torch.tensor([[64.0, 64.0]] * B)


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


UNET_2D = {"block_out_channels": (8, 8, 16), "norm_num_groups": 4, "layers_per_block": 1}
LTX2_AUDIO = {
    "audio_in_channels": 4,
    "audio_out_channels": 4,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 4,
    "audio_cross_attention_dim": 8,
}

CASES: dict[str, Case] = {
    "AceStepTransformer1DModel": case(
        {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "in_channels": 12,
            "audio_acoustic_hidden_dim": 4,
            "sliding_window": 4,
        },
        lambda: {
            "hidden_states": r(B, 8, 4),
            "timestep": torch.full((B,), 0.9),
            "timestep_r": torch.full((B,), 0.9),
            "encoder_hidden_states": r(B, 6, 16),
            "context_latents": r(B, 8, 8),
        },
    ),
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
    "AuraFlowTransformer2DModel": case(
        {
            "sample_size": 8,
            "in_channels": 4,
            "num_mmdit_layers": 2,
            "num_single_dit_layers": 2,
            "attention_head_dim": 8,
            "num_attention_heads": 2,
            "caption_projection_dim": 16,
            "joint_attention_dim": 16,
            "pos_embed_max_size": 64,
        },
        image(),
    ),
    "BriaFibo2Transformer2DModel": case(
        {
            "in_channels": 4,
            "patch_size": 1,
            "dim": 16,
            "n_layers": DEPTH,
            "n_refiner_layers": 1,
            "n_heads": 2,
            "cap_feat_dim": 16,
            "injection_layer_ids": (1,),
            "perceiver_num_layers": 1,
            "min_num_gist_tokens": 2,
            "max_num_gist_tokens": 4,
            "gist_step": 2,
            "gist_min_text_len": 2,
            "gist_max_text_len": 16,
            "axes_dims": (4, 2, 2),
            "axes_lens": (64, 16, 16),
        },
        image(encoder_hidden_states=lambda: r(B, 2, 6, 16)),
    ),
    "BriaFiboTransformer2DModel": case(
        flux(axes_dims_rope=[0, 4, 4], text_encoder_dim=8, joint_attention_dim=16),
        packed(text_encoder_layers=lambda: [r(B, 6, 8) for _ in range(4)]),
    ),
    "BriaTransformer2DModel": case(flux(axes_dims_rope=[0, 4, 4]), packed()),
    "ChromaTransformer2DModel": case(
        flux(approximator_num_channels=8, approximator_hidden_dim=16, approximator_layers=1), packed()
    ),
    "ChronoEditTransformer3DModel": case(wan(), video()),
    "CogVideoXTransformer3DModel": case(
        layers(
            attention_head_dim=8,
            in_channels=4,
            out_channels=4,
            time_embed_dim=8,
            text_embed_dim=16,
            sample_width=8,
            sample_height=8,
            sample_frames=5,
            max_text_seq_length=6,
        ),
        video(frames_first=True),
    ),
    "CogView3PlusTransformer2DModel": case(
        layers(
            in_channels=4,
            attention_head_dim=8,
            out_channels=4,
            text_embed_dim=16,
            time_embed_dim=8,
            condition_dim=2,
            pos_embed_max_size=8,
            sample_size=8,
        ),
        image(original_size=sizes, target_size=sizes, crop_coords=sizes),
    ),
    "CogView4Transformer2DModel": case(
        layers(
            in_channels=4,
            attention_head_dim=8,
            out_channels=4,
            text_embed_dim=16,
            time_embed_dim=8,
            condition_dim=2,
            rope_axes_dim=(16, 16),
        ),
        image(original_size=sizes, target_size=sizes, crop_coords=sizes),
    ),
    "ConsisIDTransformer3DModel": case(
        layers(
            attention_head_dim=8,
            in_channels=4,
            out_channels=4,
            time_embed_dim=8,
            text_embed_dim=16,
            sample_width=8,
            sample_height=8,
            sample_frames=5,
            max_text_seq_length=6,
        ),
        video(frames_first=True),
    ),
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
    "DiTTransformer2DModel": case(
        layers(attention_head_dim=8, sample_size=8, num_embeds_ada_norm=10, norm_num_groups=4),
        lambda: {
            "hidden_states": r(B, 4, 8, 8),
            "timestep": torch.full((B,), 900),
            "class_labels": torch.tensor([1, 2]),
        },
    ),
    "DreamLiteTransformer2DModel": case(
        layers(attention_head_dim=8, in_channels=8, norm_num_groups=4, cross_attention_dim=16, num_kv_heads=2),
        image(8, timestep=lambda: None),
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
    "ErnieImageTransformer2DModel": case(
        layers(
            hidden_size=16,
            num_attention_heads=1,
            ffn_hidden_size=16,
            in_channels=4,
            out_channels=4,
            text_in_dim=16,
            rope_axes_dim=(8, 4, 4),
        ),
        lambda: {
            "hidden_states": r(B, 4, 8, 8),
            "timestep": torch.full((B,), 900.0),
            "text_bth": r(B, 6, 16),
            "text_lens": torch.tensor([6, 6]),
        },
    ),
    "Flux2Transformer2DModel": case(
        flux(axes_dims_rope=(2, 2, 2, 2), timestep_guidance_channels=16),
        packed(ids=4, guidance=lambda: torch.full((B,), 3.0)),
    ),
    "Flux3Transformer2DModel": case(
        flux(axes_dims_rope=(2, 2, 2, 2), timestep_channels=16, cond_in_channels=4) | {"patch_size": ...}, packed(ids=4)
    ),
    "FluxTransformer2DModel": case(flux(pooled_projection_dim=16), packed(pooled_projections=lambda: r(B, 16))),
    "GlmImageTransformer2DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            text_embed_dim=16,
            time_embed_dim=8,
            condition_dim=2,
            prior_vq_quantizer_codebook_size=8,
        ),
        image(
            prior_token_id=lambda: torch.ones(B, 16, dtype=torch.long),
            prior_token_drop=lambda: torch.zeros(B, 16, dtype=torch.bool),
            target_size=sizes,
            crop_coords=sizes,
        ),
    ),
    "HeliosTransformer3DModel": case(
        wan(rope_dim=(4, 4, 4)) | {"rope_max_seq_len": ...}, video(timestep=lambda: torch.full((B,), 900))
    ),
    "HiDreamImageTransformer2DModel": case(
        layers(
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=8,
            caption_channels=[16, 16],
            text_emb_dim=8,
            num_routed_experts=2,
            num_activated_experts=2,
            axes_dims_rope=(4, 2, 2),
            max_resolution=(16, 16),
            llama_layers=(0, 1, 2, 3),
            force_inference_output=True,
        ),
        lambda: {
            "hidden_states": r(B, 4, 16, 16),
            "timesteps": torch.full((B,), 900.0),
            "encoder_hidden_states_t5": r(B, 6, 16),
            "encoder_hidden_states_llama3": r(4, B, 6, 16),
            "pooled_embeds": r(B, 8),
        },
        "hidden_states",
        "timesteps",
    ),
    "HunyuanDiT2DModel": case(
        layers(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            num_layers=4,
            attention_head_dim=8,
            cross_attention_dim=8,
            cross_attention_dim_t5=8,
            pooled_projection_dim=4,
            hidden_size=16,
            text_len=4,
            text_len_t5=4,
        ),
        image(
            text=8,
            tokens=4,
            text_embedding_mask=lambda: ones(B, 4),
            encoder_hidden_states_t5=lambda: r(B, 4, 8),
            text_embedding_mask_t5=lambda: ones(B, 4),
            style=lambda: torch.zeros(B, dtype=torch.long),
            image_meta_size=lambda: torch.tensor([[64.0, 64, 64, 64, 0, 0]] * B),
            image_rotary_emb=lambda: (ones(16, 8), torch.zeros(16, 8)),
        ),
    ),
    "HunyuanImageTransformer2DModel": case(
        flux(
            patch_size=(1, 1),
            out_channels=4,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=16,
            rope_axes_dim=(4, 4),
        )
        | {"joint_attention_dim": ..., "axes_dims_rope": ...},
        image(size=4, encoder_attention_mask=lambda: ones(B, 6)),
    ),
    "HunyuanVideo15Transformer3DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=16,
            text_embed_2_dim=8,
            image_embed_dim=8,
            rope_axes_dim=(2, 2, 4),
            target_size=16,
            task_type="t2v",
        ),
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
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            num_layers=2,
            num_single_layers=2,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=16,
            pooled_projection_dim=8,
            rope_axes_dim=(2, 2, 4),
            has_image_proj=True,
            image_proj_dim=16,
            has_clean_x_embedder=True,
        ),
        video(
            size=4,
            encoder_attention_mask=lambda: ones(B, 6),
            pooled_projections=lambda: r(B, 8),
            guidance=lambda: torch.full((B,), 900.0),
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
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            num_layers=2,
            num_single_layers=2,
            num_refiner_layers=1,
            mlp_ratio=2.0,
            text_embed_dim=16,
            pooled_projection_dim=8,
            rope_axes_dim=(2, 2, 4),
        ),
        video(
            size=4,
            encoder_attention_mask=lambda: ones(B, 6),
            pooled_projections=lambda: r(B, 8),
            guidance=lambda: torch.full((B,), 900.0),
        ),
    ),
    "Ideogram4Transformer2DModel": case(
        layers(
            in_channels=4,
            attention_head_dim=8,
            intermediate_size=32,
            adaln_dim=16,
            llm_features_dim=16,
            rope_theta=1000,
            mrope_section=(2, 1, 1),
        ),
        lambda: {
            "hidden_states": r(B, 20, 4),
            "timestep": torch.full((B,), 0.9),
            "encoder_hidden_states": r(B, 20, 16),
            "position_ids": torch.arange(20)[None, :, None].repeat(B, 1, 3),
            "segment_ids": ones(B, 20, dtype=torch.long),
            "indicator": torch.tensor([[3] * 4 + [2] * 16] * B),
        },
    ),
    "JoyImageEditPlusTransformer3DModel": case(
        layers(in_channels=4, hidden_size=32, text_dim=16, rope_dim_list=[4, 6, 6]),
        lambda: {
            "hidden_states": r(B, 16, 4, 1, 2, 2),
            "timestep": torch.full((B,), 900.0),
            "encoder_hidden_states": r(B, 6, 16),
            "shape_list": [[(1, 4, 4)]] * B,
        },
    ),
    "JoyImageEditTransformer3DModel": case(
        layers(in_channels=4, hidden_size=32, text_dim=16, rope_dim_list=[4, 6, 6]), video(frames=1)
    ),
    "Kandinsky5Transformer3DModel": case(
        {
            "in_visual_dim": 4,
            "in_text_dim": 16,
            "in_text_dim2": 16,
            "time_dim": 16,
            "out_visual_dim": 4,
            "patch_size": (1, 2, 2),
            "model_dim": 16,
            "ff_dim": 32,
            "num_text_blocks": 2,
            "num_visual_blocks": DEPTH,
            "axes_dims": (4, 2, 2),
        },
        lambda: {
            "hidden_states": r(B, 1, 8, 8, 4),
            "encoder_hidden_states": r(B, 6, 16),
            "timestep": torch.full((B,), 900.0),
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
        lambda: {"hidden_states": r(B, 1, 8, 16, 9), "timestep": torch.full((B,), 900.0)},
    ),
    "Kandinsky6Transformer3DModel": case(
        {
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
            "in_audio_dim": 4,
            "out_audio_dim": 4,
            "visual_cond": False,
        },
        lambda: {
            "hidden_states": r(B, 1, 8, 8, 4),
            "encoder_hidden_states": r(B, 6, 16),
            "pooled_projections": r(B, 16),
            "timestep": torch.full((B,), 900.0),
            "audio_hidden_states": r(B, 8, 4),
        },
    ),
    "Krea2Transformer2DModel": case(
        layers(
            in_channels=4,
            attention_head_dim=8,
            num_key_value_heads=1,
            intermediate_size=32,
            timestep_embed_dim=8,
            text_hidden_dim=8,
            num_text_layers=2,
            text_num_attention_heads=2,
            text_num_key_value_heads=1,
            text_intermediate_size=16,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(4, 2, 2),
        ),
        lambda: {
            "hidden_states": r(B, 16, 4),
            "timestep": torch.full((B,), 0.9),
            "encoder_hidden_states": r(B, 6, 2, 8),
            "position_ids": torch.zeros(22, 3),
        },
    ),
    "LTX2VideoTransformer3DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            rope_double_precision=False,
        )
        | LTX2_AUDIO,
        packed(
            ids=0,
            audio_hidden_states=lambda: r(B, 9, 4),
            audio_encoder_hidden_states=lambda: r(B, 6, 16),
            num_frames=lambda: 1,
            height=lambda: 4,
            width=lambda: 4,
            audio_num_frames=lambda: 9,
            fps=lambda: 25.0,
        ),
    ),
    "LTXVideoTransformer3DModel": case(
        layers(in_channels=4, out_channels=4, attention_head_dim=8, cross_attention_dim=16, caption_channels=16),
        packed(
            ids=0, encoder_attention_mask=lambda: ones(B, 6), num_frames=lambda: 1, height=lambda: 4, width=lambda: 4
        ),
    ),
    "LatteTransformer3DModel": case(
        layers(
            sample_size=8,
            patch_size=2,
            attention_head_dim=8,
            caption_channels=16,
            in_channels=4,
            cross_attention_dim=16,
            out_channels=4,
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            video_length=2,
        ),
        video(),
    ),
    "LongCatAudioDiTTransformer": case(
        {"dit_dim": 32, "dit_depth": DEPTH, "dit_heads": 2, "dit_text_dim": 16, "latent_dim": 4, "text_conv": False},
        packed(
            ids=0,
            encoder_attention_mask=lambda: ones(B, 6, dtype=torch.bool),
            attention_mask=lambda: ones(B, 16, dtype=torch.bool),
        ),
    ),
    "LongCatImageTransformer2DModel": case(flux(pooled_projection_dim=16), packed()),
    "Lumina2Transformer2DModel": case(
        layers(
            sample_size=8,
            in_channels=4,
            hidden_size=24,
            num_refiner_layers=1,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=2,
            axes_dim_rope=(4, 2, 2),
            axes_lens=(64, 64, 64),
            cap_feat_dim=16,
        ),
        image(encoder_attention_mask=lambda: ones(B, 6, dtype=torch.bool)),
    ),
    "LuminaNextDiT2DModel": case(
        layers(
            sample_size=8,
            in_channels=4,
            hidden_size=24,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=16,
            learn_sigma=False,
            cross_attention_dim=16,
        ),
        image(encoder_mask=lambda: ones(B, 6), image_rotary_emb=lambda: r(384, 384, 4), cross_attention_kwargs=dict),
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
    "MiniMaxMusic3Transformer1DModel": case(
        layers(
            in_channels=4,
            condition_dim=16,
            attention_head_dim=8,
            ff_inner_dim=32,
            rotary_dim=4,
            fourier_embedding_dim=8,
        ),
        lambda: {
            "hidden_states": r(B, 4, 16),
            "timestep": torch.full((B,), 0.9),
            "encoder_hidden_states": r(B, 16, 16),
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
    "NucleusMoEImageTransformer2DModel": case(
        layers(
            in_channels=16,
            out_channels=4,
            attention_head_dim=16,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
            moe_enabled=False,
            capacity_factors=[8.0] * DEPTH,
        ),
        packed(
            16,
            ids=0,
            encoder_hidden_states_mask=lambda: ones(B, 6, dtype=torch.long),
            img_shapes=lambda: [(1, 4, 4)] * B,
        ),
    ),
    "OmniGenTransformer2DModel": case(
        layers(
            hidden_size=16,
            num_key_value_heads=2,
            intermediate_size=32,
            pad_token_id=0,
            vocab_size=16,
            in_channels=4,
            time_step_dim=4,
            rope_scaling={"long_factor": [1, 2, 3, 4], "short_factor": [1, 2, 3, 4]},
        ),
        lambda: {
            "hidden_states": r(B, 4, 8, 8),
            "timestep": torch.full((B,), 0.9),
            "input_ids": ones(B, 5, dtype=torch.long),
            "input_img_latents": [],
            "input_image_sizes": {},
            "attention_mask": ones(B, 22, 22),
            "position_ids": torch.arange(22).repeat(B, 1),
        },
    ),
    "OvisImageTransformer2DModel": case(flux(out_channels=4), packed()),
    "PRXTransformer2DModel": case(
        {
            "in_channels": 4,
            "patch_size": 2,
            "context_in_dim": 16,
            "hidden_size": 32,
            "mlp_ratio": 2.0,
            "num_heads": 2,
            "depth": DEPTH,
            "axes_dim": [8, 8],
            "bottleneck_size": 16,
        },
        image(),
    ),
    "PixArtTransformer2DModel": case(
        layers(
            attention_head_dim=8,
            cross_attention_dim=16,
            sample_size=8,
            caption_channels=16,
            out_channels=4,
            norm_num_groups=4,
        ),
        image(),
    ),
    "PriorTransformer": case(
        layers(attention_head_dim=8, embedding_dim=16, num_embeddings=6),
        lambda: {
            "hidden_states": r(B, 16),
            "timestep": torch.full((B,), 900.0),
            "proj_embedding": r(B, 16),
            "encoder_hidden_states": r(B, 6, 16),
        },
    ),
    "QwenImage21Transformer2DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            context_in_dim=16,
            mlp_ratio=2,
            axes_dims_rope=(2, 2, 4),
        ),
        packed(
            ids=0, img_shapes=lambda: [[(1, 4, 4)]] * B, img_mask=lambda: torch.tensor([[False] * 6 + [True] * 4] * B)
        ),
    ),
    "QwenImageTransformer2DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
            patch_size=1,
        ),
        packed(
            ids=0, encoder_hidden_states_mask=lambda: ones(B, 6, dtype=torch.long), img_shapes=lambda: [(1, 4, 4)] * B
        ),
    ),
    "RFD4ProteinaTransformer": case(
        {
            "nlayers": DEPTH,
            "token_dim": 16,
            "nheads": 2,
            "dim_cond": 16,
            "pair_repr_dim": 8,
            "latent_dim": 4,
            "token_type_emb_dim": 4,
            "cath_emb_dim": 4,
            "t_emb_dim": 8,
            "seq_sep_dim": 8,
            "xt_pair_dist_dim": 6,
            "tri_mult_c": 8,
            "feats_seq": ("xt_bb_ca", "xt_local_latents"),
            "feats_cond_seq": ("time_emb_bb_ca", "time_emb_local_latents"),
            "feats_pair_repr": ("xt_bb_ca_pair_dists",),
        },
        lambda: {
            "bb_ca": r(B, 8, 3),
            "local_latents": r(B, 8, 4),
            "bb_ca_time": torch.full((B,), 0.9),
            "local_latents_time": torch.full((B,), 0.9),
            "padding_mask": ones(B, 8, dtype=torch.bool),
            "token_type": torch.zeros(B, 8, dtype=torch.long),
            "conditioning": {
                "is_in_context_conditioning": torch.zeros(B, 8, dtype=torch.bool),
                "supports_local_latent": ones(B, 8, dtype=torch.bool),
            },
        },
        "bb_ca",
        "bb_ca_time",
    ),
    "SD3Transformer2DModel": case(
        layers(
            sample_size=8,
            in_channels=4,
            attention_head_dim=8,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=16,
            out_channels=4,
            pos_embed_max_size=8,
        ),
        image(pooled_projections=lambda: r(B, 16)),
    ),
    "SanaTransformer2DModel": case(
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            sample_size=8,
        ),
        image(),
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
        layers(
            in_channels=4,
            out_channels=4,
            attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            rope_double_precision=False,
        )
        | LTX2_AUDIO,
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
    "SkyReelsV2Transformer3DModel": case(wan(), video()),
    "StableAudioDiTModel": case(
        layers(
            sample_size=16,
            in_channels=4,
            attention_head_dim=16,
            num_key_value_attention_heads=1,
            out_channels=4,
            cross_attention_dim=16,
            time_proj_dim=8,
            global_states_input_dim=16,
            cross_attention_input_dim=16,
        ),
        lambda: {
            "hidden_states": r(B, 4, 16),
            "timestep": torch.full((B,), 0.9),
            "encoder_hidden_states": r(B, 6, 16),
            "global_hidden_states": r(B, 1, 16),
            "rotary_embedding": (ones(17, 8), torch.zeros(17, 8)),
        },
    ),
    "StableAudio3DiTModel": case(
        {
            "io_channels": 4,
            "embed_dim": 32,
            "depth": DEPTH,
            "num_heads": 2,
            "cond_token_dim": 16,
            "global_cond_dim": 16,
            "local_add_cond_dim": 5,
            "timestep_features_dim": 16,
            "num_memory_tokens": 2,
        },
        lambda: {
            "hidden_states": r(B, 4, 16),
            "timestep": torch.full((B,), 0.9),
            "encoder_hidden_states": r(B, 6, 16),
            "global_hidden_states": r(B, 16),
        },
    ),
    "Transformer2DModel": case(
        layers(attention_head_dim=8, in_channels=8, norm_num_groups=4, cross_attention_dim=16),
        image(8, timestep=lambda: None),
    ),
    "TransformerTemporalModel": case(
        layers(attention_head_dim=8, in_channels=8, norm_num_groups=4),
        lambda: {"hidden_states": r(B * 4, 8, 4, 4), "num_frames": 4, "timestep": None},
    ),
    "UVit2DModel": case(
        {
            "hidden_size": 16,
            "cond_embed_dim": 16,
            "micro_cond_encode_dim": 4,
            "micro_cond_embed_dim": 20,
            "encoder_hidden_size": 16,
            "vocab_size": 16,
            "codebook_size": 15,
            "in_channels": 16,
            "block_out_channels": 16,
            "num_res_blocks": 1,
            "block_num_heads": 2,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "sample_size": 8,
        },
        lambda: {
            "input_ids": torch.randint(0, 15, (B, 8, 8)),
            "encoder_hidden_states": r(B, 6, 16),
            "pooled_text_emb": r(B, 16),
            "micro_conds": torch.full((B, 5), 900.0),
        },
        "input_ids",
        "micro_conds",
    ),
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
    "ZImageTransformer2DModel": case(
        {
            "in_channels": 4,
            "dim": 16,
            "n_layers": DEPTH,
            "n_refiner_layers": 1,
            "n_heads": 2,
            "n_kv_heads": 2,
            "cap_feat_dim": 16,
            "axes_dims": [4, 2, 2],
            "axes_lens": [256, 32, 32],
        },
        lambda: {
            "x": [r(4, 1, 8, 8) for _ in range(B)],
            "t": torch.full((B,), 0.1),
            "cap_feats": [r(6, 16) for _ in range(B)],
        },
        "x",
        "t",
    ),
    # UNets
    "DreamLiteUNetModel": case(
        UNET_2D | {"sample_size": 8, "cross_attention_dim": 16, "attention_head_dim": (2, 2, 2)},
        lambda: {"sample": r(B, 4, 8, 8), "timestep": torch.full((B,), 900.0), "encoder_hidden_states": r(B, 6, 16)},
        "sample",
    ),
    "I2VGenXLUNet": case(
        UNET_2D
        | {
            "sample_size": 8,
            "cross_attention_dim": 16,
            "attention_head_dim": 4,
            "num_attention_heads": 2,
            "block_out_channels": (8, 16),
            "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
            "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
        },
        lambda: {
            "sample": r(B, 4, 2, 8, 8),
            "timestep": torch.full((B,), 900.0),
            "fps": torch.full((B,), 8),
            "image_latents": r(B, 4, 2, 8, 8),
            "image_embeddings": r(B, 1, 16),
            "encoder_hidden_states": r(B, 6, 16),
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
        lambda: {
            "sample": r(B, 4, 8, 8),
            "timestep": torch.full((B,), 900.0),
            "encoder_hidden_states": r(B, 6, 16),
            "encoder_attention_mask": ones(B, 6),
        },
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
        lambda: {"sample": r(B, 4, 8, 8), "timestep_ratio": torch.full((B,), 0.9), "clip_text_pooled": r(B, 1, 16)},
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
        lambda: {"sample": r(B, 2, 32), "timestep": torch.full((B,), 900.0)},
        "sample",
    ),
    "UNet2DConditionModel": case(
        UNET_2D
        | {
            "sample_size": 8,
            "cross_attention_dim": 16,
            "attention_head_dim": 4,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        },
        lambda: {"sample": r(B, 4, 8, 8), "timestep": torch.full((B,), 900.0), "encoder_hidden_states": r(B, 6, 16)},
        "sample",
    ),
    "UNet2DModel": case(
        UNET_2D
        | {
            "sample_size": 8,
            "attention_head_dim": 4,
            "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        },
        lambda: {"sample": r(B, 3, 8, 8), "timestep": torch.full((B,), 900.0)},
        "sample",
    ),
    "UNet3DConditionModel": case(
        UNET_2D
        | {
            "sample_size": 8,
            "cross_attention_dim": 16,
            "attention_head_dim": 4,
            "down_block_types": ("CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"),
            "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"),
        },
        lambda: {"sample": r(B, 4, 2, 8, 8), "timestep": torch.full((B,), 900.0), "encoder_hidden_states": r(B, 6, 16)},
        "sample",
    ),
    "UNetMotionModel": case(
        UNET_2D
        | {
            "sample_size": 8,
            "cross_attention_dim": 16,
            "num_attention_heads": 2,
            "motion_num_attention_heads": 2,
            "block_out_channels": (8, 8, 16),
            "down_block_types": ("CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion", "DownBlockMotion"),
            "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion"),
        },
        lambda: {
            "sample": r(B, 4, 2, 8, 8),
            "timestep": torch.full((B,), 900.0),
            "encoder_hidden_states": r(2 * B, 6, 16),
        },
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
        lambda: {
            "sample": r(B, 2, 4, 8, 8),
            "timestep": torch.full((B,), 900.0),
            "encoder_hidden_states": r(B, 1, 16),
            "added_time_ids": ones(B, 3),
        },
        "sample",
    ),
}

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
