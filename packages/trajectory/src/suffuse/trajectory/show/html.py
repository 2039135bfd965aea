"""A map of trips as a page: one file that needs no network, to move about in, play, and look up trips and roads.

The page is in the folder `page`: a frame in HTML, a style sheet, and scripts that are read in the order of `SCRIPTS`.
"""

import json
import re
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.roads.network import HIGHWAY_CLASSES
from suffuse.trajectory.show.lines import Lines
from suffuse.trajectory.show.look import FLOW_WIDTH, ROAD_WIDTH, change_ramp, change_ticks, flow_ramp, flow_ticks
from suffuse.trajectory.show.scene import Layer, Scene

SCRIPTS = ("model.js", "view.js", "ground.js", "motion.js", "panel.js", "start.js")

MOST_TRIPS = 5000
"""More trips than this are counted in the flows, but only so many, evenly chosen, move and can be looked up."""


def write_html(scene: Scene, path: Path) -> None:
    """Write the page of `scene`."""
    path.write_text(page(scene), encoding="utf-8")


def page(scene: Scene) -> str:
    """The page of `scene`, as HTML."""
    parts = {
        "title": escape(scene.title),
        "summary": escape(scene.summary),
        "attribution": escape(scene.attribution),
        "legend": "Trips on each road segment" if scene.before is None else "Change of trips on each segment",
        "singles": "Single trips" if scene.before is None else "Single trips after the change",
        "flows": "Flows" if scene.before is None else "Changes",
        "style": _file("page.css"),
        "script": "\n".join(_file(name) for name in SCRIPTS),
        "data": script_json(page_data(scene)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("page.html"))


def script_json(data: Any) -> str:
    """JSON that may stand in a `<script>` element, whatever strings are in it: no `<` is left to end or open one."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def page_data(scene: Scene) -> dict[str, Any]:
    """All that the page's scripts know. Points are decimetres in `network.metric_crs`, all but the first as steps."""
    network, layer = scene.network, scene.layer
    ramp = flow_ramp if scene.before is None else change_ramp
    low, high = scene.lines.xy.min(axis=0), scene.lines.xy.max(axis=0)
    return {
        "box": np.concatenate([low, high]).round(1).tolist(),
        "classes": list(HIGHWAY_CLASSES),
        "roadWidth": [ROAD_WIDTH[name] for name in HIGHWAY_CLASSES],
        "flowWidth": list(FLOW_WIDTH),
        "flowTicks": (flow_ticks if scene.before is None else change_ticks)(scene.peak),
        "ramp": {theme: ramp(theme) for theme in ("light", "dark")},
        "segments": {
            "id": [str(identifier) for identifier in network.segment_ids],
            "class": [HIGHWAY_CLASSES.index(name) for name in network.highway],
            "length": _short(network.length_m),
            "speed": network.speed_kmh.round().astype(int).tolist(),
            "reverse": network.reverse.tolist(),
            "closed": sorted(network.closed),
            "xy": _steps(scene.lines),
        },
        "slowed": list(scene.slowed),
        "peak": scene.peak,
        "flow": layer.flow.astype(int).tolist(),
        "before": None if scene.before is None else np.rint(scene.before.flow).astype(int).tolist(),
        "total": len(layer.trips),
        "timed": layer.timed,
        "trips": _trips(layer),
    }


def _trips(layer: Layer) -> dict[str, Any]:
    count = min(len(layer.trips), MOST_TRIPS)
    rows = np.arange(count) * len(layer.trips) // count
    trips = layer.trips.take(rows)
    enter = np.rint(trips.enter_s).astype(np.int64)
    wait = np.diff(enter, prepend=0)
    wait[trips.start[:-1]] = enter[trips.start[:-1]]
    return {
        "id": [str(identifier) for identifier in trips.trip_id],
        "depart": trips.depart.astype("datetime64[s]").astype(np.int64).tolist(),
        "duration": np.rint(trips.duration_s).astype(int).tolist(),
        "length": layer.length_m[rows].round().astype(int).tolist(),
        "segments": [part.tolist() for part in np.split(trips.segment, trips.start[1:-1])],
        "wait": [part.tolist() for part in np.split(wait, trips.start[1:-1])],
    }


def _steps(lines: Lines) -> list[list[int]]:
    decimetres = np.rint(lines.xy * 10).astype(np.int64)
    return [
        np.diff(decimetres[first:last], axis=0, prepend=[[0, 0]]).ravel().tolist()
        for first, last in zip(lines.start[:-1], lines.start[1:], strict=True)
    ]


def _short(values: Float[ndarray, " s"]) -> list[float | int]:
    """Rounded to tenths, whole numbers without a decimal point."""
    return [int(value) if value.is_integer() else value for value in values.astype(np.float64).round(1).tolist()]


def _file(name: str) -> str:
    return (resources.files("suffuse.trajectory.show") / "page" / name).read_text(encoding="utf-8")
