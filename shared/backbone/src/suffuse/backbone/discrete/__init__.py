"""Absorbing-state block diffusion over tokens: blocks, noise, loss and decoding."""

from suffuse.backbone.discrete.blocks import block_causal_mask, block_index, training_mask
from suffuse.backbone.discrete.decoding import (
    Canvas,
    ConfidenceDecoding,
    Decoding,
    DeferredCommitmentDecoding,
    decode,
)
from suffuse.backbone.discrete.loss import block_diffusion_loss, block_diffusion_weights, substitution_nll
from suffuse.backbone.discrete.noise import (
    BetaCurriculum,
    LogLinearNoise,
    NoiseConfig,
    apply_mask,
    importance_weight,
    sample_mask_ratio,
)
from suffuse.backbone.discrete.token_canvas import Confidence, TokenCanvas, TokenContext, TokenDenoiser

__all__ = [
    "BetaCurriculum",
    "Canvas",
    "Confidence",
    "ConfidenceDecoding",
    "Decoding",
    "DeferredCommitmentDecoding",
    "LogLinearNoise",
    "NoiseConfig",
    "TokenCanvas",
    "TokenContext",
    "TokenDenoiser",
    "apply_mask",
    "block_causal_mask",
    "block_diffusion_loss",
    "block_diffusion_weights",
    "block_index",
    "decode",
    "importance_weight",
    "sample_mask_ratio",
    "substitution_nll",
    "training_mask",
]
