"""Pixels and places: matplotlib's own transforms say where on the picture a point of the city lies."""

import matplotlib.style
import numpy as np
import pytest
import shapely
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from suffuse.trajectory.show import atlas, look, plot_trips
from suffuse.trajectory.show.png import MAP_TOP, MAP_WIDTH, MARGIN, STYLE, WIDTH, draw
from suffuse.trajectory.show.scene import make_scene
from suffuse.trajectory.show.sheet import GROUND
from suffuse.trajectory.trips.table import Trips


def drawn(scene):
    """The sheet, its pixels (rows from the top), and a function from metres to (row, column) on the map."""
    with matplotlib.style.context(STYLE):
        sheet = draw(scene)
        sheet.canvas.draw()
    pixels = np.asarray(sheet.canvas.buffer_rgba())[..., :3] / 255.0
    map_axes = sheet.figure.axes[0]

    def place(east, north):
        column, up = map_axes.transData.transform((east, north))
        return int(len(pixels) - up), int(column)

    return sheet, pixels, place


def scene_of(trips, network, **changes):
    return make_scene(trips, network, **{"title": None, "note": None, "singles": 8, **changes})


def near(pixels, place, colour, reach=4):
    """Whether a pixel of that colour lies within `reach` pixels."""
    row, column = place
    part = pixels[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return bool((np.abs(part - to_rgb(colour)).max(axis=-1) < 0.02).any())


@pytest.fixture(scope="module")
def busy_scene(network):
    """100 trips to the east, 25 back to the west, none along the north."""
    return scene_of(Trips.from_lists([[0, 1]] * 100 + [[2, 3]] * 25), network, singles=2)


@pytest.fixture(scope="module")
def busy(busy_scene):
    return drawn(busy_scene)


def test_size_on_disk(trips, network, tmp_path):
    plot_trips(trips, network, tmp_path / "map.png")
    picture = imread(tmp_path / "map.png")
    assert picture.shape[1] == WIDTH == 1600
    assert (tmp_path / "map.png").stat().st_size > 20_000


def test_flows_are_coloured_by_size_and_lie_on_the_right(busy):
    _, pixels, place = busy
    colours = look.flow_colormap("light")
    row, column = place(250.0, 0.0)
    assert near(pixels, (row + 4, column), colours(1.0), reach=1), "eastward: all 100 trips, south of the middle"
    assert near(pixels, (row - 2, column), colours(0.5), reach=1), "westward: a quarter of the trips, so half the scale"
    assert not near(pixels, (row - 2, column), colours(1.0), reach=1)


def test_roads_without_trips_are_grey_and_no_road_is_ground(busy):
    _, pixels, place = busy
    assert near(pixels, place(0.0, 250.0), atlas.ROADS, reach=1)
    assert near(pixels, place(250.0, 250.0), GROUND, reach=0)
    assert not near(pixels, place(250.0, 250.0), atlas.ROADS)


def test_width_of_a_flow_in_pixels(busy):
    _, pixels, place = busy
    row, column = place(250.0, 0.0)
    dark = np.abs(pixels[row - 30 : row + 30, column] - to_rgb(look.flow_ramp("light")[-1])).max(axis=-1) < 0.02
    assert dark.sum() == pytest.approx(look.FLOW_WIDTH[1] * atlas.POINT, abs=2)


def test_a_metre_east_is_as_long_as_a_metre_north(busy):
    sheet, _, _ = busy
    for axes in [sheet.figure.axes[0], *sheet.figure.axes[-2:]]:
        (x, y), (east, _), (_, north) = axes.transData.transform([(0, 0), (100, 0), (0, 100)])
        assert east - x == pytest.approx(north - y, rel=1e-3)


def test_scale_bar_is_as_long_as_it_says(busy):
    sheet, _, _ = busy
    foot = sheet.figure.axes[1]
    words = foot.texts[0].get_text()
    x = foot.transData.transform(np.stack(foot.lines[0].get_data(), -1))[:, 0]
    (left, _), (right, _) = sheet.figure.axes[0].transData.transform([(0, 0), (200, 0)])
    assert words == "200 m"
    assert np.ptp(x) == pytest.approx(right - left, abs=1.5)


def test_closed_segments_are_crossed_out(busy_scene, busy, network):
    closed = scene_of(busy_scene.layer.trips, network.without(np.array([5])), singles=0)
    _, pixels, place = drawn(closed)
    assert near(pixels, place(0.0, 250.0), atlas.CLOSED)
    _, pixels, place = busy
    assert not near(pixels, place(0.0, 250.0), atlas.CLOSED)


def test_single_trips_begin_with_a_ring_and_end_with_a_square(trips, network):
    scene = scene_of(trips.take(np.array([3])), network)
    sheet, pixels, _ = drawn(scene)
    axes = sheet.figure.axes[-1]
    for (east, north), colour in (((0, -500), "white"), ((500, 0), look.SINGLE), ((0, -250), look.SINGLE)):
        column, up = axes.transData.transform((east, north))
        assert near(pixels, (int(len(pixels) - up), int(column)), colour, reach=1)


def texts(sheet):
    """Every text that is drawn: an axis keeps labels of ticks outside its limits, and draws none of them."""
    found = [text for owner in [sheet.figure, *sheet.figure.axes] for text in owner.texts]
    for axes in sheet.figure.axes:
        for axis in [axes.xaxis, axes.yaxis] if axes.axison else []:
            low, high = axis.get_view_interval()
            found += [axis.label, *(tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)]
    return [text for text in found if text.get_text()]


LONG = "A title that $never$ ends </script> " * 9


@pytest.mark.parametrize("case", ["plain", "long words", "one trip", "no times", "closed, many singles", "no singles"])
def test_words_neither_overlap_nor_leave_the_page(case, trips, bare_trips, network, make_network):
    wordy = make_network(attribution=LONG)
    shut = network.without(np.array([5]))
    many = Trips.from_lists([[0, 1]] * 30_000, trip_id=[f"{LONG}{row}" for row in range(30_000)])
    scene = {
        "plain": lambda: scene_of(trips, network),
        "long words": lambda: scene_of(trips, wordy, title=LONG, note=LONG),
        "one trip": lambda: scene_of(trips.take(np.array([0])), network),
        "no times": lambda: scene_of(bare_trips, network),
        "closed, many singles": lambda: scene_of(many, shut, singles=24),
        "no singles": lambda: scene_of(trips, network, singles=0),
    }[case]()
    sheet, _, _ = drawn(scene)
    found = texts(sheet)
    boxes = np.array([text.get_window_extent().extents for text in found])
    outside = (boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] > (sheet.width, sheet.height)).any(axis=1)
    assert [found[row].get_text() for row in np.flatnonzero(outside)] == []
    for i, text in enumerate(found):
        apart = (boxes[i, :2] >= boxes[:, 2:] - 1).any(axis=1) | (boxes[:, :2] >= boxes[i, 2:] - 1).any(axis=1)
        apart[i] = True
        assert apart.all(), f"{text.get_text()!r} overlaps {[found[j].get_text() for j in np.flatnonzero(~apart)]}"


@pytest.mark.parametrize(("stretch", "height"), [((1.0, 0.05), 660), ((0.05, 1.0), 1300), ((1.0, 1.0), MAP_WIDTH)])
def test_long_and_tall_cities_stay_in_their_frame(stretch, height, trips, make_network, network):
    middle = network.node_lonlat[0]
    lonlat = (network.node_lonlat - middle) * stretch + middle
    lines = shapely.linestrings(np.stack([lonlat[network.from_node], lonlat[network.to_node]], axis=1))
    scene = scene_of(trips, make_network(node_lonlat=lonlat, geometry=lines), singles=0)
    sheet, _, place = drawn(scene)
    rows, columns = np.transpose([place(*point) for point in scene.lines.xy])
    assert (columns > MARGIN).all()
    assert (columns < MARGIN + MAP_WIDTH).all()
    assert (rows > MAP_TOP).all()
    assert (rows < MAP_TOP + height).all()
    box = sheet.figure.axes[0].get_window_extent()
    assert box.height == pytest.approx(height, rel=0.005)


def test_a_style_of_the_users_own_changes_nothing(trips, network, tmp_path):
    plot_trips(trips, network, tmp_path / "a.png", singles=1)
    with matplotlib.style.context("dark_background"):
        plot_trips(trips, network, tmp_path / "b.png", singles=1)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
