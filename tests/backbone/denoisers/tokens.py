"""Transformers over images that come as a row of tokens, as Flux takes them."""

import torch
from denoisers.builders import DEPTH, B, Case, at, case, flux, latents, layers, ones, packed, r

TOKENS: dict[str, Case] = {
    "BriaFiboTransformer2DModel": case(
        flux(axes_dims_rope=[0, 4, 4], text_encoder_dim=8, joint_attention_dim=16),
        packed(text_encoder_layers=lambda: [r(B, 6, 8) for _ in range(4)]),
    ),
    "BriaTransformer2DModel": case(flux(axes_dims_rope=[0, 4, 4]), packed()),
    "ChromaTransformer2DModel": case(
        flux(approximator_num_channels=8, approximator_hidden_dim=16, approximator_layers=1), packed()
    ),
    "Flux2Transformer2DModel": case(
        flux(axes_dims_rope=(2, 2, 2, 2), timestep_guidance_channels=16),
        packed(ids=4, guidance=lambda: torch.full((B,), 3.0)),
    ),
    "Flux3Transformer2DModel": case(
        flux(axes_dims_rope=(2, 2, 2, 2), timestep_channels=16, cond_in_channels=4) | {"patch_size": ...}, packed(ids=4)
    ),
    "FluxTransformer2DModel": case(flux(pooled_projection_dim=16), packed(pooled_projections=lambda: r(B, 16))),
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
            "timestep": at(0.9),
            "encoder_hidden_states": r(B, 20, 16),
            "position_ids": torch.arange(20)[None, :, None].repeat(B, 1, 3),
            "segment_ids": ones(B, 20, dtype=torch.long),
            "indicator": torch.tensor([[3] * 4 + [2] * 16] * B),
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
            "timestep": at(0.9),
            "encoder_hidden_states": r(B, 6, 2, 8),
            "position_ids": torch.zeros(22, 3),
        },
    ),
    "LongCatImageTransformer2DModel": case(flux(pooled_projection_dim=16), packed()),
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
    "OvisImageTransformer2DModel": case(flux(out_channels=4), packed()),
    "QwenImage21Transformer2DModel": case(
        latents(context_in_dim=16, mlp_ratio=2, axes_dims_rope=(2, 2, 4)),
        packed(
            ids=0, img_shapes=lambda: [[(1, 4, 4)]] * B, img_mask=lambda: torch.tensor([[False] * 6 + [True] * 4] * B)
        ),
    ),
    "QwenImageTransformer2DModel": case(
        latents(joint_attention_dim=16, axes_dims_rope=(2, 2, 4), patch_size=1),
        packed(
            ids=0, encoder_hidden_states_mask=lambda: ones(B, 6, dtype=torch.long), img_shapes=lambda: [(1, 4, 4)] * B
        ),
    ),
}
