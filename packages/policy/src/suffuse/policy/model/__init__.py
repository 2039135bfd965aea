"""Networks, noise, and the policy that is made of them."""

from suffuse.policy.model.denoiser import Denoiser
from suffuse.policy.model.mlp import ActionMLP
from suffuse.policy.model.noise import NoiseProcess
from suffuse.policy.model.policy import ActionChunk, DiffusionPolicy
from suffuse.policy.model.pretrained import load_policy
from suffuse.policy.model.recipes import RECIPES, recipe_by_name
from suffuse.policy.model.training import Recipe, train_policy
from suffuse.policy.model.transformer import ActionTransformer
from suffuse.policy.model.unet import ActionUNet

__all__ = [
    "RECIPES",
    "ActionChunk",
    "ActionMLP",
    "ActionTransformer",
    "ActionUNet",
    "Denoiser",
    "DiffusionPolicy",
    "NoiseProcess",
    "Recipe",
    "load_policy",
    "recipe_by_name",
    "train_policy",
]
