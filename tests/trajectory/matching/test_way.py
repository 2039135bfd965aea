"""From matched fixes to trips: times, ends, spurs, and fixes that say nothing of the way."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.trajectory.matching.way import _all_travelled, _without_spurs, driven, entry_times, spaced


def test_entry_times_are_interpolated_by_distance_and_a_stop_is_spent_where_it_happens():
    begins = np.array([0.0, 100.0, 200.0, 300.0])
    travelled, time = np.array([10.0, 110.0, 150.0, 150.0, 350.0]), np.array([0.0, 10.0, 14.0, 60.0, 80.0])
    assert entry_times(begins, travelled, time).tolist() == [0.0, 9.0, 65.0, 75.0]


def test_ends_hardly_driven_are_no_part():
    begins = np.array([0.0, 100.0, 110.0, 210.0])
    assert driven(begins, 95.0, 205.0, 15.0) == (1, 2)
    assert driven(begins, 50.0, 112.0, 15.0) == (0, 1)
    assert driven(begins, 100.0, 110.0, 15.0) == (1, 1)
    assert driven(begins, 0.0, 104.0, 15.0) == (0, 0)
    assert driven(begins, 0.0, 106.0, 15.0) == (0, 1)
    assert driven(begins, 215.0, 216.0, 15.0) == (2, 2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(0, 50))
def test_spaced_fixes_are_what_a_plain_loop_keeps(seed, count, least):
    xy = np.cumsum(np.random.default_rng(seed).normal(0, 12, (count, 2)), axis=0)
    kept = [0]
    for at in range(1, count):
        if np.hypot(*(xy[at] - xy[kept[-1]])) >= least:
            kept.append(at)
    if kept[-1] != count - 1:
        kept[1 if len(kept) == 1 else -1 :] = [count - 1]
    assert spaced(xy, least).tolist() == kept


def test_fixes_between_kept_ones_lie_where_they_project_and_never_fall_back():
    xy = np.array([[0, 0], [5, 3], [25, -2], [10, 1], [40, 0], [40, 7], [40, 40]], dtype=float)
    travelled = _all_travelled(xy, np.array([0, 4, 6]), np.array([100.0, 140.0, 180.0]))
    np.testing.assert_allclose(travelled, [100, 105, 125, 125, 140, 147, 180])


def test_a_short_way_out_and_back_goes_but_not_a_legal_turn():
    length, reverse = np.array([100.0, 20.0, 20.0, 100.0]), np.array([-1, 2, 1, -1])
    path = np.array([0, 1, 2, 3])
    start, none = np.array([0, 0, 0, 0, 0]), np.array([], dtype=np.int64)
    assert _without_spurs(path, length, reverse, start, none, 60.0).tolist() == [0, 3]
    assert _without_spurs(path, length, reverse, start, none, 10.0).tolist() == [0, 1, 2, 3]
    dead_end = np.array([0, 0, 1, 1, 1]), np.array([2])
    assert _without_spurs(path, length, reverse, *dead_end, 60.0).tolist() == [0, 1, 2, 3]
