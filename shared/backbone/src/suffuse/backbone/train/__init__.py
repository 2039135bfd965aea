"""The one training loop: accelerate, EMA, atomic checkpoints, exact resume.

Example:
    result = train(model=model, loss=loss, batches=batches, config=TrainConfig(steps=20_000), directory=Path("run"))
"""

from suffuse.backbone.train.checkpoint import load_weights, newest_checkpoint
from suffuse.backbone.train.config import TrainConfig
from suffuse.backbone.train.ema import averaged_model, decay_at
from suffuse.backbone.train.errors import CheckpointError, DirectoryInUseError, DivergedError, TrainError
from suffuse.backbone.train.log import read_log
from suffuse.backbone.train.loop import Batches, TrainResult, train
from suffuse.backbone.train.schedule import learning_rate_at

__all__ = [
    "Batches",
    "CheckpointError",
    "DirectoryInUseError",
    "DivergedError",
    "TrainConfig",
    "TrainError",
    "TrainResult",
    "averaged_model",
    "decay_at",
    "learning_rate_at",
    "load_weights",
    "newest_checkpoint",
    "read_log",
    "train",
]
