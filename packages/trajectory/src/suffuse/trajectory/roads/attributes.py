"""What the many spellings of a road's class, speed and lanes mean: OpenStreetMap tags, OSMnx lists, numbers in text."""

import ast
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from suffuse.trajectory.roads.network import DEFAULT_SPEED_KMH, HIGHWAY_CLASSES

LINK_SPEED_FACTOR = 0.6
"""Slip roads (`motorway_link` and the like) without a speed of their own: this share of their class's default."""

SLOWEST_KMH, FASTEST_KMH = 1.0, 500.0
"""Speeds beyond these are mistakes, and count as unknown."""

FOOTWAYS = frozenset({"path", "pedestrian", "steps", "bridleway", "corridor", "trail", "elevator"})
"""Values of `highway` beside itself that count as the class `footway`."""

_MPH = 1.609344
_KNOTS = 1.852
_WALK_KMH = 5.0
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(mph|knots)?", re.IGNORECASE)


def as_list(value: Any) -> list[Any]:
    """The values of an attribute that may be one value, a list, a list written as text, or missing (an empty list)."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("[") and text.endswith("]"):
            try:
                return as_list(ast.literal_eval(text))
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return []
        return [part for part in (piece.strip() for piece in re.split(r"[;|]", text)) if part]
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, list | tuple | set | frozenset | ndarray):
        return [single for part in value for single in as_list(part)]
    return [value]


def highway_class(value: Any) -> tuple[str, bool]:
    """The class of `HIGHWAY_CLASSES` that a `highway` value stands for, and whether it is a slip road (`..._link`).

    Of a list (OSMnx merges streets) the first class counts; where there is none, `FOOTWAYS` are `footway` and all other
    values `unclassified`.
    """
    words = [str(part).strip().lower() for part in as_list(value)]
    for word in words:
        base = word.removesuffix("_link")
        if base in HIGHWAY_CLASSES:
            return base, base != word
    return "unclassified" if FOOTWAYS.isdisjoint(words) else "footway", False


def speed_in_kmh(value: Any) -> float:
    """A `maxspeed` value in km/h: a number, `30 mph`, `walk`, a list (its smallest); NaN where it says no number."""
    speeds = []
    for part in as_list(value):
        text = str(part)
        match = _NUMBER.match(text)
        if match:
            unit = (match[2] or "").lower()
            speeds.append(float(match[1]) * {"mph": _MPH, "knots": _KNOTS}.get(unit, 1.0))
        elif text.strip().lower() == "walk":
            speeds.append(_WALK_KMH)
    usable = [speed for speed in speeds if math.isfinite(speed) and speed > 0]
    return min(usable) if usable else math.nan


def lane_count(value: Any) -> float:
    """A `lanes` value as a number, of a list its smallest; NaN where it says none."""
    lanes = [float(match[1]) for part in as_list(value) if (match := _NUMBER.match(str(part)))]
    usable = [lane for lane in lanes if math.isfinite(lane) and lane > 0]
    return min(usable) if usable else math.nan


def is_true(value: Any) -> bool:
    """Whether a flag is set, in any of the spellings files have: True, 1, `yes`, `true`, `1`."""
    return any(str(part).strip().lower() in {"yes", "true", "1", "1.0"} for part in as_list(value))


def classes_and_speeds(
    highway: Iterable[Any], speed_kmh: Float[ndarray, " s"], is_link: Sequence[bool] | ndarray | None = None
) -> tuple[ndarray, Float[ndarray, " s"]]:
    """Classes (strings of `HIGHWAY_CLASSES`), and speeds with every unusable one replaced by its class's default."""
    pairs = [highway_class(value) for value in highway]
    classes = np.array([name for name, _ in pairs], dtype=object)
    link = np.array([slip for _, slip in pairs], dtype=bool)
    if is_link is not None:
        link |= np.asarray(is_link, dtype=bool)
    default = np.array([DEFAULT_SPEED_KMH[name] for name in classes], dtype=np.float64)
    default[link] *= LINK_SPEED_FACTOR
    usable = (speed_kmh >= SLOWEST_KMH) & (speed_kmh <= FASTEST_KMH)
    return classes, np.where(usable, speed_kmh, default)
