"""What holds for every baseline: legal trips, the same in parts, closed streets avoided, files that say what is off."""

import json
import pickle
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from suffuse.trajectory.baselines import BASELINES, Baseline, load_baseline
from suffuse.trajectory.errors import ModelError, RequestError
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips

LOST = ("markov",)
"""Baselines whose trips may lose their way."""


@pytest.fixture(scope="module")
def trips(grid, make_walks) -> Trips:
    return make_walks(grid, 300, 1)


@pytest.fixture(scope="module")
def asked(grid, make_walks) -> Requests:
    return Requests.from_trips(make_walks(grid, 60, 2))


@pytest.fixture(scope="module", params=BASELINES)
def fitted(request, grid, trips) -> Baseline:
    return BASELINES[request.param].fit(grid, trips)


def test_names_are_those_of_the_tables():
    assert list(BASELINES) == ["dijkstra", "dijkstra-time", "markov", "zone-path", "recursive-logit"]


def test_trips_are_legal_and_answer_their_requests(grid, asked, fitted):
    drawn = fitted.sample(asked, seed=3)
    legal = set(zip(*(axis.tolist() for axis in grid.successors.nonzero()), strict=True))
    for row in range(len(drawn)):
        assert legal.issuperset(pairwise(drawn.segments_of(row).tolist()))
    np.testing.assert_array_equal(drawn.origin, asked.origin)
    np.testing.assert_array_equal(drawn.trip_id, asked.request_id)
    np.testing.assert_array_equal(drawn.depart, asked.depart)
    if fitted.name not in LOST:
        np.testing.assert_array_equal(drawn.destination, asked.destination)
    assert (drawn.duration_s > drawn.enter_s[drawn.start[1:] - 1]).all()


def test_a_trip_depends_on_its_seed_and_number_only(asked, fitted):
    whole = fitted.sample(asked, seed=3)
    for first, end in ((0, 7), (7, 8), (8, 60)):
        rows = np.arange(first, end)
        part = fitted.sample(asked.take(rows), seed=3, first=first)
        np.testing.assert_array_equal(part.segment, whole.take(rows).segment)
        np.testing.assert_allclose(part.enter_s, whole.take(rows).enter_s, atol=1e-6)


def test_it_comes_back_from_its_files(grid, asked, fitted, tmp_path):
    fitted.save(tmp_path / "new" / "folder")
    again = load_baseline(tmp_path / "new" / "folder", grid)
    assert type(again) is type(fitted)
    first, second = fitted.sample(asked, seed=4), again.sample(asked, seed=4)
    np.testing.assert_array_equal(first.segment, second.segment)
    np.testing.assert_array_equal(first.enter_s, second.enter_s)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "baseline.json",
        "baseline.safetensors",
    ]


def test_closed_segments_are_never_used(grid, asked, fitted):
    use = np.bincount(fitted.sample(asked, seed=0).segment, minlength=len(grid))
    use[[*asked.origin, *asked.destination]] = 0
    shut = np.argsort(-use)[:3]
    assert (use[shut] > 0).all()
    moved = fitted.on(grid.without(shut))
    for row in range(len(asked)):
        try:
            drawn = moved.sample(asked.take(np.array([row])), seed=0)
        except RequestError as error:
            assert "no way leads" in str(error)  # noqa: PT017 - a corner may be cut off
            continue
        assert not np.isin(drawn.segment, shut).any()


def test_a_closed_end_is_named(grid, asked, fitted):
    shut = fitted.on(grid.without(asked.destination[:1]))
    with pytest.raises(RequestError, match=f"destination {1000 + asked.destination[0]} is closed"):
        shut.sample(asked.take(np.array([0])))


def test_an_unknown_segment_is_named(asked, fitted):
    wrong = Requests(
        origin=np.array([10_000]), destination=np.array([0]), depart=asked.depart[:1], request_id=asked.request_id[:1]
    )
    with pytest.raises(RequestError, match="origin with index 10000"):
        fitted.sample(wrong)


@pytest.mark.parametrize("name", ["dijkstra", "dijkstra-time"])
def test_shortest_is_least_of_metres_or_of_seconds(grid, asked, trips, name):
    for model in (BASELINES[name].without_trips(grid), BASELINES[name].fit(grid, trips)):
        drawn = model.sample(asked)
        for row in range(0, len(drawn), 5):
            hour = int(asked.hour[row])
            cost = grid.length_m if name == "dijkstra" else model.times.seconds(grid, hour)
            graph = nx.DiGraph()
            for a, b in zip(*(axis.tolist() for axis in grid.successors.nonzero()), strict=True):
                graph.add_edge(a, b, weight=float(cost[b]))
            least = nx.dijkstra_path_length(graph, int(asked.origin[row]), int(asked.destination[row]))
            assert cost[drawn.segments_of(row)[1:]].sum() == pytest.approx(least)


@pytest.mark.parametrize("name", ["markov", "zone-path", "recursive-logit"])
def test_what_learns_needs_trips(grid, name):
    with pytest.raises(ModelError, match="needs trips to learn from"):
        BASELINES[name].without_trips(grid)


def broken(folder: Path, how: str) -> None:
    tensors, settings = folder / "baseline.safetensors", folder / "baseline.json"
    if how == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:-20])
    elif how == "pickle":
        tensors.write_bytes(pickle.dumps({"turn_total": [1.0]}))
    elif how == "absent":
        tensors.unlink()
    elif how == "no json":
        settings.write_text("{")
    elif how == "a list":
        settings.write_text("[]")
    else:
        said = json.loads(settings.read_text())
        said |= {"old format": {"format": 0}, "unknown": {"baseline": "oracle"}, "settings": {"settings": {}}}[how]
        settings.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", "safetensors"),
        ("pickle", "safetensors"),
        ("absent", "safetensors"),
        ("no json", "cannot be read as JSON"),
        ("a list", "holds no JSON object, but a list"),
        ("old format", "format 0"),
        ("unknown", "unknown baseline 'oracle'"),
        ("settings", "no whole baseline"),
    ],
)
def test_files_that_are_not_a_baseline_are_named(grid, trips, tmp_path, how, said):
    BASELINES["markov"].fit(grid, trips).save(tmp_path)
    broken(tmp_path, how)
    with pytest.raises(ModelError, match=said) as caught:
        load_baseline(tmp_path, grid)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_network_is_refused(grid, ladder, trips, tmp_path):
    fitted = BASELINES["markov"].fit(grid, trips)
    fitted.save(tmp_path)
    with pytest.raises(ModelError, match="other than"):
        load_baseline(tmp_path, ladder)
    with pytest.raises(ModelError, match="other than"):
        fitted.on(ladder)


def test_another_kind_is_refused(grid, trips, tmp_path):
    BASELINES["markov"].fit(grid, trips).save(tmp_path)
    with pytest.raises(ModelError, match="'markov', not a 'zone-path'"):
        BASELINES["zone-path"].load(tmp_path, grid)


def test_markov_walks_end_at_the_longest_trip_or_arrive(grid, asked, trips):
    drawn = BASELINES["markov"].fit(grid, trips).sample(asked, seed=0)
    arrived = drawn.destination == asked.destination
    longest = int(trips.lengths.max())
    assert (drawn.lengths <= longest).all()
    assert (drawn.lengths[~arrived] == longest).all()
    assert 0 < arrived.sum() < len(asked)


def test_markov_heads_for_its_zone(make_network):
    """A fork where trips to one end always turn left and to the other right."""
    places = np.array([(0, 0), (1, 0), (2, 1), (2, -1), (3, 1), (3, -1)], dtype=float)
    fork: RoadNetwork = make_network([(0, 1), (1, 2), (1, 3), (2, 4), (3, 5)], places)
    trips = Trips.from_lists([[0, 1, 3], [0, 2, 4]] * 400)
    drawn = BASELINES["markov"].fit(fork, trips).sample(Requests.from_trips(trips), seed=0)
    assert (drawn.destination == trips.destination).mean() > 0.99
