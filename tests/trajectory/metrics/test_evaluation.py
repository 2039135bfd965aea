import json
import math
from dataclasses import fields, replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.metrics import Figures, evaluate
from suffuse.trajectory.metrics.equal_size import Divergences, compare_at_equal_size, divergences, measure
from suffuse.trajectory.metrics.overlap import overlaps
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.trips.table import Trips, concatenate

NAMES = {
    *("jsd_distance", "jsd_radius", "jsd_duration", "hausdorff_km", "dtw_km", "edr", "edr_hoser", "overlap"),
    *("length_ratio", "loops", "flow_r", "valid", "arrived", "n"),
}


class Echo:
    """Answers every request with the trip it was made from, or with another draw."""

    def __init__(self, *draws: Trips) -> None:
        self.draws = draws
        self.asked: list[Requests] = []

    def sample(self, requests: Requests, *, seed: int) -> Trips:
        self.asked.append(requests)
        return self.draws[min(seed, len(self.draws) - 1)]


def unlike_ends(network, trips: Trips) -> Trips:
    """The first trip of each request."""
    key = trips.origin * len(network) + trips.destination
    return trips.take(np.sort(np.unique(key, return_index=True)[1]))


@pytest.fixture(scope="module")
def real(grid, make_walks) -> Trips:
    return unlike_ends(grid, make_walks(200, 0))


def test_real_trips_are_perfect_against_themselves(grid, real):
    row = evaluate(grid, real, real).rows["generated"]
    assert (row.n, row.pairs) == (len(real), len(real))
    for nought in ("jsd_distance", "jsd_radius", "jsd_duration", "jsd_trip_duration", "hausdorff_km", "dtw_km", "edr"):
        assert getattr(row, nought) == pytest.approx(0, abs=1e-15), nought
    for one in ("overlap", "length_ratio", "flow_r", "valid", "arrived"):
        assert getattr(row, one) == pytest.approx(1), one
    assert math.isnan(row.redraw_overlap)  # no request was answered twice


def test_every_figure_of_one_pair_by_hand(grid):
    ahead = [0]
    for _ in range(3):  # follow one way on
        ahead.append(int(grid.successors.indices[grid.successors.indptr[ahead[-1]]]))
    real = Trips.from_lists([ahead], enter_s=[[0.0, 60.0, 120.0, 180.0]], duration_s=[240.0])
    loop = Trips.from_lists([[*ahead[:3], *ahead]], enter_s=[[0.0] * 7], duration_s=[1.0])
    row = evaluate(grid, real, loop).rows["generated"]
    assert row.pairs == 1
    assert row.overlap == 1
    assert row.loops == 1
    assert row.length_ratio == pytest.approx(1 + grid.length_m[ahead[:3]].sum() / grid.length_m[ahead].sum())
    assert row.hausdorff_km == 0
    assert row.valid == pytest.approx(5 / 6)  # the jump back
    assert row.jsd_duration == pytest.approx(math.log(2))


def test_only_requests_tell_who_did_not_arrive(grid, real):
    short = real.take(np.arange(10))
    cut = Trips.from_lists([short.segments_of(row)[: -1 if row < 4 else None].tolist() for row in range(10)])
    assert evaluate(grid, short, cut, requests=Requests.from_trips(short)).rows["generated"].arrived == 0.6
    assert evaluate(grid, short, cut, requests=Requests.from_trips(short)).rows["generated"].pairs == 10
    assert evaluate(grid, short, cut).rows["generated"].arrived == 1


def test_a_second_draw_is_scored_as_the_floor(grid, real, make_walks):
    second = make_walks(150, 1)
    found = evaluate(grid, real, real, floor=second)
    as_generated = evaluate(grid, real, second).rows["generated"]
    assert replace(found.rows["floor"], redraw_overlap=0.0) == replace(as_generated, redraw_overlap=0.0)
    assert found.equal_n == min(len(real), 150)


def test_the_floor_within_one_set_pairs_requests_made_twice(grid, real):
    again = concatenate([real, real.take(np.arange(30))])
    found = evaluate(grid, again, real)
    floor = found.rows["floor"]
    assert (floor.n, floor.pairs) == (len(again) // 2, 30)
    assert floor.overlap == floor.redraw_overlap == pytest.approx(1)
    assert floor.jsd_distance > 0
    assert found.equal_n == len(again) // 2
    assert "30 pairs" in found.floor_is


def test_two_draws_of_a_request(grid, real, make_walks):
    twice = concatenate([real, real.take(np.arange(20))])
    assert evaluate(grid, real, twice).rows["generated"].redraw_overlap == pytest.approx(1)
    other = make_walks(len(real), 5)
    pairs = np.stack([np.arange(len(real))] * 2, axis=-1)
    expected = overlaps(grid, real, other, pairs).mean()
    assert evaluate(grid, real, real, redraw=other).rows["generated"].redraw_overlap == pytest.approx(expected)


def test_baselines_answer_the_generated_trips_requests_twice(grid, real, make_walks):
    other = make_walks(len(real), 2)
    baseline = Echo(real, other)
    rows: list[str] = []
    found = evaluate(grid, real, real, baselines={"zone-path": baseline}, on_row=rows.append)
    assert list(found.rows) == ["generated", "floor", "zone_path"]
    assert rows == ["generated", "floor", "zone-path"]
    assert [asked.destination.tolist() for asked in baseline.asked] == [real.destination.tolist()] * 2
    pairs = np.stack([np.arange(len(real))] * 2, axis=-1)
    assert found.rows["zone_path"].overlap == pytest.approx(1)
    assert found.rows["zone_path"].redraw_overlap == pytest.approx(overlaps(grid, real, other, pairs).mean())


def test_json_holds_every_figure_and_null_where_there_is_none(grid, real):
    said = json.loads(evaluate(grid, real, real, baselines={"recursive-logit": Echo(real)}).to_json())
    for row in ("generated", "floor", "recursive_logit"):
        assert NAMES <= said[row].keys() == {field.name for field in fields(Figures)}
    assert said["generated"]["redraw_overlap"] is None
    assert said["generated"]["n"] == len(real)
    assert said["equal_n"]["n"] == len(real) // 2
    assert set(said["equal_n"]["floor"]) == {field.name for field in fields(Divergences)}


def test_the_table_shows_every_row_and_figure(grid, real):
    out = StringIO()
    Console(file=out, width=120).print(evaluate(grid, real, real, baselines={"markov": Echo(real)}).table())
    for word in ("generated", "floor", "markov", "dtw_km", "edr_hoser", "× floor"):
        assert word in out.getvalue()


def test_divergences_at_equal_size_are_of_equal_size(grid, make_walks):
    """Against one's own distribution the floor and the figure agree, whatever the sizes of the sets."""
    real, other = measure(grid, make_walks(4000, 7)), measure(grid, make_walks(900, 8))
    size, found = compare_at_equal_size(real, {"generated": other}, seed=0)
    assert size == 900
    ratio = found["generated"].jsd_distance / found["floor"].jsd_distance
    assert ratio == pytest.approx(1, abs=0.25)
    assert divergences(real, other).jsd_distance < found["floor"].jsd_distance  # the larger set is less noisy


def test_measured_values_follow_their_trips(grid, make_walks):
    trips = make_walks(50, 9)
    rows = np.array([4, 9, 30])
    taken, expected = measure(grid, trips).take(rows), measure(grid, trips.take(rows))
    np.testing.assert_allclose(taken.distance_km, expected.distance_km)
    np.testing.assert_allclose(taken.step_min, expected.step_min)
    np.testing.assert_allclose(taken.trip_min, expected.trip_min)


def test_nothing_to_evaluate_and_requests_of_other_trips_are_errors(grid, real):
    nothing = real.take(np.empty(0, dtype=np.int64))
    with pytest.raises(TripError, match="generated trips are empty"):
        evaluate(grid, real, nothing)
    with pytest.raises(TripError, match=f"3 requests for {len(real)} generated trips"):
        evaluate(grid, real, real, requests=Requests.from_trips(real.take(np.arange(3))))
