"""What must hold for every trip that is drawn, whatever the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suffuse.backbone.discrete import ConfidenceDecoding, DeferredCommitmentDecoding
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.generate import (
    GenerationConfig,
    correlated,
    generate_batches,
    generate_trips,
    unreachable,
)
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.reachability import hops_to
from suffuse.trajectory.trips.table import Trips

DECODERS = {
    "confidence": ConfidenceDecoding(),
    "fixed schedule": ConfidenceDecoding(block=5, steps=2, threshold=None),
    "one by one": ConfidenceDecoding(block=1, steps=1),
    "deferred": DeferredCommitmentDecoding(),
    "deferred, late caches": DeferredCommitmentDecoding(masks=4, width=12, threshold=0.5, delay=3, refresh=5),
    "deferred, no caches": DeferredCommitmentDecoding(masks=4, width=6, at_least=2, threshold=None, cache="none"),
    "deferred, one mask": DeferredCommitmentDecoding(masks=1, width=3),
}


@pytest.fixture(params=DECODERS.values(), ids=DECODERS.keys())
def decoding(request):
    return request.param


def assert_legal(trips: Trips, requests: Requests, city: CityFeatures, config: GenerationConfig) -> None:
    network = city.network
    np.testing.assert_array_equal(trips.origin, requests.origin)
    np.testing.assert_array_equal(trips.destination, requests.destination)
    np.testing.assert_array_equal(trips.depart, requests.depart)
    np.testing.assert_array_equal(trips.trip_id, requests.request_id)
    inside = np.ones(len(trips.segment), dtype=bool)
    inside[trips.start[1:] - 1] = False
    pairs = trips.segment[:-1][inside[:-1]], trips.segment[1:][inside[:-1]]
    dense = network.successors.toarray().astype(bool)
    assert dense[pairs].all(), "an illegal transition"
    assert not np.isin(trips.segment, list(network.closed)).any(), "a closed segment"
    hops = hops_to(network, requests.destination)[np.arange(len(requests)), requests.origin]
    assert (trips.lengths - 1 <= np.ceil(config.detour * hops) + config.slack).all(), "too long"
    first = np.zeros(len(trips.segment), dtype=bool)
    first[trips.start[:-1]] = True
    assert (trips.enter_s[first] == 0).all()
    assert (np.diff(trips.enter_s)[~first[1:]] >= 0).all()
    assert (trips.duration_s >= trips.enter_s[trips.start[1:] - 1]).all()


def assert_equal(a: Trips, b: Trips) -> None:
    for name in ("start", "segment", "enter_s", "duration_s", "depart", "trip_id"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_every_trip_is_legal_and_arrives_in_time(model, city, requests_on, decoding):
    requests = requests_on(city.network, 20, 1)
    for settings_ in (
        {"slack": 12},
        {"detour": 1.0, "slack": 0},
        {"guidance": 1.5, "temperature": 3.0, "least": 0.0, "slack": 3},
    ):
        config = GenerationConfig(decoding=decoding, **settings_)
        assert_legal(generate_trips(model, city, requests, config), requests, city, config)


def test_without_room_for_detours_trips_are_of_the_fewest_segments(model, city, requests_on):
    requests = requests_on(city.network, 40, 2)
    trips = generate_trips(model, city, requests, GenerationConfig(detour=1.0, slack=0))
    hops = hops_to(city.network, requests.destination)[np.arange(40), requests.origin]
    np.testing.assert_array_equal(trips.lengths, hops + 1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_closed_segments_are_never_used(model, city, requests_on, data):
    closed = data.draw(st.sets(st.integers(0, len(city.network) - 1), min_size=1, max_size=60))
    shut = CityFeatures(city.network.without(np.array(sorted(closed))), city.observed)
    requests = requests_on(city.network, 12, data.draw(st.integers(0, 99)))
    lost = unreachable(shut.network, requests)
    backwards = hops_to(shut.network, requests.destination)
    for row in range(12):
        cut_off = backwards[row, requests.origin[row]] > 10**6 or {*requests.take(np.array([row])).origin} & closed
        assert (row in lost) == bool(cut_off or int(requests.destination[row]) in closed)
    met = requests.take(np.setdiff1d(np.arange(12), lost))
    if len(met):
        config = GenerationConfig(slack=10)
        assert_legal(generate_trips(model, shut, met, config), met, shut, config)
    if len(lost):
        with pytest.raises(
            RequestError, match=rf"request r{lost[0]}: segment .* cannot be reached .*{len(lost)} of 12"
        ):
            generate_trips(model, shut, requests)


def test_from_a_segment_to_itself(model, city, decoding):
    same = np.arange(20)
    requests = Requests(
        origin=same, destination=same, depart=np.zeros(20, "datetime64[s]"), request_id=same.astype(str).astype(object)
    )
    config = GenerationConfig(decoding=decoding, slack=12)
    trips = generate_trips(model, city, requests, config)
    assert_legal(trips, requests, city, config)
    shortest = generate_trips(model, city, requests, replace(config, detour=1.0, slack=0))
    np.testing.assert_array_equal(shortest.segment, same)


def test_same_seed_same_trips_whatever_the_batch_size(model, city, requests_on, decoding):
    """To the last bit, with batches of other sizes, other batch mates, and tiles of other lengths."""
    requests = requests_on(city.network, 40, 3)
    config = GenerationConfig(decoding=decoding, seed=5, slack=9, temperature=1.5, least=0.0)
    whole = generate_trips(model, city, requests, config)
    assert_equal(generate_trips(model, city, requests, replace(config, batch_size=7)), whole)
    few = np.arange(4)
    assert_equal(generate_trips(model, city, requests.take(few), replace(config, batch_size=1)), whole.take(few))
    rest = np.arange(11, 40)
    assert_equal(generate_trips(model, city, requests.take(rest), config, first=11), whole.take(rest))


@pytest.mark.parametrize("name", ["confidence", "deferred"])
def test_tiles_of_a_large_guided_batch_do_not_mix(model, city, requests_on, name):
    requests = requests_on(city.network, 150, 3)
    config = GenerationConfig(decoding=DECODERS[name], seed=5, guidance=0.5, slack=4)
    whole = generate_trips(model, city, requests, config)
    assert_equal(generate_trips(model, city, requests, replace(config, batch_size=64)), whole)


def test_another_seed_or_draw_gives_other_trips(model, city, requests_on):
    requests = requests_on(city.network, 30, 4)
    first, again, seed, draw = (
        generate_trips(model, city, requests, GenerationConfig(seed=s, slack=5), draw=d)
        for s, d in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert_equal(first, again)
    for other in (seed, draw):
        same = [np.array_equal(first.segments_of(row), other.segments_of(row)) for row in range(30)]
        assert np.mean(same) < 0.5
    same = [np.array_equal(seed.segments_of(row), draw.segments_of(row)) for row in range(30)]
    assert np.mean(same) < 0.5


def test_twenty_trips_of_one_pair_take_several_routes(model, city, requests_on):
    requests = requests_on(city.network, 1, 6).take(np.zeros(20, dtype=np.int64))
    trips = generate_trips(model, city, requests, GenerationConfig(slack=10))
    assert len({tuple(trips.segments_of(row)) for row in range(20)}) > 3
    coldest = generate_trips(model, city, requests, GenerationConfig(temperature=0.0, slack=10))
    assert len({tuple(coldest.segments_of(row)) for row in range(20)}) == 1


def test_batches_hear_of_progress_and_come_in_order(model, city, requests_on):
    requests, heard = requests_on(city.network, 10, 7), []
    config = GenerationConfig(batch_size=4, slack=5)
    trips = generate_trips(model, city, requests, config, progress=heard.append)
    assert heard == [4, 8, 10]
    sizes = [len(part) for part in generate_batches(model, city, requests, config)]
    assert sizes == [4, 4, 2]
    np.testing.assert_array_equal(trips.trip_id, requests.request_id)


def test_delays_along_a_trip_have_unit_variance_and_the_wanted_correlation():
    noise = np.random.default_rng(0).standard_normal((20_000, 6))
    made = correlated(noise, 0.7)
    np.testing.assert_allclose(made.std(axis=0), 1, atol=0.02)
    for lag in (1, 2, 5):
        found = np.corrcoef(made[:, 0], made[:, lag])[0, 1]
        assert abs(found - 0.7**lag) < 0.02
    np.testing.assert_array_equal(correlated(noise, 0.0), noise)


def test_times_are_those_of_the_streams_free_flow_times_and_the_model(make_model, city, requests_on):
    """With the last layer's weights at zero every segment takes exp(mean + spread * noise) times its free-flow time."""
    model = make_model()
    with torch.no_grad():
        model.time.weight.zero_()
        model.time.bias.copy_(torch.tensor([0.4, -9.0]))  # the spread is bounded below by exp(-3)
    requests = requests_on(city.network, 100, 8)
    trips = generate_trips(model, city, requests, GenerationConfig(slack=2))
    leave = np.append(trips.enter_s[1:], 0.0)
    leave[trips.start[1:] - 1] = trips.duration_s
    ratio = np.log(trips.duration_s / np.add.reduceat(city.network.free_flow_s[trips.segment], trips.start[:-1]))
    assert abs(ratio.mean() - 0.4) < 0.01  # whole seconds: 15 s a segment
    assert (leave > trips.enter_s).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"guidance": -0.1}, "guidance must be a finite number of at least 0, got -0.1"),
        ({"temperature": float("nan")}, "temperature must be a finite number of at least 0, got nan"),
        ({"least": 1.0}, r"least must be in \[0, 1\), got 1.0"),
        ({"detour": 0.9}, "detour must be at least 1"),
        ({"slack": -1}, "slack at least 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be .* got -1"),
    ],
)
def test_wrong_settings_are_named(wrong, said):
    with pytest.raises(ValueError, match=said):
        GenerationConfig(**wrong)


def test_a_request_keeps_its_random_numbers_when_others_are_left_out(model, city, requests_on):
    asked = Requests.from_trips(generate_trips(model, city, requests_on(city.network, 12, 5), GenerationConfig(seed=1)))
    whole = generate_trips(model, city, asked, GenerationConfig(seed=2))
    kept = np.array([0, 4, 5, 11])
    part = generate_trips(model, city, asked.take(kept), GenerationConfig(seed=2))
    np.testing.assert_array_equal(part.segment, whole.take(kept).segment)
    np.testing.assert_array_equal(part.enter_s, whole.take(kept).enter_s)
