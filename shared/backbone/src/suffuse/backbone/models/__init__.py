"""Reference networks. Each is a diffusers model: `save_pretrained`, `from_pretrained`, safetensors only."""

from suffuse.backbone.models.block_language_model import BlockLanguageModel, CachedTokens, language_loss
from suffuse.backbone.models.block_transformer import BlockTransformer, Conditioning, KeyValueCache
from suffuse.backbone.models.pretrained import PretrainedModel, register_to_config

__all__ = [
    "BlockLanguageModel",
    "BlockTransformer",
    "CachedTokens",
    "Conditioning",
    "KeyValueCache",
    "PretrainedModel",
    "language_loss",
    "register_to_config",
]
