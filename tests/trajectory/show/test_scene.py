from dataclasses import replace

import numpy as np
import pytest

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.show import plot, plot_trips
from suffuse.trajectory.show.scene import duration_text, make_scene
from suffuse.trajectory.trips.table import Trips


def words(trips, network, *, title=None, note=None):
    scene = make_scene(trips, network, title=title, note=note, singles=8)
    return scene.title, scene.summary, scene.attribution


def test_words_are_counted_by_hand(trips, network):
    assert words(trips, network) == (
        "crossing",
        "4 trips · mean 1.0 km in 1 min 38 s · 4 km on 5 of 6 road segments",
        "© OpenStreetMap contributors, ODbL 1.0",
    )


def test_one_trip_has_no_mean(trips, network):
    assert words(trips.take(np.array([0])), network)[1] == "1 trip · 1.0 km in 1 min 20 s · 2 of 6 road segments"


def test_trips_without_times_claim_none(bare_trips, network):
    assert words(bare_trips, network)[1] == "4 trips · mean 1.0 km · 4 km on 5 of 6 road segments"


def test_maps_of_our_own_cities_say_that_trips_are_simulated(trips, make_network):
    ours = make_network(name="la-serena")
    title, summary, _ = words(trips, ours)
    assert title == "La Serena, Chile, 4 x 4 km centre"
    assert summary.endswith(" · real road network, simulated trips")
    assert words(trips, ours, note="by a model", title="T")[::2][0] == "T"
    assert words(trips, ours, note="by a model")[1].endswith(" · by a model")
    assert "simulated" not in words(trips, ours, note="")[1]


def test_a_few_trips_are_not_drawn_as_a_flood(trips, network):
    assert make_scene(trips, network, title=None, note=None, singles=0).layer.peak == 10
    many = Trips.from_lists([[0]] * 11)
    assert make_scene(many, network, title=None, note=None, singles=0).layer.peak == 11


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45.4, "45 s"), (59.6, "1 min 00 s"), (531, "8 min 51 s"), (3599.7, "1 h 00 min"), (3720, "1 h 02 min")],
)
def test_duration_text(seconds, text):
    assert duration_text(float(seconds)) == text


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "no trips to show: the table is empty, but a map needs at least 1"),
        ([[0], []], "trip 1 has no segments, so it cannot be shown"),
        ([[0], [1, 6]], "trip 1 drives segment index 6, but road network 'crossing' has 0 to 5"),
        ([[-1]], "trip 0 drives segment index -1, but road network 'crossing' has 0 to 5"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_trips_that_cannot_be_shown(segments, message, suffix, network, tmp_path):
    with pytest.raises(TripError) as error:
        plot_trips(Trips.from_lists(segments), network, tmp_path / f"map{suffix}")
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["map.jpg", "map", "map.html.gz"])
def test_suffixes(name, trips, network, tmp_path):
    with pytest.raises(TripError, match=r"no kind of map, but must be one of \.html, \.png$"):
        plot_trips(trips, network, tmp_path / name)


@pytest.mark.parametrize("singles", [-1, 25])
def test_number_of_singles(singles, trips, network, tmp_path):
    with pytest.raises(TripError, match=f"singles is {singles}, but must be 0 to 24"):
        plot_trips(trips, network, tmp_path / "map.png", singles=singles)


def test_a_folder_that_is_not_there(trips, network, tmp_path):
    with pytest.raises(TripError, match="there is no folder"):
        plot_trips(trips, network, tmp_path / "nowhere" / "map.html")


def test_a_map_appears_whole_or_not_at_all(trips, network, tmp_path, monkeypatch):
    def half(scene, path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    out = tmp_path / "map.html"
    out.write_text("the old one")
    monkeypatch.setitem(plot.WRITERS, ".html", half)
    with pytest.raises(TripError, match=r"map.html: cannot be written: No space left on device"):
        plot_trips(trips, network, out)
    assert [path.name for path in tmp_path.iterdir()] == ["map.html"]
    assert out.read_text() == "the old one"


@pytest.mark.parametrize("suffix", [".png", ".HTML"])
def test_same_trips_same_bytes(suffix, trips, network, tmp_path):
    a, b = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    plot_trips(trips, network, a)
    plot_trips(trips, replace(network), b)
    assert a.read_bytes() == b.read_bytes()
