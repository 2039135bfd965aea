"""What a segment means to one trip: how far it still is to the destination, and what taking it would cost.

Two kinds of features are computed here, in one pass over flat arrays: of a *token* (a segment somewhere in the trip)
and of a *candidate* (a segment that may stand at a masked position, given the committed ones around it).

Dimensions: q masked positions, m candidates, d destinations in hand, n nodes, s segments.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int
from numba import njit
from numpy import ndarray

from suffuse.trajectory.model.candidates import Candidates
from suffuse.trajectory.model.city import METRICS, CityFeatures, CostsToGo
from suffuse.trajectory.model.usage import ZONES
from suffuse.trajectory.roads.costs import UNKNOWN

TOKEN_FEATURES = 12
CANDIDATE_FEATURES = 40
SMOOTHING = np.float32(5.0)
"""Pseudo-counts with which the frequency of a turn backs off to that of the next coarser zone."""


@njit(cache=True, inline="always")
@no_type_check
def _squeeze(x: float) -> float:
    """Sign-preserving logarithm: fine near zero, never large."""
    return np.log1p(x) if x >= 0 else -np.log1p(-x)


@njit(cache=True, inline="always")
@no_type_check
def _count(start: ndarray, key: ndarray, count: ndarray, item: int, zone: int) -> float:
    wanted, low, high = item * ZONES + zone, start[item], start[item + 1]
    while low < high:
        middle = (low + high) // 2
        if key[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return count[low] if low < start[item + 1] and key[low] == wanted else 0.0


@njit(cache=True, inline="always")
@no_type_check
def _to_go(
    metric: int,
    segment: int,
    destination: int,
    row: int,
    cost: ndarray,
    learned: ndarray,
    zone_row: ndarray,
    to_node: ndarray,
    distance: ndarray,
) -> float:
    """Cost from the end of `segment` to the end of the destination segment."""
    if segment == destination:
        return 0.0
    last = learned[zone_row[row], destination] if metric == 3 else cost[metric, destination]
    return min(distance[metric, row, to_node[segment]], 1e6) + last


@njit(cache=True)
@no_type_check
def _token_features(
    segment: ndarray,
    destination: ndarray,
    row: ndarray,
    cost: ndarray,
    learned: ndarray,
    zone_row: ndarray,
    from_node: ndarray,
    to_node: ndarray,
    node_metres: ndarray,
    end_bearing: ndarray,
    distance: ndarray,
    flow: ndarray,
    total: int,
    out: ndarray,
) -> None:
    for i in range(len(segment)):
        s, d = segment[i], destination[i]
        if s >= total:
            out[i, 0] = 1.0
            continue
        x = (node_metres[from_node[d], 0] - node_metres[to_node[s], 0]) / 1000
        y = (node_metres[from_node[d], 1] - node_metres[to_node[s], 1]) / 1000
        angle = np.arctan2(y, x) - end_bearing[s]
        for metric in range(4):
            place = 1 + metric if metric < 3 else 11
            out[i, place] = np.log1p(2 * _to_go(metric, s, d, row[i], cost, learned, zone_row, to_node, distance))
        out[i, 4] = np.log1p(4 * np.hypot(x, y))
        out[i, 5] = np.cos(angle)
        out[i, 6] = np.sin(angle)
        out[i, 7] = 1.0 if s == d else 0.0
        out[i, 8] = np.log1p(flow[s]) / 4
        out[i, 9] = x / 5
        out[i, 10] = y / 5


def token_features(
    city: CityFeatures,
    segment: Int[ndarray, " q"],
    destination: Int[ndarray, " q"],
    row: Int[ndarray, " q"],
    costs: CostsToGo,
) -> Float32[ndarray, "q 12"]:
    """Features of segments (s for a finished trip) of trips to `destination`; `row` is its row in `costs`."""
    network = city.network
    out = np.zeros((len(segment), TOKEN_FEATURES), dtype=np.float32)
    _token_features(
        segment, destination, row, city.cost, costs.learned, costs.zone_row, network.from_node, network.to_node,
        city.node_metres, city.bearings[1], costs.distance, city.usage.flow, len(network), out,
    )  # fmt: skip
    return out


@njit(cache=True)
@no_type_check
def _turn_place(ptr: ndarray, adjacent: ndarray, first: int, second: int) -> int:
    for j in range(ptr[first], ptr[first + 1]):
        if adjacent[j] == second:
            return j
    return -1


@njit(cache=True)
@no_type_check
def _turn_shares(
    out: ndarray,
    first: int,
    second: int,
    zone_coarse: int,
    zone_fine: int,
    ptr: ndarray,
    adjacent: ndarray,
    turn_flow: ndarray,
    leaving: ndarray,
    fs0: ndarray,
    fk0: ndarray,
    fc0: ndarray,
    fs1: ndarray,
    fk1: ndarray,
    fc1: ndarray,
    ts0: ndarray,
    tk0: ndarray,
    tc0: ndarray,
    ts1: ndarray,
    tk1: ndarray,
    tc1: ndarray,
) -> None:
    """Log share of drivers on `first` who went on to `second`: all, then those bound for the coarse, the fine zone."""
    place = _turn_place(ptr, adjacent, first, second)
    choices = ptr[first + 1] - ptr[first]
    if place < 0 or choices == 0:
        return
    share = (turn_flow[place] + SMOOTHING / choices) / (leaving[first] + SMOOTHING)
    out[0] = np.log(share)
    seen = _count(fs0, fk0, fc0, first, zone_coarse)
    share = (_count(ts0, tk0, tc0, place, zone_coarse) + SMOOTHING * share) / (seen + SMOOTHING)
    out[1] = np.log(share)
    seen = _count(fs1, fk1, fc1, first, zone_fine)
    share = (_count(ts1, tk1, tc1, place, zone_fine) + SMOOTHING * share) / (seen + SMOOTHING)
    out[2] = np.log(share)
    out[3] = np.log1p(seen) / 4


@njit(cache=True, inline="always")
@no_type_check
def _angle(a: float, b: float, x: float, y: float, length: float) -> tuple[float, float]:
    """Cosine and sine of the angle from the unit vector (a, b) to (x, y); of nowhere, as if it lay in the east."""
    if length == 0:
        return a, -b
    return (a * x + b * y) / length, (a * y - b * x) / length


@njit(cache=True)
@no_type_check
def _candidate_features(
    out: ndarray,
    trip: ndarray,
    position: ndarray,
    start: ndarray,
    segment: ndarray,
    left: ndarray,
    left_gap: ndarray,
    right: ndarray,
    right_gap: ndarray,
    tokens: ndarray,
    hidden: ndarray,
    block: ndarray,
    destination: ndarray,
    row: ndarray,
    cost: ndarray,
    learned: ndarray,
    zone_row: ndarray,
    from_node: ndarray,
    to_node: ndarray,
    node_metres: ndarray,
    start_way: ndarray,
    end_way: ndarray,
    reverse: ndarray,
    distance: ndarray,
    ptr: ndarray,
    adjacent: ndarray,
    has_usage: bool,
    zone_coarse: ndarray,
    zone_fine: ndarray,
    flow: ndarray,
    turn_flow: ndarray,
    leaving: ndarray,
    fs0: ndarray,
    fk0: ndarray,
    fc0: ndarray,
    fs1: ndarray,
    fk1: ndarray,
    fc1: ndarray,
    ts0: ndarray,
    tk0: ndarray,
    tc0: ndarray,
    ts1: ndarray,
    tk1: ndarray,
    tc1: ndarray,
) -> None:
    total = len(from_node)
    left_go = np.empty(4, dtype=np.float64)
    for query in range(len(trip)):
        t, k, m = trip[query], left_gap[query], right_gap[query]
        d, r, l_segment, r_segment = destination[t], row[t], left[query], right[query]
        over = l_segment >= total
        if not over:
            for metric in range(4):
                left_go[metric] = _to_go(metric, l_segment, d, r, cost, learned, zone_row, to_node, distance)
        for i in range(start[query], start[query + 1]):
            c = segment[i]
            f = out[i]
            f[0] = 1.0 if k == 1 else 0.0
            f[1] = np.log(k)
            f[2] = 1.0 if m > 0 else 0.0
            f[3] = 1.0 / m if m > 0 else 0.0
            if c >= total:
                f[4] = 1.0
                f[5] = 1.0 if over else 0.0
                f[6] = 1.0 if l_segment == d else 0.0
                continue
            f[7] = 1.0 if c == d else 0.0
            for metric in range(4):
                go = _to_go(metric, c, d, r, cost, learned, zone_row, to_node, distance)
                own = learned[zone_row[r], c] if metric == 3 else cost[metric, c]
                extra = go + own - left_go[metric]
                beside, beyond, to_go = (37, 38, 39) if metric == 3 else (8 + metric, 11 + metric, 14 + metric)
                if k == 1:
                    f[beside] = _squeeze(4 * extra)
                else:
                    f[beyond] = _squeeze(extra / k * 4)
                f[to_go] = np.log1p(2 * go)
            x = (node_metres[from_node[d], 0] - node_metres[to_node[c], 0]) / 1000
            y = (node_metres[from_node[d], 1] - node_metres[to_node[c], 1]) / 1000
            away = np.sqrt(x * x + y * y)
            cos, sin = _angle(end_way[c, 0], end_way[c, 1], x, y, away)
            f[17] = np.log1p(4 * away)
            f[18] = cos
            f[19] = sin
            cos, sin = _angle(end_way[l_segment, 0], end_way[l_segment, 1], start_way[c, 0], start_way[c, 1], 1.0)
            if k == 1:
                f[20] = cos
                f[21] = sin
                f[22] = 1.0 if reverse[l_segment] == c else 0.0
            else:
                dx = (node_metres[from_node[c], 0] - node_metres[to_node[l_segment], 0]) / 1000
                dy = (node_metres[from_node[c], 1] - node_metres[to_node[l_segment], 1]) / 1000
                f[23] = cos
                away = np.sqrt(dx * dx + dy * dy)
                f[24], _ = _angle(end_way[l_segment, 0], end_way[l_segment, 1], dx, dy, away)
                f[25] = np.log1p(4 * away)
            # loops: has the trip been here, or come the other way, before
            for j in range(position[query]):
                if not hidden[t, j] or block[t, j] != block[t, position[query]]:
                    if tokens[t, j] == c:
                        f[26] = 1.0
                    elif tokens[t, j] == reverse[c]:
                        f[27] = 1.0
            if has_usage:
                f[28] = np.log1p(flow[c]) / 4
                f[29] = np.log1p(_count(fs0, fk0, fc0, c, zone_coarse[d])) / 4
                f[30] = np.log1p(_count(fs1, fk1, fc1, c, zone_fine[d])) / 4
                if k == 1:
                    _turn_shares(
                        f[31:35],
                        l_segment,
                        c,
                        zone_coarse[d],
                        zone_fine[d],
                        ptr,
                        adjacent,
                        turn_flow,
                        leaving,
                        fs0,
                        fk0,
                        fc0,
                        fs1,
                        fk1,
                        fc1,
                        ts0,
                        tk0,
                        tc0,
                        ts1,
                        tk1,
                        tc1,
                    )
                if m == 1 and r_segment < total:
                    place = _turn_place(ptr, adjacent, c, r_segment)
                    choices = ptr[c + 1] - ptr[c]
                    if place >= 0 and choices > 0:
                        f[35] = np.log((turn_flow[place] + SMOOTHING / choices) / (leaving[c] + SMOOTHING))
                f[36] = 1.0


@njit(cache=True)
@no_type_check
def _lacking(
    trip: ndarray,
    start: ndarray,
    segment: ndarray,
    destination: ndarray,
    row: ndarray,
    to_node: ndarray,
    distance: ndarray,
    out: ndarray,
) -> None:
    for query in range(len(trip)):
        r, last = row[trip[query]], destination[trip[query]]
        for i in range(start[query], start[query + 1]):
            if segment[i] < len(to_node) and segment[i] != last:
                for metric in range(4):
                    if distance[metric, r, to_node[segment[i]]] == UNKNOWN:
                        out[metric, r] = True


def reach(
    city: CityFeatures,
    trip: Int[ndarray, " q"],
    start: Int[ndarray, " q1"],
    segment: Int[ndarray, " m"],
    destination: Int[ndarray, " b"],
    costs: CostsToGo,
) -> None:
    """Make `costs`, whose row i is that of trip i, known for segments; `start[j]:start[j + 1]` are of `trip[j]`."""
    lacking = np.zeros((METRICS, len(destination)), dtype=np.bool_)
    _lacking(
        trip, start, segment, destination, np.arange(len(destination)), city.network.to_node, costs.distance, lacking
    )
    if lacking.any():
        city.complete(costs, destination, lacking)


def candidate_features(
    city: CityFeatures,
    candidates: Candidates,
    tokens: Int[ndarray, "b p"],
    masked: Bool[ndarray, "b p"],
    block: Int[ndarray, "b p"],
    destination: Int[ndarray, " b"],
    row: Int[ndarray, " b"],
    costs: CostsToGo,
) -> Float32[ndarray, "m 40"]:
    """Features of each candidate; `row[i]` is the row of trip i's destination in `costs` (see `CityFeatures`).

    What stands in an earlier block is known to a candidate even where it is `masked`: that mask is the noise of its
    own block.
    """
    network, usage = city.network, city.usage
    start_way, end_way = city.ways
    flow_start, turn_start = usage.starts
    out = np.zeros((len(candidates.segment), CANDIDATE_FEATURES), dtype=np.float32)
    _candidate_features(
        out, candidates.row, candidates.position, candidates.start, candidates.segment, candidates.left,
        candidates.left_gap, candidates.right, candidates.right_gap, tokens, masked, block, destination, row, city.cost,
        costs.learned, costs.zone_row, network.from_node, network.to_node, city.node_metres, start_way,
        end_way, network.reverse, costs.distance,
        network.successors.indptr, network.successors.indices, city.has_usage, city.zones[0], city.zones[1],
        usage.flow, usage.turn_flow, usage.leaving,
        flow_start[0], usage.flow_key[0], usage.flow_count[0], flow_start[1], usage.flow_key[1], usage.flow_count[1],
        turn_start[0], usage.turn_key[0], usage.turn_count[0], turn_start[1], usage.turn_key[1], usage.turn_count[1],
    )  # fmt: skip
    return out
