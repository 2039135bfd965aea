"""Transformers over sound, and those over neither sound nor pictures."""

import torch
from denoisers.builders import DEPTH, B, Case, at, case, layers, ones, packed, r, text

SOUNDS: dict[str, Case] = {
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
            "timestep": at(0.9),
            "timestep_r": at(0.9),
            "encoder_hidden_states": text(),
            "context_latents": r(B, 8, 8),
        },
    ),
    "LongCatAudioDiTTransformer": case(
        {"dit_dim": 32, "dit_depth": DEPTH, "dit_heads": 2, "dit_text_dim": 16, "latent_dim": 4, "text_conv": False},
        packed(
            ids=0,
            encoder_attention_mask=lambda: ones(B, 6, dtype=torch.bool),
            attention_mask=lambda: ones(B, 16, dtype=torch.bool),
        ),
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
        lambda: {"hidden_states": r(B, 4, 16), "timestep": at(0.9), "encoder_hidden_states": r(B, 16, 16)},
    ),
    "PriorTransformer": case(
        layers(attention_head_dim=8, embedding_dim=16, num_embeddings=6),
        lambda: {
            "hidden_states": r(B, 16),
            "timestep": at(900.0),
            "proj_embedding": r(B, 16),
            "encoder_hidden_states": text(),
        },
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
            "bb_ca_time": at(0.9),
            "local_latents_time": at(0.9),
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
            "timestep": at(0.9),
            "encoder_hidden_states": text(),
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
            "timestep": at(0.9),
            "encoder_hidden_states": text(),
            "global_hidden_states": r(B, 16),
        },
    ),
}
