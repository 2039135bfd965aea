"""A network as walkers, cyclists and drivers meet it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import shapely

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.modes import BIKE_KMH, WALK_KMH, for_mode
from suffuse.trajectory.roads.network import RoadNetwork


@pytest.fixture
def town(make_network: Callable[..., RoadNetwork]) -> RoadNetwork:
    """A two-way street, a one-way street, a motorway, a trunk road, a footway, a cycleway and a one-way loop."""
    return make_network(
        [(0, 1), (1, 0), (1, 2), (2, 5), (5, 2), (4, 5), (4, 1), (2, 2)],
        highway=["primary", "primary", "residential", "motorway", "trunk", "footway", "cycleway", "service"],
        segment_ids=np.array([10, 11, 12, 99, 14, 15, 16, 17]),
        lanes=np.array([3.0, 1, 2, 4, 2, 1, 1, 1]),
        length_m=np.array([96.0, 96.0, 97.0, 111.0, 111.0, 98.0, 112.0, 50.0]),
        source_ids=np.array(list("abcdefgh"), dtype=object),
    )


def ends(network: RoadNetwork) -> list[list[int]]:
    return network.node_ids[np.stack([network.from_node, network.to_node], axis=1)].tolist()


def test_walkers_go_both_ways_on_all_but_motorways(town: RoadNetwork) -> None:
    walk = for_mode(town, "walk")
    assert walk.mode == "walk"
    assert walk.segment_ids.tolist() == [10, 11, 12, 15, 16, 17, 100, 101, 102]
    assert ends(walk) == [[0, 1], [1, 0], [1, 2], [4, 5], [4, 1], [2, 2], [2, 1], [5, 4], [1, 4]]
    assert walk.reverse.tolist() == [1, 0, 6, 7, 8, -1, 2, 3, 4]
    assert walk.speed_kmh.tolist() == [WALK_KMH] * 9
    assert walk.lanes.tolist() == [1.0] * 9
    assert walk.length_m.tolist() == [96, 96, 97, 98, 112, 50, 97, 98, 112]
    assert walk.source_ids is not None
    assert "".join(walk.source_ids) == "abcfghcfg"
    for one, other in ((2, 6), (3, 7), (4, 8)):
        assert shapely.equals_exact(walk.geometry[other], shapely.reverse(walk.geometry[one]), 0)
    assert (town.mode, len(town)) == ("drive", 8)


def test_the_two_streets_of_a_crescent_are_no_two_directions_of_one(make_network: Callable[..., RoadNetwork]) -> None:
    """0 to 1 goes round by an arc, 1 to 0 straight; walkers may take either, either way."""
    crescent = make_network([(0, 1), (1, 0), (1, 2), (2, 1)], length_m=np.array([1000.0, 333.0, 200.0, 215.0]))
    walk = for_mode(crescent, "walk")
    there = {
        (int(u), int(v), round(float(m))) for u, v, m in zip(walk.from_node, walk.to_node, walk.length_m, strict=True)
    }
    assert there == {(0, 1, 1000), (1, 0, 1000), (1, 0, 333), (0, 1, 333), (1, 2, 200), (2, 1, 215)}
    assert len(walk) == 6
    assert walk.reverse.tolist() == [4, 5, 3, 2, 0, 1]


def test_both_directions_of_a_street_agree_on_being_one(make_network: Callable[..., RoadNetwork]) -> None:
    """11 m apart is more than a tenth of the shorter one, and less than a tenth of the longer one."""
    street = make_network([(0, 1), (1, 0)], length_m=np.array([109.0, 120.5]))
    assert len(for_mode(street, "walk")) == 2


def test_cyclists_keep_one_way_streets_and_push_on_footways(town: RoadNetwork) -> None:
    bike = for_mode(town, "bike")
    assert bike.mode == "bike"
    assert bike.segment_ids.tolist() == [10, 11, 12, 15, 16, 17]
    assert bike.speed_kmh.tolist() == [16, 16, 16, WALK_KMH, 16, 12]
    assert bike.lanes.tolist() == [1.0] * 6
    assert min(BIKE_KMH, key=BIKE_KMH.__getitem__) == "footway"


def test_drivers_have_no_footways(town: RoadNetwork) -> None:
    drive = for_mode(town, "drive")
    assert drive.segment_ids.tolist() == [10, 11, 12, 99, 14, 17]
    assert np.array_equal(drive.speed_kmh, town.speed_kmh[[0, 1, 2, 3, 4, 7]])
    assert drive.lanes.tolist() == [3, 1, 2, 4, 2, 1]
    assert for_mode(drive, "drive") is drive


def test_what_is_closed_is_closed_in_both_directions(town: RoadNetwork) -> None:
    walk = for_mode(town.without(np.array([2, 3])), "walk")
    assert walk.segment_ids[sorted(walk.closed)].tolist() == [12, 100]


def test_a_mode_is_not_left_again(town: RoadNetwork) -> None:
    walk, bike = for_mode(town, "walk"), for_mode(town, "bike")
    assert for_mode(walk, "walk") is walk
    for network, mode in ((walk, "drive"), (walk, "bike"), (bike, "drive"), (bike, "walk")):
        with pytest.raises(RoadNetworkError, match=rf"\(mode {network.mode}\) and has lost what .* for mode {mode}"):
            for_mode(network, mode)


def test_refusals(town: RoadNetwork, make_network: Callable[..., RoadNetwork]) -> None:
    with pytest.raises(RoadNetworkError, match="mode is 'fly', but must be drive, bike or walk"):
        for_mode(town, "fly")
    motorway = make_network([(0, 1), (1, 0)], highway=["motorway", "trunk"])
    with pytest.raises(RoadNetworkError, match=r"'small' has no segment that walkers may use \(mode walk\)"):
        for_mode(motorway, "walk")
    with pytest.raises(RoadNetworkError, match="mode is 'fly'"):
        replace(town, mode="fly")
