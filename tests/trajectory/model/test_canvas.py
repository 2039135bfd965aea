"""The canvas against the model run without caches, and what is drawn against the probabilities it is drawn from."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from suffuse.backbone.discrete import (
    Canvas,
    ConfidenceDecoding,
    DeferredCommitmentDecoding,
    NoiseConfig,
    block_causal_mask,
    decode,
)
from suffuse.trajectory.model.batches import TripBatch, make_batch
from suffuse.trajectory.model.canvas import Encoded, RoadCanvas
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import caching, canvas_length
from suffuse.trajectory.model.loss import route_nll
from suffuse.trajectory.model.relations import candidate_features
from suffuse.trajectory.model.trajectory_model import PREFIX, TrajectoryModel
from suffuse.trajectory.roads.reachability import hops_to
from suffuse.trajectory.trips.table import Trips


@pytest.fixture(scope="module")
def small_city(grid, make_walks) -> CityFeatures:
    from suffuse.trajectory.model.usage import count_usage

    return CityFeatures(grid, count_usage(grid, make_walks(grid, 60, seed=2)))


class Watched(RoadCanvas):
    """Notes the log-probability of what it draws and, if asked to, compares every proposal with one made anew."""

    check = False

    def commit(self, chosen, *, all_of_them):
        candidates, _, probability, _ = self.proposal
        super().commit(chosen, all_of_them=all_of_them)
        self.log_probability = getattr(self, "log_probability", np.zeros(len(self.tokens)))
        for j, (trip, position) in enumerate(zip(candidates.row, candidates.position, strict=True)):
            part = slice(candidates.start[j], candidates.start[j + 1])
            mine = candidates.segment[part] == self.tokens[trip, position]
            if not self.open[trip, position] and mine.any():
                with np.errstate(divide="ignore"):
                    self.log_probability[trip] += np.log(probability[part][mine][0])

    def propose(self, start, width):
        confidence = super().propose(start, width)
        if self.check:
            candidates, logits, _, first = self.proposal
            for trip in np.unique(candidates.row):
                asked = np.repeat(candidates.row == trip, np.diff(candidates.start))
                anew = uncached_logits(self, int(trip), int(first[trip]), width)
                np.testing.assert_allclose(logits[asked], anew[asked], atol=2e-4, rtol=1e-4)
        return confidence


def uncached_logits(canvas: RoadCanvas, trip: int, start: int, width: int) -> np.ndarray:
    """Logits of the last proposal's candidates, valid for one trip: all of it in one pass, who sees whom by a mask."""
    model, encoded, candidates = canvas.model, canvas.encoded, canvas.proposal[0]
    stop = min(start + width, canvas.open.shape[1] - 1)
    place = torch.arange(stop)
    # whole chunks that are cached, what is final but not cached yet, the window
    blocks = torch.where(place < canvas.cached[trip], place // canvas.chunk, 1000 + (place >= start).long())
    mask = block_causal_mask(blocks, torch.ones(1, stop, dtype=torch.bool), PREFIX)
    shown = slice(1, stop + 1)
    block = np.zeros_like(canvas.open, dtype=np.int64)
    block[:, start + 1 : stop + 1] = 1
    features = torch.from_numpy(
        candidate_features(
            canvas.city, candidates, canvas.tokens, canvas.open, block, canvas.destination, canvas.row, canvas.costs
        )
    )
    group = torch.from_numpy(np.repeat(candidates.position - 1, np.diff(candidates.start))).clamp(max=stop - 1)
    logits = []
    for dropped in (False, True):
        flag = torch.tensor([dropped])
        prefix = model.prefix(
            encoded.roads, encoded.placed, canvas.origin[[trip]], torch.from_numpy(canvas.about[[trip], 0]),
            canvas.target[[trip]], canvas.hour[[trip]], flag,
        )  # fmt: skip
        tokens = model.embed(
            encoded.placed, torch.from_numpy(canvas.tokens[[trip], shown]),
            torch.from_numpy(canvas.about[[trip], shown]), flag,
        )  # fmt: skip
        masked = torch.from_numpy(canvas.open[[trip], shown])
        tokens = torch.where(masked[..., None], model.mask_token, tokens)
        hidden = model.transformer(torch.cat([prefix, tokens], dim=1), torch.arange(PREFIX + stop)[None], mask)
        candidate = torch.from_numpy(candidates.segment.astype(np.int64))
        hide = torch.full((len(candidate),), dropped)
        logits.append(model.score(hidden[0, PREFIX:], encoded.scored, candidate, group, features, hide))
    with_condition, without = (part.numpy() for part in logits)
    return (1 + canvas.guidance) * with_condition - canvas.guidance * without


def new_canvas(model, city, origin, destination, decoding, *, slack, seed=0, temperature=1.0, **settings) -> Watched:
    hops = hops_to(city.network, destination)
    limit = hops[np.arange(len(origin)), origin] + slack
    length = canvas_length(decoding, int(limit.max()) + 1)
    uniform = np.random.default_rng(seed).random((len(origin), length))
    hour = np.linspace(0, 23, len(origin))
    temperature = np.full(len(origin), temperature)
    return Watched(
        Encoded.of(model, city, torch.float32), origin.astype(np.int64), destination.astype(np.int64), hour, hops,
        limit.astype(np.int64), uniform, temperature=temperature, **caching(decoding, length), **settings,
    )  # fmt: skip


def trips_on(canvas: RoadCanvas) -> Trips:
    over = (canvas.tokens == canvas.end).argmax(axis=1)
    depart = np.datetime64("2024-03-04", "s") + (canvas.hour.numpy() * 3600).astype("timedelta64[s]")
    routes = [canvas.tokens[row, : over[row]].tolist() for row in range(len(over))]
    return Trips.from_lists(routes, depart=depart, duration_s=[1.0] * len(routes))


def batch_of(city: CityFeatures, trips: Trips, block_size: int, seed: int = 0) -> TripBatch:
    return make_batch(
        city, trips, city.costs_to_go(trips.destination), noise=NoiseConfig(), block_size=block_size, progress=0.0,
        drop_condition=0.0, rng=np.random.default_rng(seed), all_masked=True,
    )  # fmt: skip


@pytest.mark.parametrize("guidance", [0.0, 0.7])
@pytest.mark.parametrize(
    "decoding",
    [
        ConfidenceDecoding(block=4, steps=3),
        DeferredCommitmentDecoding(masks=3, width=5, delay=1, refresh=4, threshold=0.6),
        DeferredCommitmentDecoding(masks=3, width=5, cache="none"),
    ],
    ids=["confidence", "deferred", "deferred, no caches"],
)
@torch.no_grad()
def test_every_proposal_is_that_of_one_pass_without_caches(model, small_city, decoding, guidance):
    generator = np.random.default_rng(4)
    ends = generator.integers(0, len(small_city.network), (2, 5))
    canvas = new_canvas(model, small_city, *ends, decoding, slack=6, guidance=guidance, leftmost=False)
    canvas.check = True
    assert isinstance(canvas, Canvas)
    decode(canvas, decoding)
    assert not canvas.masked.any()


@torch.no_grad()
def test_drawing_one_by_one_has_the_likelihood_of_block_size_one(model, small_city):
    """Chain rule: the product of what was drawn is the sequential likelihood that training reports."""
    generator = np.random.default_rng(5)
    origin, destination = generator.integers(0, len(small_city.network), (2, 24))
    decoding = ConfidenceDecoding(block=1, steps=1)
    canvas = new_canvas(model, small_city, origin, destination, decoding, slack=90, seed=1)
    decode(canvas, decoding)
    trips = trips_on(canvas)
    free = np.flatnonzero(trips.lengths < canvas.limit - 12)  # near its limit a trip has fewer candidates
    assert len(free) >= 8
    assert trips.lengths[free].mean() > 5
    batch = batch_of(small_city, trips.take(free), 1)
    nll, _ = route_nll(model, batch)
    np.testing.assert_allclose(-nll.sum(dim=1).numpy(), canvas.log_probability[free], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_blocks_are_seen_at_generation_as_in_training(model, city, make_walks):
    """Real trips written block by block: likelihoods and travel times are those of the parallel training pass."""
    walks = make_walks(city.network, 80, seed=9, longest=30)
    batch = batch_of(city, walks, 8)
    rows = np.flatnonzero((np.bincount(np.nonzero(batch.blocks.numpy() == 0)[0]) == 8) & (walks.lengths > 12))
    assert len(rows) >= 3  # their grid starts at the origin, as it does at generation
    nll, clean = route_nll(model, batch)
    mean, spread = model.travel_time(clean)

    decoding = ConfidenceDecoding(block=8)
    trips = walks.take(rows)
    routes = [trips.segments_of(row) for row in range(len(rows))]
    canvas = new_canvas(model, city, trips.origin, trips.destination, decoding, slack=60)
    canvas.hour = batch.hour[rows]
    canvas.forget()
    for first in range(0, int(trips.lengths.max()), 8):
        canvas.propose(torch.full((len(rows),), first), 8)
        candidates, logits, _, _ = canvas.proposal
        for j, (trip, position) in enumerate(zip(candidates.row, candidates.position, strict=True)):
            if position <= trips.lengths[trip]:  # the end included
                part = slice(candidates.start[j], candidates.start[j + 1])
                truth = routes[trip][position] if position < trips.lengths[trip] else canvas.end
                at = np.flatnonzero(candidates.segment[part] == truth)[0]
                found = -torch.log_softmax(torch.from_numpy(logits[part]), 0)[at]
                assert abs(float(found - nll[rows[trip], position - 1])) < 1e-4
        for trip in range(len(rows)):
            for position in range(first + 1, first + 9):
                if position < trips.lengths[trip]:
                    canvas.tokens[trip, position] = routes[trip][position]
                    canvas.open[trip, position] = False
                    canvas._describe(np.array([trip]), np.array([position]))
                else:
                    canvas.open[trip, position:] = False
        canvas.settle(torch.full((len(rows),), first + 8))
    canvas.settle(torch.full((len(rows),), canvas.open.shape[1] - 1))
    for trip in range(len(rows)):
        length = trips.lengths[trip]
        np.testing.assert_allclose(canvas.log_time[trip, :length], mean[rows[trip], :length].numpy(), atol=1e-4)
        np.testing.assert_allclose(canvas.spread[trip, :length], spread[rows[trip], :length].numpy(), rtol=1e-3)


@torch.no_grad()
def test_routes_are_drawn_as_often_as_the_model_says(model, make_grid):
    """All routes of one pair on a grid of three by three crossings, drawn one segment after the other."""
    network = make_grid(3)
    city, many = CityFeatures(network), 1500
    origin, destination = np.full(many, 0), np.full(many, 9)
    decoding = ConfidenceDecoding(block=1, steps=1)
    canvas = new_canvas(model, city, origin, destination, decoding, slack=4, seed=3)
    canvas.hour[:] = 8.0
    canvas.forget()
    decode(canvas, decoding)
    trips = trips_on(canvas)
    routes = [tuple(trips.segments_of(row).tolist()) for row in range(many)]
    probability = {route: float(np.exp(canvas.log_probability[row])) for row, route in enumerate(routes)}
    assert len(probability) > 5
    counts = Counter(routes)
    common = [route for route, p in probability.items() if p * many >= 5]
    rest = 1 - sum(probability[route] for route in common)
    assert sum(probability.values()) <= 1 + 1e-4
    observed = [*(counts[route] for route in common), many - sum(counts[route] for route in common)]
    expected = [*(probability[route] * many for route in common), rest * many]
    if rest * many < 5:
        observed, expected = (
            [*observed[:-2], observed[-2] + observed[-1]],
            [*expected[:-2], expected[-2] + expected[-1]],
        )
    assert chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize(("temperature", "least"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.2), (0.0, 0.0)])
def test_temperature_and_least_shape_the_probabilities(model, small_city, temperature, least):
    ends = np.random.default_rng(6).integers(0, len(small_city.network), (2, 6))
    canvas = new_canvas(
        model, small_city, *ends, ConfidenceDecoding(), slack=8, temperature=temperature, least=least, leftmost=False
    )
    sure = canvas.propose(torch.zeros(6, dtype=torch.long), 8).numpy()
    candidates, logits, probability, _ = canvas.proposal
    for j, (trip, position) in enumerate(zip(candidates.row, candidates.position, strict=True)):
        part = slice(candidates.start[j], candidates.start[j + 1])
        mine = logits[part].astype(np.float64)
        plain = np.exp(mine - mine.max())
        assert sure[trip, position - 1] == pytest.approx(1 / plain.sum(), rel=1e-5)
        wanted = (mine == mine.max()).astype(float) if temperature == 0 else plain ** (1 / temperature)
        wanted[wanted < least] = 0
        np.testing.assert_allclose(probability[part], wanted / wanted.sum(), atol=1e-6)


def test_from_the_left_whatever_is_beside_its_left_neighbour_is_sure(model, small_city):
    ends = np.random.default_rng(6).integers(0, len(small_city.network), (2, 6))
    canvas = new_canvas(model, small_city, *ends, ConfidenceDecoding(), slack=8, leftmost=True)
    sure = canvas.propose(torch.zeros(6, dtype=torch.long), 8)
    assert (sure[:, 0] == 1).all()
    assert (sure[:, 1:] < 1).any()


@torch.no_grad()
def test_at_temperature_zero_the_likeliest_that_fits_is_taken(model: TrajectoryModel, small_city):
    """Also where what was written in the same step has ruled out the likeliest of all."""
    ends = np.random.default_rng(7).integers(0, len(small_city.network), (2, 30))
    canvas = new_canvas(model, small_city, *ends, ConfidenceDecoding(), slack=8, temperature=0.0, leftmost=False)
    canvas.propose(torch.zeros(30, dtype=torch.long), 8)
    candidates, logits, _, _ = canvas.proposal
    at = {(int(r), int(p)): j for j, (r, p) in enumerate(zip(candidates.row, candidates.position, strict=True))}
    canvas.commit(torch.ones(30, 8, dtype=torch.bool), all_of_them=True)
    successors, ruled_out = canvas.city.network.successors, 0
    for trip in range(30):
        for position in range(1, 9):
            before = canvas.tokens[trip, position - 1]
            if before == canvas.end:
                break
            onward = successors.indices[successors.indptr[before] : successors.indptr[before + 1]].tolist()
            onward += [canvas.end] if before == canvas.destination[trip] else []
            part = slice(candidates.start[at[trip, position]], candidates.start[at[trip, position] + 1])
            scores = dict(zip(candidates.segment[part].tolist(), logits[part], strict=True))
            fits = {token: score for token, score in scores.items() if token in onward}
            assert canvas.tokens[trip, position] == max(fits, key=fits.__getitem__)
            ruled_out += max(scores, key=scores.__getitem__) not in fits
    assert ruled_out > 0
