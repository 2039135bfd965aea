"""Observed counts, by hand."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.usage import STANDARD_TRIPS, ZONE_METRES, ZONES, Usage, count_usage, no_usage, zone_of
from suffuse.trajectory.trips.table import Trips

FIELDS = ("flow", "turn_flow", "leaving")
BY_LEVEL = ("flow_key", "flow_count", "turn_key", "turn_count")


@pytest.fixture(scope="module")
def wide(make_network):
    """A street of five crossings, 600 m apart, both ways: 0 1 2 3 go east, 4 5 6 7 back west. Four fine zones."""
    links = [(k, k + 1) for k in range(4)] + [(k + 1, k) for k in range(4)]
    return make_network(links, np.stack([np.arange(5) * 600.0, np.zeros(5)], axis=1))


def turns_of(network) -> list[tuple[int, int]]:
    pattern = network.successors.tocoo()
    return list(zip(pattern.row.tolist(), pattern.col.tolist(), strict=True))


def assert_same(a: Usage, b: Usage, *, atol: float = 0.0) -> None:
    for name in FIELDS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=atol, err_msg=name)
    for name in BY_LEVEL:
        for level in range(len(ZONE_METRES)):
            np.testing.assert_allclose(getattr(a, name)[level], getattr(b, name)[level], atol=atol, err_msg=name)


def test_zones_are_squares_around_the_middle_of_the_network(wide):
    middle = np.array([-900.0, -300.0, 300.0, 900.0] * 2)  # metres east of the middle of the network
    cells = np.floor(middle / ZONE_METRES[1]).astype(int) + 512
    north = zone_of(wide, 1) % 1024
    assert (zone_of(wide, 1) // 1024).tolist() == cells.tolist()
    assert set(north.tolist()) <= {511, 512}
    assert (zone_of(wide, 0) // 1024).tolist() == [511, 511, 512, 512] * 2


def test_counts_are_what_one_counts_by_hand(wide):
    # 0-1-2, 0-1 twice, 7-6 and one trip of a single segment
    trips = Trips.from_lists([[0, 1, 2], [0, 1], [0, 1], [7, 6], [3]])
    usage, one = count_usage(wide, trips), STANDARD_TRIPS / 5
    assert usage.flow.tolist() == pytest.approx(np.array([3, 3, 1, 1, 0, 0, 1, 1]) * one)
    assert usage.leaving.tolist() == pytest.approx(np.array([3, 1, 0, 0, 0, 0, 0, 1]) * one)
    taken = {turn: count for turn, count in zip(turns_of(wide), usage.turn_flow.tolist(), strict=True) if count}
    assert taken == pytest.approx({(0, 1): 3 * one, (1, 2): one, (7, 6): one})
    for level in range(2):
        zone = zone_of(wide, level)
        expected: dict[tuple[int, int], float] = {}
        for trip in ([0, 1, 2], [0, 1], [0, 1], [7, 6], [3]):
            for segment in trip:
                pair = (segment, int(zone[trip[-1]]))
                expected[pair] = expected.get(pair, 0) + one
        found = dict(zip(usage.flow_key[level].tolist(), usage.flow_count[level].tolist(), strict=True))
        assert found == pytest.approx({segment * ZONES + z: count for (segment, z), count in expected.items()})
        assert (np.diff(usage.flow_key[level]) > 0).all()
        assert (np.diff(usage.turn_key[level]) > 0).all()
        for z in {z for _, z in expected}:
            flow = [expected.get((segment, z), 0) for segment in range(8)]
            assert usage.flow_to(level, z).tolist() == pytest.approx(flow)
        assert not usage.flow_to(level, 5).any()


def test_illegal_transitions_count_as_traversals_only(wide):
    usage, one = count_usage(wide, Trips.from_lists([[0, 2], [0, 1]])), STANDARD_TRIPS / 2
    assert usage.flow.tolist() == pytest.approx(np.array([2, 1, 1, 0, 0, 0, 0, 0]) * one)
    assert usage.leaving.tolist() == pytest.approx(np.array([1, 0, 0, 0, 0, 0, 0, 0]) * one)
    assert usage.turn_flow.sum() == pytest.approx(one)


def test_counts_are_scaled_to_a_standard_number_of_trips(town, make_walks):
    trips = make_walks(town, 50, seed=3)
    twice = trips.take(np.tile(np.arange(50), 2))
    assert_same(count_usage(town, trips), count_usage(town, twice), atol=0.01)


def test_of_closed_segments_nothing_is_left(town, make_walks):
    """As if the drivers who went on to a closed segment, or came from one, had not been seen to make that turn."""
    trips, closed = make_walks(town, 200, seed=4), {3, 50, 117}
    shut = town.without(np.array(sorted(closed)))
    usage, one = count_usage(town, trips).on(shut), STANDARD_TRIPS / 200
    assert len(usage.turn_flow) == shut.successors.nnz
    turns = {turn: 0.0 for turn in turns_of(shut)}
    flow, leaving = np.zeros(len(town)), np.zeros(len(town))
    by_zone: list[dict[int, float]] = [{}, {}]
    turns_by_zone: list[dict[int, float]] = [{}, {}]
    place = {turn: number for number, turn in enumerate(turns)}
    zones = [zone_of(town, level) for level in range(2)]
    for row in range(len(trips)):
        route = trips.segments_of(row).tolist()
        for first, second in zip(route, [*route[1:], None], strict=True):
            flow[first] += one * (first not in closed)
            turn_is_open = second is None or not {first, second} & closed
            if second is not None and turn_is_open:
                turns[first, second] += one
                leaving[first] += one
            for level in range(2):
                zone = int(zones[level][route[-1]])
                if turn_is_open and first not in closed:
                    by_zone[level][first * ZONES + zone] = by_zone[level].get(first * ZONES + zone, 0) + one
                if second is not None and turn_is_open:
                    key = place[first, second] * ZONES + zone
                    turns_by_zone[level][key] = turns_by_zone[level].get(key, 0) + one
    np.testing.assert_allclose(usage.flow, flow, atol=0.1)
    np.testing.assert_allclose(usage.leaving, leaving, atol=0.1)
    np.testing.assert_allclose(usage.turn_flow, list(turns.values()), atol=0.1)
    for level in range(2):
        found = dict(zip(usage.flow_key[level].tolist(), usage.flow_count[level].tolist(), strict=True))
        assert {key: count for key, count in found.items() if count > 0.1} == pytest.approx(by_zone[level])
        assert usage.turn_key[level].tolist() == sorted(turns_by_zone[level])
        found = dict(zip(usage.turn_key[level].tolist(), usage.turn_count[level].tolist(), strict=True))
        assert found == pytest.approx(turns_by_zone[level])
    features = CityFeatures(shut, count_usage(town, trips))
    assert features.edge_features.shape[0] == features.edge_index.shape[1] == shut.successors.nnz
    assert_same(count_usage(shut, trips), count_usage(town, trips))


def test_without_trips_all_is_zero(town):
    nothing = no_usage(town)
    assert not nothing.flow.any()
    assert not nothing.flow_to(1, int(zone_of(town, 1)[0])).any()
    assert_same(CityFeatures(town).usage, nothing)


def test_a_file_holds_all_of_it(tmp_path, town, make_walks):
    usage = count_usage(town, make_walks(town, 80, seed=5))
    usage.save(tmp_path / "usage.safetensors")
    assert_same(Usage.load(tmp_path / "usage.safetensors", town), usage)


def test_files_that_are_something_else_are_named(tmp_path, town, grid, make_walks):
    path = tmp_path / "usage.safetensors"
    count_usage(town, make_walks(town, 80, seed=5)).save(path)
    whole, tensors = path.read_bytes(), load_file(path)

    for content in (whole[: len(whole) // 2], whole[:4], b"", b"\x80\x04\x95pickle"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"usage\.safetensors is not a readable usage file"):
            Usage.load(path, town)
    tensors.pop("leaving")
    save_file(tensors, path)
    with pytest.raises(
        ModelError, match=r"usage\.safetensors: leaving is missing, but must be 224 floating-point numbers"
    ):
        Usage.load(path, town)
    path.write_bytes(whole)
    with pytest.raises(ModelError, match=r"is about 224 segments and 584 transitions, but .* has 48 and"):
        Usage.load(path, grid)
    with pytest.raises(ModelError, match="No such file"):
        Usage.load(tmp_path / "absent.safetensors", town)
