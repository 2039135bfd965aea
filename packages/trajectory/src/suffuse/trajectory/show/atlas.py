"""What is drawn on a map: roads, flows, closed segments, single trips. Axes are in metres of the network's CRS."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy import ndarray

from suffuse.trajectory.show.look import ROAD_WIDTH, SINGLE, flow_colormap, flow_share, flow_width
from suffuse.trajectory.show.scene import Layer, Scene

ROADS = "#dbd7cf"
CLOSED = "#d7191c"
POINT = 100 / 72
"""Pixels in a point, at `sheet.DPI`."""

End = Literal["origin", "destination"]
ORIGIN: End = "origin"
DESTINATION: End = "destination"

Window = tuple[float, float, float, float]
"""West, south, east, north in metres."""


def window_around(xy: Float[ndarray, "p 2"], *, aspect: float, margin: float, least_m: float = 0.0) -> Window:
    """The smallest window of `aspect` (height / width) around points, with a margin as a share of their extent."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    middle = (low + high) / 2
    extent = np.maximum((high - low) * (1 + 2 * margin), max(least_m, 1.0))
    width = max(extent[0], extent[1] / aspect)
    east, north = width / 2, width * aspect / 2
    return (middle[0] - east, middle[1] - north, middle[0] + east, middle[1] + north)


def frame(axes: Axes, window: Window) -> None:
    """Look at a window through axes of its shape: a metre east is as long as a metre north."""
    axes.set(xlim=window[::2], ylim=window[1::2], xticks=[], yticks=[])
    axes.spines[:].set_color(ROADS)


def draw_roads(axes: Axes, scene: Scene, window: Window, *, scale: float = 1.0) -> None:
    """The segments that touch a window, in grey, as wide as their class."""
    west, south, east, north = window
    rows = np.flatnonzero(((scene.lines.low <= (east, north)) & (scene.lines.high >= (west, south))).all(axis=1))
    axes.add_collection(
        LineCollection(
            [scene.lines.line(row) for row in rows.tolist()],
            linewidths=[scale * ROAD_WIDTH[name] for name in scene.network.highway[rows]],
            colors=ROADS,
            capstyle="round",
            zorder=1,
        ),
        autolim=False,
    )


def draw_flows(axes: Axes, scene: Scene, layer: Layer, *, metres_per_point: float) -> None:
    """The trips on each segment as the colour and width of a band; the largest on top.

    The bands of a two-way street lie side by side, each to the right of its direction; that of a one-way street lies on
    the street.
    """
    peak = layer.peak
    widths = flow_width(layer.flow, peak)
    moved = scene.lines.moved_right(np.where(scene.network.oneway, 0.0, widths / 2 * metres_per_point))
    order = np.argsort(layer.flow, kind="stable")
    order = order[layer.flow[order] > 0]
    axes.add_collection(
        LineCollection(
            [moved.line(row) for row in order.tolist()],
            linewidths=widths[order],
            colors=flow_colormap("light")(flow_share(layer.flow[order], peak)),
            capstyle="round",
            joinstyle="round",
            zorder=2,
        ),
        autolim=False,
    )


def draw_closed(axes: Axes, scene: Scene, *, size: int | float = 7.0) -> None:
    """A red cross halfway along each closed segment."""
    if scene.network.closed:
        middles = np.array([scene.lines.middle(row) for row in sorted(scene.network.closed)])
        axes.plot(
            *middles.T, "x", ms=size, mew=size / 3.2, color=CLOSED, zorder=6, path_effects=_halo(size / 3.2 + 2.2)
        )


def draw_single(axes: Axes, scene: Scene, layer: Layer, trip: int, *, width: int | float) -> None:
    """One trip: its line, a ring where it starts and a square where it ends."""
    xy = scene.lines.path(layer.trips.segments_of(trip))
    axes.plot(
        *xy.T,
        color=SINGLE,
        lw=width,
        solid_joinstyle="round",
        solid_capstyle="round",
        zorder=3,
        path_effects=_halo(width + 2),
    )
    draw_end(axes, xy[0, 0], xy[0, 1], ORIGIN, SINGLE, size=2.6 * width)
    draw_end(axes, xy[-1, 0], xy[-1, 1], DESTINATION, SINGLE, size=2.6 * width)


def draw_end(axes: Axes, x: float, y: float, which: End, colour: str, *, size: int | float) -> None:
    """A white ring for an origin, a full square for a destination."""
    if which == ORIGIN:
        axes.plot(x, y, "o", ms=size, mfc="white", mec=colour, mew=size / 5, zorder=4, clip_on=False)
    else:
        axes.plot(x, y, "s", ms=size, mfc=colour, mec="white", mew=1.2, zorder=5, clip_on=False)


def _halo(width: int | float) -> list[patheffects.AbstractPathEffect]:
    return [patheffects.Stroke(linewidth=width, foreground="white"), patheffects.Normal()]
