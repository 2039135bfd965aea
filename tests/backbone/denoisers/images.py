"""Transformers over images on a grid, with text beside them."""

from typing import Any

import torch
from denoisers.builders import DEPTH, B, Case, at, case, flux, image, latents, layers, ones, r, text, video
from torch import Tensor


def sizes() -> Tensor:
    return torch.tensor([[64.0, 64.0]] * B)


IMAGE_SIZES = {"original_size": sizes, "target_size": sizes, "crop_coords": sizes}


def cog_view(**config: Any) -> dict[str, Any]:
    return latents(text_embed_dim=16, time_embed_dim=8, condition_dim=2) | config


def joy_image() -> dict[str, Any]:
    return layers(in_channels=4, hidden_size=32, text_dim=16, rope_dim_list=[4, 6, 6])


def lumina(**config: Any) -> dict[str, Any]:
    return layers(sample_size=8, in_channels=4, hidden_size=24, num_attention_heads=3, num_kv_heads=1) | config


IMAGES: dict[str, Case] = {
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
    "CogView3PlusTransformer2DModel": case(cog_view(pos_embed_max_size=8, sample_size=8), image(**IMAGE_SIZES)),
    "CogView4Transformer2DModel": case(cog_view(rope_axes_dim=(16, 16)), image(**IMAGE_SIZES)),
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
            "timestep": at(900.0),
            "text_bth": text(),
            "text_lens": torch.tensor([6, 6]),
        },
    ),
    "GlmImageTransformer2DModel": case(
        cog_view(prior_vq_quantizer_codebook_size=8),
        image(
            prior_token_id=lambda: torch.ones(B, 16, dtype=torch.long),
            prior_token_drop=lambda: torch.zeros(B, 16, dtype=torch.bool),
            target_size=sizes,
            crop_coords=sizes,
        ),
    ),
    "HiDreamImageTransformer2DModel": case(
        latents(
            patch_size=2,
            num_layers=2,
            num_single_layers=2,
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
            "timesteps": at(900.0),
            "encoder_hidden_states_t5": text(),
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
    "JoyImageEditPlusTransformer3DModel": case(
        joy_image(),
        lambda: {
            "hidden_states": r(B, 16, 4, 1, 2, 2),
            "timestep": at(900.0),
            "encoder_hidden_states": text(),
            "shape_list": [[(1, 4, 4)]] * B,
        },
    ),
    "JoyImageEditTransformer3DModel": case(joy_image(), video(frames=1)),
    "Lumina2Transformer2DModel": case(
        lumina(num_refiner_layers=1, multiple_of=2, axes_dim_rope=(4, 2, 2), axes_lens=(64, 64, 64), cap_feat_dim=16),
        image(encoder_attention_mask=lambda: ones(B, 6, dtype=torch.bool)),
    ),
    "LuminaNextDiT2DModel": case(
        lumina(multiple_of=16, learn_sigma=False, cross_attention_dim=16),
        image(encoder_mask=lambda: ones(B, 6), image_rotary_emb=lambda: r(384, 384, 4), cross_attention_kwargs=dict),
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
            "timestep": at(0.9),
            "input_ids": ones(B, 5, dtype=torch.long),
            "input_img_latents": [],
            "input_image_sizes": {},
            "attention_mask": ones(B, 22, 22),
            "position_ids": torch.arange(22).repeat(B, 1),
        },
    ),
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
    "SD3Transformer2DModel": case(
        latents(
            sample_size=8,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=16,
            pos_embed_max_size=8,
        ),
        image(pooled_projections=lambda: r(B, 16)),
    ),
    "SanaTransformer2DModel": case(
        latents(
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            sample_size=8,
        ),
        image(),
    ),
    "Transformer2DModel": case(
        layers(attention_head_dim=8, in_channels=8, norm_num_groups=4, cross_attention_dim=16),
        image(8, timestep=lambda: None),
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
            "encoder_hidden_states": text(),
            "pooled_text_emb": r(B, 16),
            "micro_conds": torch.full((B, 5), 900.0),
        },
        "input_ids",
        "micro_conds",
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
}
