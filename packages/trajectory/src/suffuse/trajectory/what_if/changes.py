"""Changes of a road network: segments that are closed, segments with another speed."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suffuse.console import because, shown
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.roads.network import RoadNetwork

LEAST_KMH, MOST_KMH = 0.1, 300.0
"""Slower than this is closed, faster is no road."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is different on a network, by segment index."""

    closed: tuple[int, ...] = ()
    speed_kmh: tuple[tuple[int, float], ...] = ()
    """Segments and their free-flow speed from now on."""

    def __bool__(self) -> bool:
        return bool(self.closed or self.speed_kmh)

    @property
    def segments(self) -> list[int]:
        """All segments that change, in ascending order."""
        return sorted({*self.closed, *(segment for segment, _ in self.speed_kmh)})

    def on(self, network: RoadNetwork) -> RoadNetwork:
        """The network with these changes; the same object if there are none."""
        if self.speed_kmh:
            speed = network.speed_kmh.astype(np.float64)
            for segment, kmh in self.speed_kmh:
                speed[segment] = kmh
            network = replace(network, speed_kmh=speed)
        return network.without(np.array(self.closed)) if self.closed else network

    @staticmethod
    def parse(network: RoadNetwork, *, close: str = "", speed: Iterable[str] = ()) -> "Changes":
        """Changes as they are written: `close` is `1,2,3`; each of `speed` is `4=20,5=30` or the path of a CSV file.

        Raises RequestError, with the option and the value, for a segment that is not in the network, a speed outside
        0.1 to 300 km/h, a segment with two speeds, or nothing but commas.
        """
        closed = [_segment(network, part, "--close") for part in _parts(close, "--close")]
        speeds: dict[int, float] = {}
        for given in speed:
            if "=" not in given and Path(given).suffix.lower() == ".csv":
                pairs = read_speeds(Path(given), network)
            else:
                pairs = [_pair(network, part) for part in _parts(given, "--speed")]
            for segment, kmh in pairs:
                if speeds.setdefault(segment, kmh) != kmh:
                    name, first = network.segment_ids[segment], speeds[segment]
                    raise RequestError(f"--speed: segment {name} has two speeds, {first:g} and {kmh:g}")
        return Changes(closed=tuple(closed), speed_kmh=tuple(speeds.items()))


def read_speeds(path: Path, network: RoadNetwork) -> list[tuple[int, float]]:
    """Segment indices and speeds of a CSV file with the columns `segment` (id) and `speed_kmh`.

    Raises RequestError with file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip().lower() for name in reader.fieldnames or []]
            if not {"segment", "speed_kmh"} <= set(columns):
                raise RequestError(f"{path}: needs the columns segment,speed_kmh; it has {shown(','.join(columns))}")
            reader.fieldnames = columns
            found = []
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                found.append((_segment(network, row["segment"] or "", where), _kmh(row["speed_kmh"] or "", where)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{path}: cannot be read as a CSV file: {because(error)}") from None
    if not found:
        raise RequestError(f"{path}: holds no speeds, only a header")
    return found


def _parts(text: str, where: str) -> list[str]:
    """What stands between commas; nothing for an empty text, but commas alone are a mistake."""
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    if text.strip() and not pieces:
        raise RequestError(f"{where}: {shown(text)} holds no segment")
    return pieces


def _pair(network: RoadNetwork, text: str) -> tuple[int, float]:
    name, equals, speed = text.partition("=")
    if not equals:
        raise RequestError(f"--speed: {shown(text)} is neither ID=KMH nor a CSV file")
    return _segment(network, name.strip(), "--speed"), _kmh(speed, "--speed")


def _segment(network: RoadNetwork, text: str, where: str) -> int:
    text = text.strip()
    index = network.index_of.get(int(text)) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
    if index is None:
        raise RequestError(f"{where}: segment {shown(text)} is not in road network {network.name!r}")
    return index


def _kmh(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not LEAST_KMH <= value <= MOST_KMH:
        raise RequestError(
            f"{where}: speed {shown(text.strip())} must be a number from {LEAST_KMH:g} to {MOST_KMH:g} km/h"
        )
    return value
