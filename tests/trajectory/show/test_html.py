"""What is in the page: nothing from outside, nothing that breaks out, and all that its scripts need."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from suffuse.trajectory.demand.config import DemandConfig
from suffuse.trajectory.demand.simulate import simulate
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.show import html, plot_trips
from suffuse.trajectory.show.html import page, page_data, script_json
from suffuse.trajectory.show.scene import make_scene
from suffuse.trajectory.trips.table import Trips

VOID = re.compile(r"<(meta|input|br|link)\b([^>]*)>")


class Elements(HTMLParser):
    """Every element with its attributes, and the text of scripts, title and heading."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text, self.open = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open.append(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def parse(text):
    return Elements(VOID.sub(r"<\1\2/>", text))


def scene_of(trips, network, **changes):
    return make_scene(trips, network, **{"title": None, "note": None, "singles": 0, **changes})


def test_nothing_comes_from_outside(scene):
    text = page(scene)
    assert "http:" not in text
    assert "https:" not in text
    assert "//" not in re.sub(r"(^|\s)// .*", "", text)
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#ramp"}
    elements = parse(text)
    assert not [attrs for _, attrs in elements.found if {"src", "href", "srcset", "data", "action"} & set(attrs)]
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in elements.found}
    policy = next(
        attrs["content"] for _, attrs in elements.found if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_every_script_and_style_of_the_folder_is_in_the_page(scene):
    text = page(scene)
    files = [file for file in (resources.files("suffuse.trajectory.show") / "page").iterdir() if file.is_file()]
    assert {file.name for file in files} == {"page.html", "page.css", *html.SCRIPTS}
    for file in files:
        if file.name != "page.html":
            assert file.read_text(encoding="utf-8") in text
    assert "{{" not in text.replace("ñandú {{data}}", "")


def test_data_round_trip(scene, trips, network):
    data = json.loads(parse(page(scene)).text["data"])
    assert data["flow"] == [2, 3, 1, 1, 1, 0]
    assert data["segments"]["id"] == [str(identifier) for identifier in network.segment_ids]
    assert [data["classes"][c] for c in data["segments"]["class"]] == network.highway.tolist()
    assert data["segments"]["reverse"] == network.reverse.tolist() == [3, 2, 1, 0, -1, -1]
    for row, steps in enumerate(data["segments"]["xy"]):
        xy = np.cumsum(np.reshape(steps, (-1, 2)), axis=0) / 10
        np.testing.assert_allclose(xy, scene.lines.line(row), atol=0.05 + 1e-9)
    shown = data["trips"]
    assert shown["id"] == trips.trip_id.tolist()
    assert shown["segments"] == [trips.segments_of(row).tolist() for row in range(len(trips))]
    assert [np.cumsum(wait).tolist() for wait in shown["wait"]] == [[0, 40], [0, 50], [0, 36], [0, 100]]
    assert shown["duration"] == [80, 90, 72, 150]
    assert np.array(shown["depart"]).astype("datetime64[s]").tolist() == trips.depart.tolist()
    assert shown["length"] == [1000] * 4
    assert (data["timed"], data["total"], data["peak"]) == (True, 4, 10)


def test_long_lines_do_not_drift(make_network):
    """Steps are differences of rounded points, so rounding errors do not add up along a line of many points."""
    base = make_network()
    fine = shapely.segmentize(base.geometry, 1e-5)
    scene = scene_of(Trips.from_lists([[0]]), make_network(geometry=fine))
    for row, steps in enumerate(page_data(scene)["segments"]["xy"]):
        assert len(steps) > 600
        np.testing.assert_allclose(
            np.cumsum(np.reshape(steps, (-1, 2)), axis=0) / 10, scene.lines.line(row), atol=0.05 + 1e-9
        )


def test_large_segment_ids_keep_their_digits(make_network, trips):
    ids = 2**62 + np.arange(6)
    assert page_data(scene_of(trips, make_network(segment_ids=ids)))["segments"]["id"][5] == str(2**62 + 5)


NASTY = "</script><script>alert(1)</script><!-- <b>&amp; {{data}} \\u003c"


def test_names_do_not_break_out(trips, make_network):
    nasty = make_network(attribution=NASTY)
    named = replace(trips, trip_id=np.array([NASTY] * 4, dtype=object))
    text = page(scene_of(named, nasty, title=NASTY, note=NASTY))
    plain = page(scene_of(trips, make_network()))
    assert [tag for tag, _ in parse(text).found] == [tag for tag, _ in parse(plain).found]
    elements = parse(text)
    assert elements.text["title"] == elements.text["h1"] == elements.text["source"] == NASTY
    assert json.loads(elements.text["data"])["trips"]["id"] == [NASTY] * 4


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_script_json_is_json_without_an_opening_bracket(value):
    text = script_json(value)
    assert "<" not in text
    assert json.loads(text) == value


def test_untimed_trips_say_so(bare_trips, network):
    assert page_data(scene_of(bare_trips, network))["timed"] is False


def test_more_trips_than_the_page_holds(network, monkeypatch):
    monkeypatch.setattr(html, "MOST_TRIPS", 4)
    data = page_data(scene_of(Trips.from_lists([[0, 1]] * 9 + [[4]]), network))
    assert data["trips"]["id"] == ["0", "2", "5", "7"]
    assert data["total"] == 10
    assert data["flow"] == [9, 9, 0, 0, 1, 0], "flows count every trip"


def test_a_thousand_trips_of_a_real_city_are_a_small_page(tmp_path):
    city = load_city("la-serena")
    some = simulate(city, DemandConfig(), 50, seed=0)
    thousand = some.take(np.tile(np.arange(50), 20))
    plot_trips(thousand, city, tmp_path / "map.html")
    assert 100_000 < (tmp_path / "map.html").stat().st_size < 3_000_000
