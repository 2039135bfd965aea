"""Trips as MovingPandas trajectories."""

import sys

import numpy as np
import pytest

from suffuse.trajectory import to_movingpandas
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.trips.table import Trips


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas, in MovingPandas
def test_a_trajectory_a_trip_with_its_times_and_length(town):
    pytest.importorskip("movingpandas", reason="the extra `moving` is not installed")
    start = town.successors
    route = [0]
    for _ in range(5):
        route.append(int(start.indices[start.indptr[route[-1]]]))
    depart = np.array(["2024-03-04T08:00:00", "2024-03-05T09:30:00"], dtype="datetime64[s]")
    times = [[0.0, 10.5, 20.0, 20.0, 40.0, 55.0], [0.0, 12.0]]
    trips = Trips.from_lists(
        [route, route[:2]], enter_s=times, duration_s=[70.0, 30.0], depart=depart, trip_id=["a", "b"]
    )
    collection = to_movingpandas(trips, town)
    first, second = collection.get_trajectory("a"), collection.get_trajectory("b")
    assert len(collection) == 2
    assert first.get_start_time() == np.datetime64(depart[0], "us").item()
    assert first.get_duration().total_seconds() == 70.0
    assert second.get_duration().total_seconds() == 30.0
    assert second.get_length() == pytest.approx(300, rel=2e-3)
    seconds = (first.df.index - first.df.index[0]).total_seconds().tolist()
    assert seconds == [0.0, 10.5, 20.0, 40.0, 55.0, 70.0]
    assert set(second.df["segment"]) <= set(town.segment_ids[route[:2]].tolist())


def test_trips_without_times_do_not_move(town):
    pytest.importorskip("movingpandas", reason="the extra `moving` is not installed")
    with pytest.raises(TripError, match=r"trip '0' has no times, so nothing moves \(1 of 1 trips have none\)"):
        to_movingpandas(Trips.from_lists([[0]]), town)


def test_without_the_library_the_extra_is_named(town, walks, monkeypatch):
    monkeypatch.setitem(sys.modules, "movingpandas", None)
    with pytest.raises(TripError, match=r"pip install 'suffuse-trajectory\[moving\]'"):
        to_movingpandas(walks(town, 0, 2), town)
