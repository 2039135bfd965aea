"""The training objective against its definition."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from suffuse.backbone.discrete import NoiseConfig
from suffuse.trajectory.model.batches import make_batch
from suffuse.trajectory.model.loss import TIME_WEIGHT, route_nll, trajectory_loss
from suffuse.trajectory.model.trajectory_model import log_softmax_by_group
from suffuse.trajectory.trips.table import Trips


@pytest.fixture
def batch(city, make_walks):
    trips = make_walks(city.network, 20, seed=6)
    return make_batch(
        city, trips, city.costs_to_go(trips.destination), noise=NoiseConfig(), block_size=4, progress=0.0,
        drop_condition=0.2, rng=np.random.default_rng(3),
    )  # fmt: skip


def test_candidates_of_a_position_share_one_unit_of_probability():
    generator = torch.Generator().manual_seed(0)
    sizes = [1, 3, 2, 7]
    group = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    logits = 50 * torch.randn(13, generator=generator)
    found = log_softmax_by_group(logits, group, 4)
    expected = torch.cat([part.log_softmax(0) for part in logits.split(sizes)])
    torch.testing.assert_close(found, expected)
    order = torch.randperm(13, generator=generator)  # whatever the order of the rows
    torch.testing.assert_close(log_softmax_by_group(logits[order], group[order], 4), expected[order])


def test_gradients_of_grouped_softmax_are_those_of_softmax():
    logits = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    group = torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: log_softmax_by_group(x, group, 3), logits)


@torch.no_grad()
def test_nll_is_zero_where_nothing_is_masked_and_positive_where_there_is_a_choice(model, batch):
    nll, clean = route_nll(model, batch)
    assert (nll[~batch.masked] == 0).all()
    choices = torch.bincount(batch.group)
    assert torch.equal(nll[batch.masked] > 1e-7, choices > 1)
    assert clean.shape == (20, batch.tokens.shape[1] + 1, model.config["width"])


@torch.no_grad()
def test_the_loss_is_the_weighted_bound_plus_the_likelihood_of_times(model, batch):
    """(L + 1) / k for each of k masked tokens of a block of L, summed, a valid token; log-normal times."""
    parts = trajectory_loss(model, batch, torch.Generator())
    nll, clean = route_nll(model, batch)
    total = 0.0
    for row in range(20):
        for block in range(int(batch.blocks[row].max()) + 1):
            mine = (batch.blocks[row] == block) & batch.valid[row]
            masked = mine & batch.masked[row]
            if masked.any():
                total += float(nll[row][masked].sum() * (mine.sum() + 1) / masked.sum())
    route = total / float(batch.valid.sum())
    assert float(parts["route"]) == pytest.approx(route, rel=1e-5)
    mean, spread = model.travel_time(clean)
    known = ~batch.log_time.isnan()
    time = -Normal(mean[known], spread[known]).log_prob(batch.log_time[known]).mean() - 0.5 * np.log(2 * np.pi)
    assert float(parts["time"]) == pytest.approx(float(time), rel=1e-4)
    assert float(parts["loss"]) == pytest.approx(route + TIME_WEIGHT * float(time), rel=1e-4)


def test_trips_without_times_train_the_route_alone(make_model, city, make_walks):
    model = make_model()
    walks = make_walks(city.network, 5, seed=8)
    trips = Trips.from_lists([walks.segments_of(row).tolist() for row in range(5)])
    batch = make_batch(
        city, trips, city.costs_to_go(trips.destination), noise=NoiseConfig(), block_size=4, progress=0.0,
        drop_condition=0.0, rng=np.random.default_rng(0), all_masked=True,
    )  # fmt: skip
    parts = trajectory_loss(model, batch, torch.Generator())
    assert float(parts["time"]) == 0
    assert float(parts["loss"].detach()) == pytest.approx(float(parts["route"]))
    parts["loss"].backward()
    assert model.time.weight.grad is None or not model.time.weight.grad.any()
    assert model.scorer.direct.weight.grad.abs().sum() > 0
