"""What lies between the dense layers of the model when trips are drawn, as loops over flat arrays.

Each function does in one pass what takes several operations of a tensor library on tiles this small. None of them lets
one row of its arguments have a say in another, whatever their number: sums run over a row's own entries, in an order
that depends on that row alone. Arrays that dense layers read or write are float32, or bfloat16 as the upper half of a
float32's bits (`uint16`, for NumPy has no such type).

Dimensions: t tokens, r trips of w tokens each, b trips of a cache, c slots, h heads, d width, e width of a head, g
hidden channels of the gated layer; q masked positions, m candidates, k channels of the scorer, f features, s segments.
"""

from typing import Any, no_type_check

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy import ndarray

LANES = {"fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy", "cache": True}
"""Sums may be taken several entries at a time, and nothing is checked that would keep them from it."""


def widen(x: Any) -> Any:
    """A bfloat16 as float32; a float32 is itself."""
    raise NotImplementedError("for compiled functions")


@overload(widen, jit_options={"error_model": "numpy"})
@no_type_check
def _widen(x):
    def bits_above(x):
        return np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)

    return bits_above if x == types.uint16 else lambda x: x


def rounded(x: Any, out: Any) -> Any:
    """A float32 as `out` holds it: the nearest bfloat16, ties to even, or itself."""
    raise NotImplementedError("for compiled functions")


@overload(rounded, jit_options={"error_model": "numpy"})
@no_type_check
def _rounded(x, out):
    def nearest(x, out):
        bits = np.float32(x).view(np.uint32)
        odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
        return np.uint16(np.uint32(np.uint32(bits + np.uint32(0x7FFF)) + odd) >> np.uint32(16))

    return nearest if out.dtype == types.uint16 else lambda x, out: x


@njit(inline="always")
@no_type_check
def exponential(x: float) -> float:
    """e to the power of x within 4e-6 of itself, for |x| < 87 (beyond: of the bound); many at a time, unlike `np.exp`.

    2^n from the bits of a float32, times the Taylor series of the rest, which is at most ln(2) / 2.
    """
    y = min(max(x * np.float32(1.4426950408889634), np.float32(-126.0)), np.float32(126.0))
    n = np.floor(y + np.float32(0.5))
    r = (y - n) * np.float32(0.6931471805599453)
    p = r * np.float32(1 / 5040) + np.float32(1 / 720)
    p = r * p + np.float32(1 / 120)
    p = r * p + np.float32(1 / 24)
    p = r * p + np.float32(1 / 6)
    p = r * p + np.float32(1 / 2)
    p = r * (r * p + np.float32(1)) + np.float32(1)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(**LANES)
@no_type_check
def add_and_norm(hidden: ndarray, update: ndarray, weight: ndarray, epsilon: float, out: ndarray) -> None:
    """Add `update` (t, d) to `hidden`, and write its root-mean-square norm to `out`."""
    width = hidden.shape[1]
    for token in range(len(hidden)):
        row, more, normed = hidden[token], update[token], out[token]
        square = np.float32(0)
        for a in range(width):
            value = row[a] + widen(more[a])
            row[a] = value
            square += value * value
        scale = np.float32(1) / np.sqrt(square / np.float32(width) + np.float32(epsilon))
        for a in range(width):
            normed[a] = rounded(row[a] * scale * weight[a], out)


@njit(**LANES)
@no_type_check
def gated(gate_up: ndarray, out: ndarray) -> None:
    """silu(gate) * up of the two halves of `gate_up` (t, 2 g)."""
    half = out.shape[1]
    for token in range(len(out)):
        gate, up, here = gate_up[token, :half], gate_up[token, half:], out[token]
        for a in range(half):
            x = widen(gate[a])
            here[a] = rounded(x / (np.float32(1) + exponential(-x)) * widen(up[a]), out)


@njit(**LANES)
@no_type_check
def attend(
    qkv: ndarray,
    cos: ndarray,
    sin: ndarray,
    trips: ndarray,
    start: ndarray,
    seen: ndarray,
    final: ndarray,
    keys: ndarray,
    values: ndarray,
    heads: int,
    out: ndarray,
) -> None:
    """Rotary positions, the cache and attention of one layer, for windows of some trips.

    Args:
        qkv: (t, 3 d) with t at least r w. Channels of queries and keys are those of `halves_apart`.
        cos, sin: (c, d / 2), of the rotary angle of each slot, heads one after the other.
        trips: (r,) rows of the cache.
        start: (r,) slots that are in use; the window's keys and values are written behind them.
        seen: (r,) tokens of the window that others may see; the rest see themselves, and what those see.
        final: (r,) tokens of the window, at its beginning, that do not see what comes after the last of them.
        keys, values: (b, c, d).
        heads: h.
        out: (t, d).

    """
    count, width = len(trips), keys.shape[2]
    window, e, half, middle = len(qkv) // count, width // heads, width // heads // 2, width // 2
    scale = np.float32(1) / np.sqrt(np.float32(e))
    lines, slots = (window + 3) // 4 * 4, (keys.shape[1] + 3) // 4 * 4
    query, score = np.zeros((lines, width), np.float32), np.zeros((lines, slots), np.float32)
    for row in range(count):
        first = start[row]
        key, value = keys[trips[row]], values[trips[row]]
        for j in range(window):
            line, c, s = qkv[row * window + j], cos[first + j], sin[first + j]
            a, b, left, right = line[:middle], line[middle:width], query[j, :middle], query[j, middle:]
            for i in range(middle):
                x, y = widen(a[i]), widen(b[i])
                left[i] = (x * c[i] - y * s[i]) * scale
                right[i] = (y * c[i] + x * s[i]) * scale
            a, b = line[width : width + middle], line[width + middle : 2 * width]
            left, right = key[first + j, :middle], key[first + j, middle:]
            for i in range(middle):
                x, y = widen(a[i]), widen(b[i])
                left[i] = x * c[i] - y * s[i]
                right[i] = y * c[i] + x * s[i]
            a, left = line[2 * width :], value[first + j]
            for i in range(width):
                left[i] = widen(a[i])
        for head in range(heads):
            low, high, channels = head * half, middle + head * half, head * e
            for j in range(0, lines, 4):  # four queries at a time: each key is read once for all
                a0, b0 = query[j, low : low + half], query[j, high : high + half]
                a1, b1 = query[j + 1, low : low + half], query[j + 1, high : high + half]
                a2, b2 = query[j + 2, low : low + half], query[j + 2, high : high + half]
                a3, b3 = query[j + 3, low : low + half], query[j + 3, high : high + half]
                to0, to1, to2, to3 = score[j], score[j + 1], score[j + 2], score[j + 3]
                for k in range(first + window):
                    x, y = key[k, low : low + half], key[k, high : high + half]
                    s0 = s1 = s2 = s3 = np.float32(0)
                    for i in range(half):
                        s0 += a0[i] * x[i] + b0[i] * y[i]
                        s1 += a1[i] * x[i] + b1[i] * y[i]
                        s2 += a2[i] * x[i] + b2[i] * y[i]
                        s3 += a3[i] * x[i] + b3[i] * y[i]
                    to0[k], to1[k], to2[k], to3[k] = s0, s1, s2, s3
            for j in range(window):
                visible = first + (final[row] if j < final[row] else seen[row])
                _mix(score[j], visible, first + j, value, channels, out[row * window + j, channels : channels + e])


@njit(inline="always", **{**LANES, "cache": False})
@no_type_check
def _mix(score: ndarray, visible: int, own: int, value: ndarray, first: int, out: ndarray) -> None:
    """Softmax of the scores of slots before `visible` and of slot `own`, and the mean of their values it makes."""
    e = len(out)
    if own >= visible:  # a token that no other sees stands behind those it sees
        score[visible] = score[own]
    used = visible + 1 if own >= visible else visible
    top = score[0]
    for k in range(1, used):
        top = max(top, score[k])
    for k in range(used):
        score[k] = exponential(score[k] - top)
    total = np.float32(0)
    for k in range(used):
        total += score[k]
    mixed = np.zeros(e, np.float32)
    share = np.float32(1) / total
    for k in range(0, visible // 4 * 4, 4):
        p0, p1, p2, p3 = score[k] * share, score[k + 1] * share, score[k + 2] * share, score[k + 3] * share
        v0, v1 = value[k, first : first + e], value[k + 1, first : first + e]
        v2, v3 = value[k + 2, first : first + e], value[k + 3, first : first + e]
        for i in range(e):
            mixed[i] += (p0 * v0[i] + p1 * v1[i]) + (p2 * v2[i] + p3 * v3[i])
    for k in range(visible // 4 * 4, used):
        p0, v0 = score[k] * share, value[own if k == visible else k, first : first + e]
        for i in range(e):
            mixed[i] += p0 * v0[i]
    for i in range(e):
        out[i] = rounded(mixed[i], out)


@njit(**LANES)
@no_type_check
def join(relation: ndarray, query: ndarray, group: ndarray, road: ndarray, segment: ndarray) -> None:
    """silu of what is added up for each candidate, in place of its `relation` (m, k).

    `group` says which row of `query` (q, k) is that of its position, `segment` which of `road` (s, k) that of its road.
    """
    for i in range(len(group)):
        here, asked, way = relation[i], query[group[i]], road[segment[i]]
        for a in range(relation.shape[1]):
            x = here[a] + asked[a] + way[a]
            here[a] = x / (np.float32(1) + exponential(-x))


@njit(**LANES)
@no_type_check
def conclude(mixed: ndarray, bias: ndarray, weight: ndarray, features: ndarray, direct: ndarray, out: ndarray) -> None:
    """Logits (m,) of candidates: `weight` (k,) of silu(mixed + bias), and `direct` (f,) of their features."""
    for i in range(len(out)):
        here, own = mixed[i], features[i]
        total = np.float32(0)
        for a in range(len(weight)):
            x = here[a] + bias[a]
            total += weight[a] * (x / (np.float32(1) + exponential(-x)))
        for a in range(len(direct)):
            total += direct[a] * own[a]
        out[i] = total
