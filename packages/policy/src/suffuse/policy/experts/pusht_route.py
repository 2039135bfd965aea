"""A way for the disc around the T: A* over a grid (Hart, Nilsson and Raphael 1968), cut short where nothing is near."""

import heapq
import math

import numpy as np
from jaxtyping import Float64

from suffuse.policy.environments.pusht_geometry import AGENT_RADIUS, RECTANGLES, SIDE, to_block

CELL = 8.0
CELLS = int(SIDE / CELL)
EDGE_CELLS = 2
"""Cells at the walls that are never entered."""

TOUCHING, NEAR = 40.0, 4.0
"""How much dearer a cell is where the disc would touch the T, or come within `NEAR_DISTANCE` of it."""

NEAR_DISTANCE = 9.0
SPARE = 3.0
"""Pixels left between disc and T on a straight stretch."""

Cell = tuple[int, int]


def distance_to_t(points: Float64[np.ndarray, "n 2"], pose: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " n"]:
    """Distance of points from the T, 0 inside it."""
    local = to_block(points, pose)
    outside = [
        np.maximum(np.maximum(r.min(axis=0) - local, local - r.max(axis=0)), 0.0) for r in RECTANGLES
    ]  # from each rectangle, along each axis
    return np.minimum(*(np.linalg.norm(away, axis=-1) for away in outside))


def route(
    start: Float64[np.ndarray, " 2"], end: Float64[np.ndarray, " 2"], pose: Float64[np.ndarray, " 3"]
) -> list[Float64[np.ndarray, " 2"]]:
    """Corners of a way from `start` to `end` that keeps off the T where it can; the first is `start`."""
    cells = _cheapest(_cell(start), _cell(end), _prices(pose))
    points = [start, *((np.array(cell) + 0.5) * CELL for cell in cells[1:-1]), end]
    corners = [points[0]]
    here = 0
    while here < len(points) - 1:
        there = len(points) - 1
        while there > here + 1 and not _is_free(points[here], points[there], pose):
            there -= 1
        corners.append(points[there])
        here = there
    return corners


def _cell(point: Float64[np.ndarray, " 2"]) -> Cell:
    column, row = np.clip((point // CELL).astype(int), EDGE_CELLS, CELLS - 1 - EDGE_CELLS)
    return int(column), int(row)


def _prices(pose: Float64[np.ndarray, " 3"]) -> list[list[float]]:
    """The price of each cell."""
    middle = (np.arange(CELLS) + 0.5) * CELL
    points = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    clear = distance_to_t(points, pose) - AGENT_RADIUS
    prices = np.where(clear < 1, TOUCHING, np.where(clear < NEAR_DISTANCE, NEAR, 1.0))
    return prices.reshape(CELLS, CELLS).tolist()


def _cheapest(start: Cell, end: Cell, prices: list[list[float]]) -> list[Cell]:
    """Cells of the cheapest way, both ends included."""
    spent: dict[Cell, float] = {start: 0.0}
    before: dict[Cell, Cell] = {}
    heap: list[tuple[float, Cell]] = [(0.0, start)]
    inside = range(EDGE_CELLS, CELLS - EDGE_CELLS)
    while heap:
        _, here = heapq.heappop(heap)
        if here == end:
            break
        for dx, dy in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
            there = (here[0] + dx, here[1] + dy)
            if there[0] in inside and there[1] in inside:
                cost = spent[here] + math.hypot(dx, dy) * prices[there[0]][there[1]]
                if cost < spent.get(there, math.inf):
                    spent[there], before[there] = cost, here
                    heapq.heappush(heap, (cost + math.dist(there, end), there))
    cells = [end]
    while cells[-1] != start:
        cells.append(before[cells[-1]])
    return cells[::-1]


def _is_free(a: Float64[np.ndarray, " 2"], b: Float64[np.ndarray, " 2"], pose: Float64[np.ndarray, " 3"]) -> bool:
    """Whether the disc passes from a to b with room to spare."""
    count = max(3, int(np.linalg.norm(b - a) / 5))
    points = a + (b - a) * np.linspace(0, 1, count)[:, None]
    return bool(distance_to_t(points, pose).min() > AGENT_RADIUS + SPARE)
