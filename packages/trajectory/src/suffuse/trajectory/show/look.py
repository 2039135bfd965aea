"""Colours, widths and round numbers that the picture and the page have in common.

Dimensions: f flows.
"""

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex
from numpy import ndarray

from suffuse.trajectory.roads.network import HIGHWAY_CLASSES

ROAD_WIDTH = dict(zip(HIGHWAY_CLASSES, (3.2, 3.0, 2.7, 2.3, 1.9, 1.3, 1.2, 1.0, 0.8, 0.7, 0.6, 0.6), strict=True))
"""Width of a road on the map by class, in points where the whole city is in view."""

FLOW_WIDTH = (0.8, 8.0)
"""Width of the flow of one trip and of the largest flow, in points where the whole city is in view."""

SINGLE = "#0072b2"
"""Colour of single trips: the blue of Okabe and Ito's colour-blind safe set, which no flow is drawn in."""

RAMP_STEPS = 32


def flow_ramp(theme: str) -> list[str]:
    """The colours of flows from 0 to the largest, as `#rrggbb`: matplotlib's magma, perceptually uniform.

    Cut so that the smallest flow stands out from the ground: on `light` from peach to near black, on `dark` from violet
    to pale yellow. Its lightness rises or falls all the way, so it holds for the colour-blind and in grey.
    """
    ends = {"light": (0.90, 0.10), "dark": (0.30, 0.98)}[theme]
    return [to_hex(colour) for colour in colormaps["magma"](np.linspace(*ends, RAMP_STEPS))]


def flow_colormap(theme: str) -> LinearSegmentedColormap:
    """`flow_ramp` for matplotlib."""
    return LinearSegmentedColormap.from_list(f"flow-{theme}", flow_ramp(theme))


CHANGE = {
    "light": (("#2d004b", "#7a63b0", "#c9bfe3"), ("#f8cf98", "#e08214", "#7f3b08")),
    "dark": (("#d8caff", "#8f7fc4", "#4a4270"), ("#5e4420", "#d08a2e", "#ffd08a")),
}
"""Colours of fewer and of more trips from the largest change to none and on: purple and orange after Brewer's PuOr,
which the colour-blind tell apart. The larger a change, the further from the ground it is in lightness."""


def change_ramp(theme: str) -> list[str]:
    """The colours of changes from the largest loss to the largest gain, as `#rrggbb`; no change is between the two."""
    halves = [LinearSegmentedColormap.from_list("change", list(colours)) for colours in CHANGE[theme]]
    return [to_hex(colour) for half in halves for colour in half(np.linspace(0, 1, RAMP_STEPS))]


def change_colours(change: Float[ndarray, " f"], peak: float) -> list[str]:
    """The colour of each change on a light ground: where it lies on `change_ramp` goes by the root of its size."""
    ramp = change_ramp("light")
    step = np.rint(flow_share(np.abs(change), peak) * (RAMP_STEPS - 1)).astype(np.int64)
    row = np.where(change < 0, RAMP_STEPS - 1 - step, RAMP_STEPS + step)
    return [ramp[at] for at in row.tolist()]


def flow_share(flow: Float[ndarray, " f"], peak: float) -> Float[ndarray, " f"]:
    """Where flows lie on the scale of colours, 0 to 1: the root of their share of `peak`, so that small ones show."""
    return np.sqrt(flow.astype(np.float64) / peak)


def flow_width(flow: Float[ndarray, " f"], peak: float) -> Float[ndarray, " f"]:
    """Width of flows on the map, points: in proportion to the flow, on top of a least width that can be seen."""
    return FLOW_WIDTH[0] + (FLOW_WIDTH[1] - FLOW_WIDTH[0]) * flow.astype(np.float64) / peak


def flow_ticks(peak: float) -> list[int]:
    """Round flows to name on a square-root scale, the largest flow itself always among them."""
    largest = round(peak)
    round_ones = [factor * 10**power for power in range(10) for factor in (1, 2, 5)]
    shares = [(value, float(np.sqrt(value / largest))) for value in round_ones if value < largest]
    ticks: list[int] = [largest]
    last = 1.0
    for value, share in reversed(shares):
        if last - share >= 0.16 and share >= 0.04:
            ticks.append(value)
            last = share
    return ticks[::-1]


def change_ticks(peak: float) -> list[int]:
    """The same for the two sides of a scale of changes, each half as long: fewer, and none near 0."""
    ticks: list[int] = []
    last = 1.3
    for tick in flow_ticks(peak)[::-1]:
        share = float(np.sqrt(tick / peak))
        if last - share >= 0.3 and share >= 0.3:
            ticks.append(tick)
            last = share
    return ticks[::-1]


def round_length(metres: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above `metres`: a length for a scale bar."""
    power = 10.0 ** np.floor(np.log10(metres))
    return float(max(factor * power for factor in (1, 2, 5) if factor * power <= metres * (1 + 1e-9)))


def metres_text(metres: float) -> str:
    """`500 m`, `2 km`."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
