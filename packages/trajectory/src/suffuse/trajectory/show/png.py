"""A map of trips as a picture 1600 px wide: the flows, the trips in numbers, and some single trips below."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from suffuse.trajectory.show import atlas, panels
from suffuse.trajectory.show.flows import departures_by_hour
from suffuse.trajectory.show.look import flow_ramp, metres_text
from suffuse.trajectory.show.scene import Scene
from suffuse.trajectory.show.sheet import INK, QUIET, Sheet, width_of

WIDTH = 1600
MARGIN = 48
MAP_TOP = 116
MAP_WIDTH = 1128
MAP_HEIGHT = (660, 1300)
"""The least and the most; between, the map is as high as the city asks for."""
FOOT = 44
SIDE_LEFT = MARGIN + MAP_WIDTH + 40
SIDE_WIDTH = WIDTH - MARGIN - SIDE_LEFT
COLUMNS = 8
THUMB_GAP = 16
THUMB = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * THUMB_GAP) // COLUMNS
CAPTION = 56
THUMB_LEAST_M = 600.0
"""A single trip is shown with at least this much of the city around it."""

STYLE = ("default", {"font.family": "DejaVu Sans"})
"""Whatever a user has set for pictures of their own, a map looks the same, in a font that comes with matplotlib."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where things go, in pixels from the top, and what the map looks at."""

    map_height: int
    rows: int
    """Of single trips."""

    @property
    def map_bottom(self) -> int:
        """Of the map."""
        return MAP_TOP + self.map_height

    @property
    def singles_top(self) -> int:
        """Of the first single trip."""
        return self.map_bottom + FOOT + 62

    @property
    def height(self) -> int:
        """Of the whole picture."""
        if self.rows == 0:
            return self.map_bottom + FOOT + MARGIN // 2
        return self.singles_top + self.rows * (THUMB + CAPTION) + MARGIN // 2


def write_png(scene: Scene, path: Path) -> None:
    """Draw `scene` and save it."""
    with matplotlib.style.context(STYLE):
        draw(scene).save(path)


def draw(scene: Scene) -> Sheet:
    """The whole picture."""
    extent = scene.lines.xy.max(axis=0) - scene.lines.xy.min(axis=0)
    wanted = MAP_WIDTH * float(extent[1]) / max(float(extent[0]), 1.0)
    plan = Plan(
        map_height=round(min(max(wanted, MAP_HEIGHT[0]), MAP_HEIGHT[1])),
        rows=-(-len(scene.layer.singles) // COLUMNS),
    )
    sheet = Sheet(WIDTH, plan.height)
    room = WIDTH - 2 * MARGIN
    sheet.text(MARGIN, 60, scene.title, size=23, weight="bold", room=room)
    sheet.text(MARGIN, 91, scene.summary, size=11.5, colour=QUIET, room=room)
    _map(sheet, scene, plan)
    _side(sheet, scene, plan)
    if plan.rows:
        _singles(sheet, scene, plan)
    return sheet


def _map(sheet: Sheet, scene: Scene, plan: Plan) -> None:
    aspect = plan.map_height / MAP_WIDTH
    window = atlas.window_around(scene.lines.xy, aspect=aspect, margin=0.012)
    pixels_per_metre = MAP_WIDTH / (window[2] - window[0])
    axes = sheet.axes(MARGIN, MAP_TOP, MAP_WIDTH, plan.map_height)
    atlas.frame(axes, window)
    atlas.draw_roads(axes, scene, window)
    atlas.draw_flows(axes, scene, scene.layer, metres_per_point=atlas.POINT / pixels_per_metre)
    atlas.draw_closed(axes, scene)
    foot = sheet.drawing(MARGIN, plan.map_bottom + 6, MAP_WIDTH, 32)
    end = panels.draw_scale_bar(foot, pixels_per_metre, MAP_WIDTH / 5)
    panels.draw_north(foot, end + 24)
    room = MAP_WIDTH - end - 110
    top = plan.map_bottom + 26
    sheet.text(MARGIN + MAP_WIDTH, top, scene.attribution, size=9, colour=QUIET, align="right", room=room)


def _side(sheet: Sheet, scene: Scene, plan: Plan) -> None:
    layer = scene.layer
    inset, bar = 14, SIDE_WIDTH - 28
    sheet.text(SIDE_LEFT, MAP_TOP + 14, "Trips on each road segment", size=11.5, weight="bold")
    panels.draw_flow_scale(sheet.drawing(SIDE_LEFT + inset, MAP_TOP + 28, bar, 52), layer.peak, bar, 52)
    rows = [
        ("two directions: each on its right-hand side", Line2D([], [], color=flow_ramp("light")[20], lw=3)),
        ("road without trips", Line2D([], [], color=atlas.ROADS, lw=2.4)),
    ]
    if scene.network.closed:
        rows.append(("closed", Line2D([], [], color=atlas.CLOSED, marker="x", ms=8, mew=2.4)))
    key_height = 23 * len(rows)
    panels.draw_key(sheet.drawing(SIDE_LEFT, MAP_TOP + 90, SIDE_WIDTH, key_height), rows, key_height)
    top = MAP_TOP + 90 + key_height + 36
    height = (plan.map_bottom - top - 36) // 2
    step = metres_text(panels.length_step(layer.length_m))
    _chart_title(sheet, top, "How far trips go", f"trips per {step}")
    panels.draw_lengths(_chart(sheet, top, height), layer.length_m)
    top += height + 36
    _chart_title(sheet, top, "When trips depart", "trips per hour" if layer.timed else "")
    if layer.timed:
        panels.draw_hours(_chart(sheet, top, height), departures_by_hour(layer.trips))
    else:
        sheet.text(SIDE_LEFT, top + 36, "These trips carry no times.", size=9.5, colour=QUIET)


def _chart_title(sheet: Sheet, top: int, words: str, unit: str) -> None:
    sheet.text(SIDE_LEFT, top + 12, words, size=11.5, weight="bold")
    sheet.text(WIDTH - MARGIN, top + 12, unit, size=9, colour=QUIET, align="right")


def _chart(sheet: Sheet, top: int, height: int) -> Axes:
    """Axes for a chart of `height` pixels in all, with its title and the words below the axis."""
    return sheet.axes(SIDE_LEFT + 34, top + 24, SIDE_WIDTH - 34, height - 24 - 40)


def _singles(sheet: Sheet, scene: Scene, plan: Plan) -> None:
    layer = scene.layer
    top = plan.singles_top
    count = len(layer.singles)
    words = f"{count} single trips, from short to long" if count > 1 else "A single trip"
    heading = sheet.text(MARGIN, top - 18, words, size=11.5, weight="bold")
    signs = sheet.drawing(MARGIN + width_of(heading) + 24, top - 32, 300, 22)
    for left, which in ((8.0, atlas.ORIGIN), (82.0, atlas.DESTINATION)):
        atlas.draw_end(signs, left, 10.0, which, INK, size=8)
        signs.text(left + 12, 10, which, size=9.5, color=QUIET, va="center")
    for number, row in enumerate(layer.singles.tolist()):
        left = MARGIN + number % COLUMNS * (THUMB + THUMB_GAP)
        high = top + number // COLUMNS * (THUMB + CAPTION)
        xy = scene.lines.path(layer.trips.segments_of(row))
        axes = sheet.axes(left, high, THUMB, THUMB)
        window = atlas.window_around(xy, aspect=1.0, margin=0.14, least_m=THUMB_LEAST_M)
        atlas.frame(axes, window)
        atlas.draw_roads(axes, scene, window, scale=0.8)
        atlas.draw_single(axes, scene, layer, row, width=2.8)
        atlas.draw_closed(axes, scene, size=6)
        sheet.text(left, high + THUMB + 17, str(layer.trips.trip_id[row]), size=9.5, weight="bold", room=THUMB)
        sheet.text(left, high + THUMB + 34, _caption(scene, row), size=9, colour=QUIET, room=THUMB)


def _caption(scene: Scene, row: int) -> str:
    trips = scene.layer.trips
    length = f"{scene.layer.length_m[row] / 1000:.1f} km"
    if not scene.layer.timed:
        return length
    clock = str(trips.depart[row].astype("datetime64[m]"))[11:]
    return f"{clock} · {length} · {trips.duration_s[row] / 60:.0f} min"
