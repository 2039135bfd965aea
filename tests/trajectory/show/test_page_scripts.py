"""The scripts of the page do as they should: the parts without a screen in Node.js, the whole in Chromium."""

import json
import shutil
import subprocess
from html import unescape
from importlib import resources

import numpy as np
import pytest
import shapely

from suffuse.trajectory.show.html import SCRIPTS, page, page_data, script_json
from suffuse.trajectory.show.look import round_length
from suffuse.trajectory.show.scene import make_scene

NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def source(name):
    return (resources.files("suffuse.trajectory.show") / "page" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bent_scene(make_network, trips):
    """The crossing with streets that bend, so that a share of the way is not a share of the chord."""
    network = make_network()
    ends = [shapely.get_coordinates(line) for line in network.geometry]
    bent = [shapely.LineString([a, (a + b) / 2 + [0.001, 0.002], b]) for a, b in ends]
    return make_scene(trips, make_network(geometry=np.array(bent)), title=None, note=None, singles=0)


def run_in_node(scene, expression):
    """What `expression` is worth once model.js has read the page's data."""
    data = script_json(page_data(scene))
    program = f"""
        const document = {{ getElementById: () => ({{ textContent: {json.dumps(data)} }}) }};
        {source("model.js").replace('"use strict";', "")}
        console.log(JSON.stringify({expression}));
    """
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


@needs_node
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_javascript(name, tmp_path):
    (tmp_path / name).write_text(source(name), encoding="utf-8")
    subprocess.run([NODE, "--check", str(tmp_path / name)], check=True, timeout=60)


@needs_node
def test_trips_are_where_their_times_say(bent_scene):
    """Against shapely: half the time between two entries, half of the way along the line."""
    times = [0, 10, 20, 40, 60, 80]
    got = run_in_node(bent_scene, f"{times}.map((t) => pointOfTrip(trips[0], t))")
    lines = [shapely.LineString(bent_scene.lines.line(row)) for row in (0, 1)]
    for t, point in zip(times, got, strict=True):
        line, share = (lines[0], t / 40) if t < 40 else (lines[1], (t - 40) / 40)
        expected = shapely.line_interpolate_point(line, share, normalized=True)
        assert (point["x"], point["y"]) == pytest.approx((expected.x, expected.y), abs=0.2)


@needs_node
def test_right_of_travel_agrees_with_the_picture(bent_scene):
    got = run_in_node(bent_scene, "segments.map((s) => [[...s.x], [...s.y], [...s.rightX], [...s.rightY]])")
    moved = bent_scene.lines.moved_right(np.full(len(bent_scene.lines), 7.0))
    for row, (x, y, right_x, right_y) in enumerate(np.array(got)):
        np.testing.assert_allclose(np.stack([x + 7 * right_x, y + 7 * right_y], -1), moved.line(row), atol=0.1)


@needs_node
def test_texts(scene):
    assert run_in_node(scene, "[clockText(86399), clockText(86400), durationText(59.6), durationText(3725)]") == [
        "23:59:59",
        "00:00:00",
        "1 min 00 s",
        "1 h 02 min",
    ]


CATCH = """
<script>
const errors = [];
window.addEventListener("error", (event) => errors.push(event.message));
</script>
"""
ASK = """
<script>
setTimeout(() => {
  const send = (target, type, Kind, init) => {
    target.dispatchEvent(new Kind(type, { bubbles: true, cancelable: true, ...init }));
  };
  const key = (target, name) => send(target, "keydown", KeyboardEvent, { key: name });
  const box = motion.getBoundingClientRect();
  const over = (x, y) => ({ clientX: box.left + toScreenX(x), clientY: box.top + toScreenY(y) + 3, pointerId: 1 });
  const painted = (x, y) => {
    const [column, row] = [toScreenX(x), toScreenY(y) + 2].map((pixels) => pixels * devicePixelRatio);
    return [...ground.getContext("2d").getImageData(column, row, 1, 1).data];
  };
  const seen = {};
  seen.flow = painted(250, 0);
  seen.nothing = painted(250, 250)[3];
  send(motion, "pointermove", PointerEvent, over(250, 0));
  seen.tip = document.getElementById("tip").innerText;
  send(motion, "pointerdown", PointerEvent, over(0, -250));
  send(motion, "pointerup", PointerEvent, over(0, -250));
  seen.through = [...document.querySelectorAll("#list li")].map((item) => item.id);
  key(document.body, "Escape");
  seen.all = document.querySelectorAll("#list li").length;
  key(document.getElementById("list"), "End");
  seen.selected = state.selected.id;
  seen.detail = document.getElementById("detail").innerText;
  key(document.body, "Escape");
  seen.letGo = state.selected;
  const before = view.scale;
  key(motion, "+");
  seen.zoom = view.scale / before;
  key(motion, "0");
  seen.back = view.scale / view.whole;
  document.getElementById("time").value = 75;
  send(document.getElementById("time"), "input", Event, {});
  seen.clock = document.getElementById("clock").innerText;
  seen.moving = document.getElementById("show-moving").checked;
  seen.round = [1, 1.99, 2, 499, 500, 999].map(roundLength);
  seen.errors = errors;
  const answer = Object.assign(document.createElement("pre"), { id: "seen", textContent: JSON.stringify(seen) });
  document.body.replaceChildren(answer);
}, 200);
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_page_in_a_browser(scene, tmp_path):
    text = page(scene).replace("<header>", f"{CATCH}<header>", 1).replace("</body>", f"{ASK}</body>")
    (tmp_path / "map.html").write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    done = subprocess.run(
        [
            CHROMIUM,
            *options,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1200,800",
            "--virtual-time-budget=2000",
            "--dump-dom",
            (tmp_path / "map.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    seen = json.loads(unescape(done.stdout.split('<pre id="seen">')[1].split("</pre>")[0]))
    assert seen["errors"] == []
    assert seen["flow"][3] == 255
    assert seen["flow"][0] > seen["flow"][2], "a small flow is warm"
    assert seen["nothing"] == 0
    assert seen["tip"].split("\n") == [
        "Segment 101",
        "primary, 500 m, 50 km/h free flow",
        "3 trips",
        "other direction (102): 1 trip",
    ]
    assert seen["through"] == ["trip-3"]
    assert seen["all"] == 4
    assert seen["selected"] == "ñandú {{data}}"
    assert "Departs\n2024-03-04 00:00:00\nArrives\n00:02:30" in seen["detail"]
    assert "From segment\n104\nTo segment\n101" in seen["detail"]
    assert "Mean speed\n24 km/h" in seen["detail"]
    assert seen["letGo"] is None
    assert seen["zoom"] == pytest.approx(1.4)
    assert seen["back"] == pytest.approx(1)
    assert seen["clock"].split("\n") == ["1 min 15 s", "3 under way"]
    assert seen["moving"] is True
    assert seen["round"] == [round_length(float(metres)) for metres in (1, 1.99, 2, 499, 500, 999)]
