"""A map of what changed from one set of trips to another, as a picture 1600 px wide."""

from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from suffuse.trajectory.show import atlas, panels
from suffuse.trajectory.show.change import largest_changes
from suffuse.trajectory.show.look import change_colours, change_ramp, change_ticks, flow_share, flow_width
from suffuse.trajectory.show.png import (
    FOOT,
    MAP_HEIGHT,
    MAP_TOP,
    MAP_WIDTH,
    MARGIN,
    SIDE_LEFT,
    SIDE_WIDTH,
    STYLE,
    WIDTH,
)
from suffuse.trajectory.show.scene import Scene
from suffuse.trajectory.show.sheet import INK, QUIET, Pixels, Sheet

SLOWED = "#009e73"
"""Bluish green of Okabe and Ito's set: neither of the two colours of change, nor red."""

ROW = 40


def write_difference(scene: Scene, path: Path) -> None:
    """Draw what changed from `scene.before` and save it."""
    with matplotlib.style.context(STYLE):
        draw_difference(scene).save(path)


def draw_difference(scene: Scene) -> Sheet:
    """The whole picture."""
    extent = scene.lines.xy.max(axis=0) - scene.lines.xy.min(axis=0)
    wanted = MAP_WIDTH * float(extent[1]) / max(float(extent[0]), 1.0)
    height = round(min(max(wanted, MAP_HEIGHT[0]), MAP_HEIGHT[1]))
    sheet = Sheet(WIDTH, MAP_TOP + height + FOOT + MARGIN // 2)
    room = WIDTH - 2 * MARGIN
    sheet.text(MARGIN, 60, scene.title, size=23, weight="bold", room=room)
    sheet.text(MARGIN, 91, scene.summary, size=11.5, colour=QUIET, room=room)
    places = largest_changes(scene).tolist()
    _map(sheet, scene, height, places)
    _side(sheet, scene, places)
    return sheet


def _map(sheet: Sheet, scene: Scene, height: int, places: list[int]) -> None:
    window = atlas.window_around(scene.lines.xy, aspect=height / MAP_WIDTH, margin=0.012)
    pixels_per_metre = MAP_WIDTH / (window[2] - window[0])
    axes = sheet.axes(MARGIN, MAP_TOP, MAP_WIDTH, height)
    atlas.frame(axes, window)
    atlas.draw_roads(axes, scene, window)
    draw_changes(axes, scene, metres_per_point=atlas.POINT / pixels_per_metre)
    _draw_slowed(axes, scene)
    atlas.draw_closed(axes, scene, size=9)
    for number, row in enumerate(places, start=1):
        x, y = scene.lines.middle(row)
        axes.annotate(
            str(number), (x, y), xytext=(13, 13), textcoords="offset points", size=9.5, weight="bold", color=INK,
            ha="center", va="center", zorder=8,
            bbox={"boxstyle": "circle,pad=0.25", "fc": "white", "ec": INK, "lw": 0.9},
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
    foot = sheet.drawing(MARGIN, MAP_TOP + height + 6, MAP_WIDTH, 32)
    end = panels.draw_scale_bar(foot, pixels_per_metre, MAP_WIDTH / 5)
    panels.draw_north(foot, end + 24)
    at = MARGIN + MAP_WIDTH, MAP_TOP + height + 26
    sheet.text(*at, scene.attribution, size=9, colour=QUIET, align="right", room=MAP_WIDTH - end - 110)


def draw_changes(axes: Axes, scene: Scene, *, metres_per_point: float) -> None:
    """More and fewer trips on each segment as the colour and width of a band; sides as in `draw_flows`."""
    change, peak = scene.change, scene.peak
    widths = flow_width(np.abs(change), peak)
    moved = scene.lines.moved_right(np.where(scene.network.oneway, 0.0, widths / 2 * metres_per_point))
    order = np.argsort(np.abs(change), kind="stable")
    order = order[change[order] != 0]
    axes.add_collection(
        LineCollection(
            [moved.line(row) for row in order.tolist()],
            linewidths=widths[order],
            colors=change_colours(change[order], peak),
            capstyle="round",
            joinstyle="round",
            zorder=2,
        ),
        autolim=False,
    )


def _draw_slowed(axes: Axes, scene: Scene) -> None:
    """A dashed green line along the streets that have another speed."""
    if scene.slowed:
        lines = LineCollection(
            [scene.lines.line(row) for row in scene.slowed], colors=SLOWED, linewidths=2.2, linestyles=(0, (1.6, 1.4)),
            zorder=5,
        )  # fmt: skip
        axes.add_collection(lines, autolim=False)


def _side(sheet: Sheet, scene: Scene, places: list[int]) -> None:
    inset, bar = 14, SIDE_WIDTH - 28
    sheet.text(SIDE_LEFT, MAP_TOP + 14, "Change of trips on each segment", size=11.5, weight="bold")
    draw_change_scale(sheet.drawing(SIDE_LEFT + inset, MAP_TOP + 44, bar, 52), scene.peak, bar, 52)
    sheet.text(SIDE_LEFT, MAP_TOP + 40, "fewer", size=9.5, colour=QUIET)
    sheet.text(WIDTH - MARGIN, MAP_TOP + 40, "more", size=9.5, colour=QUIET, align="right")
    ramp = change_ramp("light")
    rows = [
        ("two directions: each on its right-hand side", Line2D([], [], color=ramp[len(ramp) * 3 // 4], lw=3)),
        ("as many trips as before", Line2D([], [], color=atlas.ROADS, lw=2.4)),
    ]
    if scene.network.closed:
        rows.append(("closed", Line2D([], [], color=atlas.CLOSED, marker="x", ms=8, mew=2.4)))
    if scene.slowed:
        rows.append(("speed changed", Line2D([], [], color=SLOWED, lw=2.2, linestyle=(0, (1.6, 1.4)))))
    key = 23 * len(rows)
    panels.draw_key(sheet.drawing(SIDE_LEFT, MAP_TOP + 108, SIDE_WIDTH, key), rows, key)
    top = MAP_TOP + 108 + key + 44
    sheet.text(SIDE_LEFT, top, "Largest changes", size=11.5, weight="bold")
    sheet.text(WIDTH - MARGIN, top, "trips: before → after", size=9, colour=QUIET, align="right")
    assert scene.before is not None
    signs = sheet.drawing(SIDE_LEFT, top + 12, SIDE_WIDTH, max(ROW * len(places), 1))
    for number, row in enumerate(places, start=1):
        y = ROW * (len(places) - number + 0.5)
        signs.text(
            11, y, str(number), size=9.5, weight="bold", color=INK, ha="center", va="center",
            bbox={"boxstyle": "circle,pad=0.25", "fc": "white", "ec": INK, "lw": 0.9},
        )  # fmt: skip
        kind = str(scene.network.highway[row]).replace("_", " ")
        signs.text(32, y + 8, f"segment {scene.network.segment_ids[row]}", size=9.5, color=INK, va="center")
        signs.text(32, y - 9, f"{kind}, {scene.network.length_m[row]:.0f} m", size=8.5, color=QUIET, va="center")
        change, words = scene.change[row], f"{scene.before.flow[row]:,.0f} → {scene.layer.flow[row]:,.0f}"
        signs.text(SIDE_WIDTH, y - 9, words, size=8.5, color=QUIET, ha="right", va="center")
        signs.text(
            SIDE_WIDTH, y + 8, f"{change:+,.0f}", size=10.5, weight="bold", ha="right", va="center",
            color=change_colours(np.array([np.sign(change)]), 1.0)[0],
        )  # fmt: skip


def draw_change_scale(axes: Axes, peak: float, width: Pixels, height: Pixels) -> None:
    """A bow tie over `width` x `height` pixels: at each change, left fewer and right more, its colour and width."""
    share = np.linspace(-1, 1, 257)
    half = flow_width(share**2 * peak, peak) * atlas.POINT / 2
    x, middle = (share + 1) / 2 * width, height - 12.0
    outline = np.concatenate([np.stack([x, middle + half], -1), np.stack([x, middle - half], -1)[::-1]])
    bow = Polygon(outline, closed=True, facecolor="none", transform=axes.transData)
    colours = change_colours(np.sign(share) * share**2 * peak, peak)
    pixels = np.array([[[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in colours]])
    picture = axes.imshow(pixels, extent=(0, width, 0, height), aspect="auto")
    picture.set_clip_path(bow)
    axes.set(xlim=(0, width), ylim=(0, height))
    ticks = change_ticks(peak)
    for tick in [*(-tick for tick in ticks[::-1]), 0, *ticks]:
        place = (1 + np.sign(tick) * flow_share(np.array([abs(float(tick))]), peak)[0]) / 2 * width
        axes.plot([place, place], [middle - 14, middle - 9], color=QUIET, lw=0.8, clip_on=False)
        axes.text(place, middle - 18, f"{tick:+,}" if tick else "0", size=9, color=INK, ha="center", va="top")
