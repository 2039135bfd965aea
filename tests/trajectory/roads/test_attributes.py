"""What road tags mean."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffuse.trajectory.roads.attributes import (
    as_list,
    classes_and_speeds,
    highway_class,
    is_true,
    lane_count,
    speed_in_kmh,
)
from suffuse.trajectory.roads.network import HIGHWAY_CLASSES


@pytest.mark.parametrize(
    ("value", "kmh"),
    [
        (50, 50),
        ("50", 50),
        ("50 km/h", 50),
        ("30 mph", 48.28032),
        ("30mph", 48.28032),
        (["50", "30"], 30),
        ("['50', '25 mph']", 40.2336),
        ("50;70", 50),
        ("walk", 5),
        (np.array(["60", "80"]), 60),
    ],
)
def test_speeds_are_read_in_kmh(value: object, kmh: float) -> None:
    assert speed_in_kmh(value) == pytest.approx(kmh)


@pytest.mark.parametrize("value", [None, "", "none", "signals", "RU:urban", math.nan, "0", [], "[broken", "-5"])
def test_speeds_that_say_nothing_are_nan(value: object) -> None:
    assert math.isnan(speed_in_kmh(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("primary", ("primary", False)),
        ("motorway_link", ("motorway", True)),
        (["service", "residential"], ("service", False)),
        ("['path', 'tertiary_link']", ("tertiary", True)),
        ("Residential", ("residential", False)),
        ("bridleway", ("footway", False)),
        ("['elevator', 'steps']", ("footway", False)),
        ("raceway", ("unclassified", False)),
        (None, ("unclassified", False)),
    ],
)
def test_classes(value: object, expected: tuple[str, bool]) -> None:
    assert highway_class(value) == expected


def test_lanes_and_flags() -> None:
    assert [lane_count(value) for value in ("2", 3, ["3", "2"], "1.5")] == [2, 3, 2, 1.5]
    assert all(math.isnan(lane_count(value)) for value in (None, "many", math.nan, "0"))
    assert [is_true(value) for value in (True, 1, 1.0, "yes", "True", "1")] == [True] * 6
    assert not any(is_true(value) for value in (False, 0, "no", "False", None, math.nan, "-1"))


def test_defaults_by_class_and_slip_road() -> None:
    classes, speed = classes_and_speeds(["primary", "primary_link", "residential"], np.array([np.nan, 0.0, 17.0]))
    assert classes.tolist() == ["primary", "primary", "residential"]
    assert speed == pytest.approx([60, 36, 17])


@given(st.one_of(st.text(), st.lists(st.text()), st.floats(), st.integers(), st.none()))
def test_any_value_has_a_meaning(value: object) -> None:
    name, slip = highway_class(value)
    assert name in HIGHWAY_CLASSES
    assert isinstance(slip, bool)
    for read in (speed_in_kmh, lane_count):
        number = read(value)
        assert math.isnan(number) or 0 < number < math.inf
    assert isinstance(is_true(value), bool)
    assert all(part is not None for part in as_list(value))
