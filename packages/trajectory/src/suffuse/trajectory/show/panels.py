"""What stands beside a map: the scale of flows, the key, two small histograms, the scale bar and north."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from suffuse.trajectory.show.atlas import POINT
from suffuse.trajectory.show.look import (
    flow_colormap,
    flow_share,
    flow_ticks,
    flow_width,
    metres_text,
    round_length,
)
from suffuse.trajectory.show.sheet import INK, QUIET, Pixels

BAR = "#8f8aa0"


def draw_flow_scale(axes: Axes, peak: float, width: Pixels, height: Pixels) -> None:
    """A wedge over `width` x `height` pixels that has at each flow the colour and the width it has on the map."""
    share = np.linspace(0, 1, 129)
    half = flow_width(share**2 * peak, peak) * POINT / 2
    x, middle = share * width, height - 12.0
    outline = np.concatenate([np.stack([x, middle + half], -1), np.stack([x, middle - half], -1)[::-1]])
    wedge = Polygon(outline, transform=axes.transData)
    colours = axes.imshow(share[None], extent=(0, width, 0, height), cmap=flow_colormap("light"), aspect="auto")
    colours.set_clip_path(wedge)
    axes.set(xlim=(0, width), ylim=(0, height))
    ticks = flow_ticks(peak)
    places = flow_share(np.array(ticks, dtype=np.float64), peak) * width
    for tick, at in zip(ticks, places.tolist(), strict=True):
        axes.plot([at, at], [middle - 14, middle - 9], color=QUIET, lw=0.8, clip_on=False)
        axes.text(at, middle - 18, f"{tick:,}", size=9, color=INK, ha="center", va="top")


def draw_scale_bar(axes: Axes, pixels_per_metre: float, longest: float) -> float:
    """A bar of a round length, at most `longest` pixels, and its name; returns where the name ends, pixels."""
    metres = round_length(longest / pixels_per_metre)
    length = metres * pixels_per_metre
    axes.plot([1, 1, length, length], [19, 13, 13, 19], color=INK, lw=1.3, solid_joinstyle="miter")
    axes.text(length + 9, 16, metres_text(metres), size=9.5, color=INK, va="center")
    return length + 9 + 8 * len(metres_text(metres))


def draw_north(axes: Axes, left: Pixels) -> None:
    """An arrow to the north, up."""
    axes.add_patch(Polygon([(left, 6), (left + 7, 26), (left + 14, 6), (left + 7, 11)], facecolor=INK, lw=0))
    axes.text(left + 21, 16, "N", size=10.5, weight="bold", color=INK, va="center")


def draw_key(axes: Axes, rows: list[tuple[str, Line2D]], height: Pixels) -> None:
    """A sign and its meaning a row, evenly over `height` pixels."""
    for number, (words, sign) in enumerate(rows):
        y = height * (1 - (number + 0.5) / len(rows))
        sign.set_data(([4, 26], [y, y]) if sign.get_marker() == "None" else ([15], [y]))
        axes.add_line(sign)
        axes.text(40, y, words, size=9.5, color=INK, va="center")


def length_step(length_m: Float[ndarray, " k"]) -> float:
    """Width of a class of trip lengths, metres: a round one that makes 12 to 30 classes up to the longest trip."""
    return round_length(float(length_m.max()) / 12)


def draw_lengths(axes: Axes, length_m: Float[ndarray, " k"]) -> None:
    """Histogram of trip lengths in classes of `length_step`, and their median."""
    km, step = length_m / 1000, length_step(length_m) / 1000
    edges = np.arange(np.floor(km.max() / step) + 2) * step
    counts, _ = np.histogram(km, edges)
    axes.bar(edges[:-1], counts, width=step * 0.88, align="edge", color=BAR)
    median = float(np.median(km))
    axes.axvline(median, color=INK, lw=1.1, ymax=0.97)
    late = median > edges[-1] / 2
    axes.annotate(
        f"median {median:.1f} km",
        (median, counts.max() * 1.17),
        xytext=(-5 if late else 5, 0),
        textcoords="offset points",
        size=9,
        color=INK,
        va="center",
        ha="right" if late else "left",
    )
    axes.set(xlim=(0, edges[-1]), ylim=(0, counts.max() * 1.26))
    axes.set_xlabel("length, km", size=9, color=QUIET)
    _plain(axes)


def draw_hours(axes: Axes, departures: Int[ndarray, " 24"]) -> None:
    """Trips that depart in each hour of the day."""
    axes.bar(np.arange(24), departures, width=0.88, align="edge", color=BAR)
    axes.set(xlim=(0, 24), ylim=(0, departures.max() * 1.1), xticks=range(0, 25, 6))
    axes.set_xlabel("hour of the day, as the trips are written", size=9, color=QUIET)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.tick_params(labelsize=9, colors=QUIET, length=3)
    axes.tick_params(axis="y", length=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#e7e3db", lw=0.8)
