"""Training batches: seekable, free of leaks, and never without the right answer among the candidates."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.backbone.discrete import BetaCurriculum, NoiseConfig
from suffuse.trajectory.model.batches import BatchConfig, TripBatch, TripBatches, make_batch
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.loss import route_nll
from suffuse.trajectory.model.trajectory_model import CANDIDATE_ABOUT_DESTINATION, TOKEN_ABOUT_DESTINATION
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.trips.table import Trips, concatenate

CONFIG = BatchConfig(trips=8, folds=3, no_usage=0.25, drop_condition=0.3)
NOISE = NoiseConfig(distribution=BetaCurriculum())


@pytest.fixture(scope="module")
def trips(grid, make_walks) -> Trips:
    return make_walks(grid, 70, seed=1)


@pytest.fixture(scope="module")
def source(grid, trips) -> TripBatches:
    return TripBatches(grid, trips, CONFIG, NOISE, steps=40, seed=3)


def assert_same(a: TripBatch, b: TripBatch) -> None:
    for field in fields(TripBatch):
        if field.name == "city" or getattr(a, field.name) is getattr(b, field.name) is None:
            continue
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), rtol=0, atol=0, equal_nan=True)


def costs_of(city: CityFeatures, trips: Trips):
    return city.costs_to_go(trips.destination)


def test_a_batch_depends_on_the_seed_and_its_number_alone(grid, trips, source):
    again = TripBatches(grid, trips, CONFIG, NOISE, steps=40, seed=3)
    for step in (31, 2, 17, 2, 0):  # in any order, as after a resume
        assert_same(again[step], source[step])
    other = TripBatches(grid, trips, CONFIG, NOISE, steps=40, seed=4)
    assert not all(torch.equal(other[step].origin, source[step].origin) for step in range(4))


def test_every_trip_of_a_fold_comes_once_an_epoch(grid, trips, source):
    assert len(source.trips) == 70
    seen: dict[int, list[tuple[int, int, float]]] = {0: [], 1: [], 2: []}
    for step in range(12):
        batch = source[step]
        seen[step % 3] += list(zip(batch.origin.tolist(), batch.destination.tolist(), batch.hour.tolist(), strict=True))
    for fold, found in seen.items():
        rows = np.flatnonzero(source.fold == fold)
        mine = source.trips.take(rows)
        known = set(zip(mine.origin.tolist(), mine.destination.tolist(), np.float32(mine.hour).tolist(), strict=True))
        turns = len(source.order(fold, 0))
        assert turns == len(rows) // 8  # those left over wait for another epoch
        assert len(set(found[: 8 * turns])) == 8 * turns
        assert set(found) <= known


def test_a_trip_is_never_counted_in_what_its_own_batch_reads(grid, trips, source):
    """Whatever the trips of a fold are, the usage that the fold's batches read stays the same."""
    assert [city.has_usage for city in source.cities] == [False, True, True, True]
    for fold in range(3):
        others = source.trips.take(np.flatnonzero(source.fold != fold))
        expected = count_usage(grid, others)
        np.testing.assert_array_equal(source.cities[fold + 1].usage.flow, expected.flow)
        np.testing.assert_array_equal(source.cities[fold + 1].usage.turn_count[1], expected.turn_count[1])
    victim = int(np.flatnonzero(source.fold == 1)[0])
    rows = np.arange(70)
    changed = concatenate([trips.take(rows[:victim]), Trips.from_lists([[5, 20]]), trips.take(rows[victim + 1 :])])
    if not grid.successors[5, 20]:
        after = int(grid.successors.indices[grid.successors.indptr[5]])
        changed = concatenate(
            [trips.take(rows[:victim]), Trips.from_lists([[5, after]]), trips.take(rows[victim + 1 :])]
        )
    other = TripBatches(grid, changed, CONFIG, NOISE, steps=40, seed=3)
    np.testing.assert_array_equal(other.fold, source.fold)
    for name in ("flow", "turn_flow", "leaving"):
        same = [
            np.array_equal(getattr(a.usage, name), getattr(b.usage, name))
            for a, b in zip(other.cities, source.cities, strict=True)
        ]
        assert same == [True, False, True, False], name
    for table in range(4):
        mine, theirs = (s.costs[2].rows(np.array([20])).distance[table] for s in (other, source))
        np.testing.assert_array_equal(mine, theirs)


def test_batches_read_the_usage_of_the_other_folds_or_none(source):
    reads = [source.cities.index(source[step].city) for step in range(40)]
    assert all(use in (0, step % 3 + 1) for step, use in enumerate(reads))
    assert 2 < sum(use == 0 for use in reads) < 20  # about a quarter


def test_costs_of_a_batch_are_those_of_its_city(source):
    ends = source.trips.destination[:9]
    for use, city in enumerate(source.cities):
        made, direct = source.costs[use].rows(ends), city.costs_to_go(ends)
        np.testing.assert_array_equal(made.distance, direct.distance)
        np.testing.assert_array_equal(made.learned[made.zone_row], direct.learned[direct.zone_row])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), block_size=st.integers(1, 20), count=st.integers(1, 9), progress=st.floats(0, 1),
    all_masked=st.booleans(),
)  # fmt: skip
def test_the_truth_is_among_the_candidates_once(grid, make_walks, seed, block_size, count, progress, all_masked):
    trips, city = make_walks(grid, count, seed=seed), CityFeatures(grid)
    batch = make_batch(
        city, trips, costs_of(city, trips), noise=NOISE, block_size=block_size, progress=progress, drop_condition=0.2,
        rng=np.random.default_rng(seed), all_masked=all_masked,
    )  # fmt: skip
    truth = batch.tokens[batch.masked]
    assert torch.equal(batch.candidate[batch.target], truth)
    assert torch.equal(batch.group[batch.target], torch.arange(len(truth)))
    assert torch.equal((batch.candidate == truth[batch.group]).nonzero()[:, 0], batch.target)
    assert torch.equal(batch.masked & ~batch.valid, torch.zeros_like(batch.masked))
    if all_masked:
        assert torch.equal(batch.masked, batch.valid)
    for row in range(count):
        route = trips.segments_of(row).tolist()
        assert batch.origin[row] == route[0]
        assert batch.tokens[row].tolist()[: len(route)] == [*route[1:], len(grid)]
        assert (batch.tokens[row, len(route) - 1 :] == len(grid)).all()
        # valid up to the end of the block that holds the end, in whole blocks but for the first
        inside = batch.valid[row].nonzero()[:, 0].tolist()
        assert inside == list(range(len(inside)))
        assert len(inside) >= len(route)
        sizes = np.bincount(batch.blocks[row][batch.valid[row]])
        assert (sizes[1:] == block_size).all()
        assert 1 <= sizes[0] <= block_size
        assert len(inside) - len(route) < block_size


def test_times_are_logs_of_time_taken_over_free_flow_time(grid, make_walks):
    trips, city = make_walks(grid, 12, seed=2), CityFeatures(grid)
    clockless = Trips.from_lists([trips.segments_of(0).tolist()], depart=trips.depart[:1])
    both = concatenate([trips, clockless])
    batch = make_batch(
        city, both, costs_of(city, both), noise=NOISE, block_size=4, progress=0.0, drop_condition=0.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    for row in range(12):
        enter = trips.enter_s[trips.start[row] : trips.start[row + 1]]
        taken = np.diff(np.append(enter, trips.duration_s[row]))
        expected = np.log(taken / grid.free_flow_s[trips.segments_of(row)])
        found = batch.log_time[row].numpy()
        np.testing.assert_allclose(found[: len(taken)], expected, rtol=1e-4, atol=1e-5)
        assert np.isnan(found[len(taken) :]).all()
    assert batch.log_time[12].isnan().all()


@torch.no_grad()
def test_a_dropped_condition_hides_destination_and_hour(model, grid, trips):
    """Change all that is about the destination: dropped trips are scored as before, the others are not."""
    city = CityFeatures(grid, count_usage(grid, trips))
    batch = make_batch(
        city, trips, costs_of(city, trips), noise=NOISE, block_size=8, progress=0.5, drop_condition=0.5,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    assert 20 < batch.dropped.sum() < 50
    noise = torch.Generator().manual_seed(0)
    token_features, features = batch.token_features.clone(), batch.features.clone()
    origin_features = batch.origin_features.clone()
    for table, columns in (
        (token_features, TOKEN_ABOUT_DESTINATION),
        (origin_features, TOKEN_ABOUT_DESTINATION),
        (features, CANDIDATE_ABOUT_DESTINATION),
    ):
        table[..., list(columns)] = torch.randn(*table.shape[:-1], len(columns), generator=noise)
    other = replace(
        batch, destination=batch.destination.flip(0), hour=(batch.hour + 5) % 24, token_features=token_features,
        origin_features=origin_features, features=features,
    )  # fmt: skip
    before, clean = route_nll(model, batch)
    after, changed = route_nll(model, other)
    torch.testing.assert_close(before[batch.dropped], after[batch.dropped], rtol=0, atol=1e-5)
    torch.testing.assert_close(clean[batch.dropped], changed[batch.dropped], rtol=0, atol=1e-5)
    kept = ~batch.dropped & (before != 0).any(dim=1)
    assert ((before - after)[kept].abs().amax(dim=1) > 1e-3).all()


def test_trips_that_cannot_be_trained_on(grid, trips, make_walks):
    longest = replace(CONFIG, longest=5)
    source = TripBatches(grid, trips, longest, NOISE, steps=4, seed=0)
    assert (source.trips.lengths <= 5).all()
    assert len(source.trips) == (trips.lengths <= 5).sum()
    with pytest.raises(ValueError, match="1 trips of 2 to 160 segments are too few to train on"):
        TripBatches(grid, trips.take(np.arange(1)), CONFIG, NOISE, steps=4, seed=0)
    with pytest.raises(ValueError, match="0 trips of 2 to 160"):
        TripBatches(grid, Trips.from_lists([[3]] * 50), CONFIG, NOISE, steps=4, seed=0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"trips": 0}, "trips must be at least 1, got 0"),
        ({"block_sizes": (1, 4)}, "needs a weight"),
        ({"block_sizes": (0, 1, 2, 3)}, "needs a weight"),
        ({"block_weights": (0.5, 0.5, 0.5, -0.1)}, "block_weights must be positive"),
        ({"drop_condition": 1.5}, r"drop_condition must be in \[0, 1\], got 1.5"),
        ({"no_usage": -0.1}, r"no_usage must be in \[0, 1\], got -0.1"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"longest": 1}, "longest must be at least 2, got 1"),
    ],
)
def test_wrong_settings_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        BatchConfig(**wrong)
