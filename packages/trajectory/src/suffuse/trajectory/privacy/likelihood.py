"""How likely a trained model holds single trips to be: what whoever has the model directory can compute.

Dimensions: k trips.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from suffuse.backbone.discrete import NoiseConfig
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.model.batches import make_batch
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.loss import route_nll
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.trips.table import Trips

AT_ONCE = 128


@torch.no_grad()
def nats_a_segment(
    model: TrajectoryModel, city: CityFeatures, trips: Trips, logit: RecursiveLogit | None = None
) -> Float[ndarray, " k"]:
    """Exact negative log-likelihood of each trip, decided segment by segment, over its number of segments.

    `logit` is the one the model was trained beside, if any.
    """
    model.eval()
    out = np.empty(len(trips))
    by_length = np.argsort(trips.lengths, kind="stable")  # trips of like length share a batch: less padding
    for first in range(0, len(trips), AT_ONCE):
        rows = by_length[first : first + AT_ONCE]
        part = trips.take(rows)
        batch = make_batch(
            city, part, city.costs_to_go(part.destination), noise=NoiseConfig(), block_size=1, progress=0.0,
            drop_condition=0.0, rng=np.random.default_rng(0), all_masked=True, logit=logit,
        )  # fmt: skip
        nll, _ = route_nll(model, batch)
        out[rows] = nll.sum(dim=1).numpy() / batch.valid.sum(dim=1).numpy()
    return out
