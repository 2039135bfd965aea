"""Maps of what changed: which trips are compared, what is counted, what is marked, and that both kinds are drawn."""

import json
import re
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.show import plot_change
from suffuse.trajectory.show.change import change_scene, largest_changes
from suffuse.trajectory.show.difference import SLOWED, draw_difference
from suffuse.trajectory.show.html import page, page_data, script_json
from suffuse.trajectory.show.look import change_colours, change_ramp, change_ticks
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.what_if import Changes

WEST_IN, EAST_OUT, EAST_IN, WEST_OUT, SOUTH_IN, NORTH_OUT = range(6)


@pytest.fixture(scope="module")
def before():
    """Twenty from west to east, ten from the south to the east."""
    return Trips.from_lists([[WEST_IN, EAST_OUT]] * 20 + [[SOUTH_IN, EAST_OUT]] * 10)


@pytest.fixture(scope="module")
def after():
    """The east is closed: all go north; one request of the thirty could not be met."""
    trips = Trips.from_lists([[WEST_IN, NORTH_OUT]] * 20 + [[SOUTH_IN, NORTH_OUT]] * 10)
    return trips.take(np.arange(29))


@pytest.fixture(scope="module")
def scene(before, after, network):
    changes = Changes(closed=(EAST_OUT,), speed_kmh=((WEST_IN, 10.0),))
    return change_scene(before, after, network, changes, title="Works", note=None)


def test_trips_of_one_id_are_compared(scene):
    assert scene.change.tolist() == [0, -29, 0, 0, 0, 29]
    assert scene.peak == 29
    assert scene.network.closed == {EAST_OUT}
    assert scene.slowed == (WEST_IN,)
    assert scene.summary.startswith(
        "29 trips before and after · mean 1.00 → 1.00 km · 1 trips only in one file left out"
    )


def test_trips_without_a_common_id_are_scaled_to_equal_numbers(before, network):
    names = [f"other {row}" for row in range(15)]
    few = Trips.from_lists([[WEST_IN, EAST_OUT]] * 15, trip_id=names)
    scene = change_scene(before, few, network, Changes(), title=None, note="")
    assert scene.change.tolist() == [5, 0, 0, 0, -5, 0]
    assert scene.summary.startswith("30 trips before, scaled to 15 after")


def test_the_largest_changes_are_not_pieces_of_one_street(scene):
    places = largest_changes(scene)
    assert sorted(places.tolist()) == [EAST_OUT, NORTH_OUT]


def test_colours_tell_more_from_fewer_and_large_from_small():
    def lightness(colour):
        return float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722]))

    fewer, more = change_colours(np.array([-100.0]), 100.0)[0], change_colours(np.array([100.0]), 100.0)[0]
    assert to_rgb(fewer)[2] > to_rgb(fewer)[0], "purple"
    assert to_rgb(more)[0] > to_rgb(more)[2], "orange"
    for sign in (-1, 1):
        falls = [lightness(change_colours(np.array([sign * size]), 100.0)[0]) for size in (1.0, 10.0, 40.0, 100.0)]
        assert falls == sorted(falls, reverse=True)
    rises = [lightness(colour) for colour in change_ramp("dark")]
    half = len(rises) // 2
    assert rises[:half] == sorted(rises[:half], reverse=True)
    assert rises[half:] == sorted(rises[half:])


@pytest.mark.parametrize("peak", [409, 10, 29, 123_456])
def test_ticks_have_room(peak):
    found = change_ticks(float(peak))
    assert found[-1] == peak
    shares = np.sqrt(np.array(found) / peak)
    assert (np.diff(shares) >= 0.3).all()
    assert shares[0] >= 0.3


def test_the_picture_marks_what_was_changed(scene):
    sheet = draw_difference(scene)
    axes = sheet.figure.axes[0]
    lines = [each for each in axes.collections if isinstance(each, LineCollection)]
    assert len(lines) == 3, "roads, changes, slowed streets"
    assert tuple(lines[2].get_color()[0][:3]) == pytest.approx(to_rgb(SLOWED))
    words = [text.get_text() for each in (axes, *sheet.figure.axes[1:]) for text in each.texts]
    assert {"1", "2", "+29", "-29", "closed", "speed changed"} <= set(words)
    assert any("OpenStreetMap" in text.get_text() for text in sheet.figure.texts)


def test_the_page_knows_both_flows(scene):
    data = page_data(scene)
    assert data["flow"] == [20, 0, 0, 0, 9, 29]
    assert data["before"] == [20, 29, 0, 0, 9, 0]
    assert data["slowed"] == [WEST_IN]
    assert data["ramp"]["light"] == change_ramp("light")
    text = page(scene)
    assert not re.search(r"\{\{\w+\}\}", text)
    assert "Change of trips on each segment" in text


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_page_says_how_many_before_and_after(scene):
    source = (resources.files("suffuse.trajectory.show") / "page" / "model.js").read_text(encoding="utf-8")
    data = json.dumps(script_json(page_data(scene)))
    program = f"""
        const document = {{ getElementById: () => ({{ textContent: {data} }}) }};
        {source.replace('"use strict";', "")}
        console.log(JSON.stringify(segments.map(flowText)));
    """
    done = subprocess.run(["node", "-"], input=program, capture_output=True, text=True, check=True, timeout=60)
    said = json.loads(done.stdout)
    assert said[EAST_OUT] == "\N{MINUS SIGN}29 (29 → 0 trips)"
    assert said[NORTH_OUT] == "+29 (0 → 29 trips)"
    assert said[WEST_IN] == "±0 (20 → 20 trips)"


@pytest.mark.parametrize("suffix", ["png", "html"])
def test_files_are_written_alike_each_time(before, after, network, tmp_path, suffix):
    for name in ("a", "b"):
        plot_change(before, after, network, tmp_path / f"{name}.{suffix}", changes=Changes(closed=(EAST_OUT,)))
    a, b = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
    assert a == b
    with pytest.raises(TripError, match=r"no trips to show"):
        plot_change(before, after.take(np.arange(0)), network, tmp_path / f"c.{suffix}")
