"""How near generated trips come to real ones."""

from suffuse.trajectory.metrics.evaluation import Evaluation, Figures, evaluate
from suffuse.trajectory.metrics.pairing import Pairing

__all__ = ["Evaluation", "Figures", "Pairing", "evaluate"]
