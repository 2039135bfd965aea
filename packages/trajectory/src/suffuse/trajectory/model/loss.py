"""The training objective of `TrajectoryModel`: block-diffusion likelihood of the route, log-normal travel times."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from suffuse.backbone.discrete import block_diffusion_loss, block_diffusion_weights, training_mask
from suffuse.trajectory.model.batches import TripBatch
from suffuse.trajectory.model.trajectory_model import PREFIX, TrajectoryModel, log_softmax_by_group

TIME_WEIGHT = 0.1
"""Weight of the travel time's likelihood beside the route's."""


def route_nll(model: TrajectoryModel, batch: TripBatch) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n1 d"]]:
    """Negative log-likelihood of each masked segment (0 where none), and hidden states of origin and clean tokens."""
    roads = model.encode(batch.city)
    placed = model.token_road(roads)
    prefix = model.prefix(
        roads, placed, batch.origin, batch.origin_features, batch.destination, batch.hour, batch.dropped
    )  # fmt: skip
    tokens = model.embed(placed, batch.tokens, batch.token_features, batch.dropped)
    mask = training_mask(batch.blocks, batch.valid, PREFIX)
    noisy, clean = model.denoise(prefix, tokens, batch.masked, mask)
    trip = batch.masked.nonzero()[:, 0]
    logits = model.score(
        noisy[batch.masked], model.scorer.road(roads), batch.candidate, batch.group, batch.features,
        batch.dropped[trip][batch.group],
    )  # fmt: skip
    if batch.prior is not None:
        logits = logits + batch.prior
    log_probability = log_softmax_by_group(logits.float(), batch.group, len(batch.target))
    nll = torch.zeros(batch.masked.shape).masked_scatter(batch.masked, -log_probability[batch.target])
    return nll, clean


def trajectory_loss(model: torch.nn.Module, batch: TripBatch, generator: torch.Generator) -> Mapping[str, Tensor]:
    """Loss of one batch: nats a segment of the block-diffusion bound, plus the travel-time likelihood."""
    del generator  # masks are drawn with the batch, whose candidates depend on them
    assert isinstance(model, TrajectoryModel)
    nll, clean = route_nll(model, batch)
    weights = block_diffusion_weights(batch.masked, batch.ratio, batch.blocks, batch.valid)
    route = block_diffusion_loss(nll, weights, batch.valid)
    mean, spread = model.travel_time(clean.float())
    known = ~batch.log_time.isnan()
    time = F.gaussian_nll_loss(mean[known], batch.log_time[known], spread[known] ** 2) if known.any() else route * 0
    return {"loss": route + TIME_WEIGHT * time, "route": route.detach(), "time": time.detach()}
