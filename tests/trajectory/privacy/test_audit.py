"""Sources whose guilt is known: one that copies, one that copies a few, one that knows nothing, a split by place."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.training import sequential_nll
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.privacy import audit
from suffuse.trajectory.privacy.likelihood import nats_a_segment
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips, concatenate

Walks = Callable[[int, int], Trips]


def test_a_generator_that_copies_is_caught(grid: RoadNetwork, walks: Walks) -> None:
    train, holdout = walks(300, 1), walks(600, 2)
    found = audit(grid, train, holdout, train.take(np.random.default_rng(0).permutation(300)))
    assert found.generated.copies == 1
    assert found.generated.shared_share == pytest.approx(1)
    assert found.generated.nearest == pytest.approx(1)
    assert found.dcr_ratio == pytest.approx(0)
    assert found.nearer_to_training > 0.99
    assert found.attacks["nearest"].auc > 0.99
    assert found.attacks["nearest"].caught > 0.95
    assert found.holdout.copies < 0.05, "held-out trips show what innocence looks like"
    assert not found.doubts


def test_a_generator_that_knows_nothing_is_not_accused(grid: RoadNetwork, walks: Walks) -> None:
    found = audit(grid, walks(400, 1), walks(800, 2), walks(400, 3))
    assert not found.attacks["nearest"].tells
    assert found.attacks["nearest"].low <= 0.5 <= found.attacks["nearest"].high
    assert found.dcr_low is not None
    assert found.dcr_high is not None
    assert found.dcr_low <= 1 <= found.dcr_high
    assert found.nearer_to_training == pytest.approx(0.5, abs=0.06)
    assert found.generated.shared_m == pytest.approx(found.holdout.shared_m, rel=0.1)
    assert not found.doubts


def test_one_copy_in_ten_is_seen(grid: RoadNetwork, walks: Walks) -> None:
    train = walks(300, 1)
    found = audit(grid, train, walks(600, 2), concatenate([walks(270, 3), train.take(np.arange(30))]))
    assert found.generated.copies == pytest.approx(0.1, abs=0.03)
    assert found.generated.copies > 3 * found.holdout.copies
    assert found.dcr_ratio == pytest.approx(0.9, abs=0.06), "a tenth of the distances is 0"
    assert found.dcr_high is not None
    assert found.dcr_high < 1


def test_a_split_by_place_is_called_out(grid: RoadNetwork, walks: Walks) -> None:
    """Training trips start in the east, held-out ones in the west: an attack would find that, not membership."""
    trips = walks(3000, 1)
    east = grid.node_lonlat[grid.from_node[trips.origin], 0] > np.median(grid.node_lonlat[:, 0])
    found = audit(grid, trips.take(np.flatnonzero(east)), trips.take(np.flatnonzero(~east)), walks(300, 2), most=300)
    assert found.controls["place"].tells
    assert any("place" in sentence for sentence in found.doubts)


def test_likelihoods_of_single_trips_add_up_to_that_of_all(grid: RoadNetwork, walks: Walks) -> None:
    train = walks(40, 1)
    model = TrajectoryModel(width=8, depth=1, heads=1, road_width=8, road_depth=1, road_heads=1, scorer_width=8)
    city = CityFeatures(grid, count_usage(grid, train))
    nats = nats_a_segment(model, city, train)
    mean = float((nats * train.lengths).sum() / train.lengths.sum())
    assert mean == pytest.approx(sequential_nll(model, city, train), rel=1e-4)


def test_too_few_trips(grid: RoadNetwork, walks: Walks) -> None:
    trips = walks(50, 1)
    with pytest.raises(TripError, match=r"holdout holds 30 trips, but an audit needs at least 40"):
        audit(grid, trips, trips.take(np.arange(30)), trips)
    with pytest.raises(ValueError, match=r"most must be at least 20, got 3"):
        audit(grid, trips, trips, trips, most=3)


def test_held_out_trips_that_were_learned_from_are_refused(grid: RoadNetwork, walks: Walks) -> None:
    trips = walks(50, 1)
    renamed = replace(trips, trip_id=trips.trip_id[::-1])
    with pytest.raises(TripError, match=r"every held-out trip is a training trip too"):
        audit(grid, trips, renamed.take(np.arange(45)), walks(50, 2))


def test_without_distance_of_held_out_trips_no_ratio_is_defined(grid: RoadNetwork, walks: Walks) -> None:
    """The same ways at another time are other trips, but lie at no distance."""
    trips = walks(50, 1)
    later = replace(trips, depart=trips.depart + np.timedelta64(60, "s"))
    found = audit(grid, trips, later, walks(50, 2))
    assert (found.dcr_ratio, found.dcr_low, found.dcr_high) == (None, None, None)
    assert json.loads(json.dumps(found.to_dict()))["dcr_ratio"] is None
    assert "not defined" in found.doubts[0]
    row = next(at for at, said in enumerate(found.table().columns[0].cells) if str(said).startswith("distance to"))
    assert list(found.table().columns[1].cells)[row] == "-"
    copied = audit(grid, trips, later, trips)
    assert (copied.generated.copies, copied.dcr_ratio) == (1, None)
