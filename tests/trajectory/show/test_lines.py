import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffuse.trajectory.show.lines import SHARPEST, Lines


def lines(*parts):
    return Lines(
        xy=np.array([point for part in parts for point in part], dtype=float),
        start=np.cumsum([0, *(len(part) for part in parts)]),
    )


def test_lines_of_a_network_are_its_geometry_in_metres(network):
    made = Lines.of(network)
    assert len(made) == len(network)
    for row in range(len(network)):
        np.testing.assert_allclose(made.line(row)[0], network.node_metres[network.from_node[row]], atol=1e-6)
        np.testing.assert_allclose(made.line(row)[-1], network.node_metres[network.to_node[row]], atol=1e-6)
    np.testing.assert_array_equal(made.low, [np.min(made.line(row), axis=0) for row in range(len(made))])
    np.testing.assert_array_equal(made.high, [np.max(made.line(row), axis=0) for row in range(len(made))])


def test_eastward_moves_south_and_westward_north():
    moved = lines([(0, 0), (10, 0)], [(10, 0), (0, 0)]).moved_right(np.array([2.0, 3.0]))
    np.testing.assert_allclose(moved.xy, [(0, -2), (10, -2), (10, 3), (0, 3)])


def test_a_right_angle_keeps_its_distance_from_both_streets():
    moved = lines([(0, 0), (10, 0), (10, 10)]).moved_right(np.array([1.0]))
    np.testing.assert_allclose(moved.xy, [(0, -1), (11, -1), (11, 10)])


def test_a_point_given_twice_leaves_the_ends_where_they_are():
    twice = lines([(0, 0), (0, 0), (10, 0), (10, 0), (10, 10), (10, 10)]).moved_right(np.array([1.0])).xy
    np.testing.assert_allclose(twice[[1, 4]], [(0, -1), (11, 10)])
    np.testing.assert_allclose(twice[[2, 3]], [(10, -1), (11, 0)], err_msg="the corner is cut, not lost")


@given(st.floats(-3.1, 3.1), st.floats(0.1, 50))
def test_no_corner_flies_off(turn, metres):
    bent = lines([(0, 0), (10, 0), (10 + 10 * np.cos(turn), 10 * np.sin(turn))])
    off = np.hypot(*(bent.moved_right(np.array([metres])).xy - bent.xy).T)
    assert (off <= SHARPEST * metres * (1 + 1e-9)).all()
    assert off == pytest.approx([metres, min(1 / np.cos(turn / 2), SHARPEST) * metres, metres])


def test_middle_is_halfway_along_the_line():
    np.testing.assert_allclose(lines([(0, 0), (10, 0), (10, 2)]).middle(0), (6, 0))


def test_path_drives_lines_in_turn():
    both = lines([(0, 0), (1, 0)], [(1, 0), (1, 1)])
    np.testing.assert_array_equal(both.path(np.array([1, 0])), [(1, 0), (1, 1), (0, 0), (1, 0)])
