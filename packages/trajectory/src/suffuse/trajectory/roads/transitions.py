"""Who may follow whom: reverse partners and legal transitions between directed segments."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components


def reverse_partners(
    from_node: Int[ndarray, " s"], to_node: Int[ndarray, " s"], length_m: Float[ndarray, " s"]
) -> Int[ndarray, " s"]:
    """Index of the segment that is the same street in the other direction, -1 where there is none.

    Among several segments between the same two nodes, those most alike in length are partners, each of them once.
    """
    by_ends: dict[tuple[int, int], list[int]] = {}
    for segment, ends in enumerate(zip(from_node.tolist(), to_node.tolist(), strict=True)):
        by_ends.setdefault(ends, []).append(segment)
    partner = np.full(len(from_node), -1, dtype=np.int64)
    for (u, v), forward in by_ends.items():
        backward = by_ends.get((v, u), [])
        if u >= v or not backward:
            continue
        pairs = sorted((abs(float(length_m[a] - length_m[b])), a, b) for a in forward for b in backward)
        for _, a, b in pairs:
            if partner[a] < 0 and partner[b] < 0:
                partner[a], partner[b] = b, a
    return partner


def legal_transitions(
    from_node: Int[ndarray, " s"], to_node: Int[ndarray, " s"], reverse: Int[ndarray, " s"]
) -> sparse.csr_array:
    """An s x s pattern of the pairs of segments that may be driven one after the other.

    Head meets tail. U-turns are left out where there is another way on, but kept where leaving them out would cut
    segments off from the largest strongly connected part (streets that end in a loop, for example).
    """
    segments, nodes = len(from_node), int(max(from_node.max(), to_node.max())) + 1
    rows = np.arange(segments)
    ones = np.ones(segments, dtype=np.int8)
    heads = sparse.csr_array((ones, (rows, to_node)), shape=(segments, nodes))
    tails = sparse.csr_array((ones, (from_node, rows)), shape=(nodes, segments))
    follow = (heads @ tails).tocoo()
    row, column = follow.row.astype(np.int64), follow.col.astype(np.int64)
    u_turn = reverse[row] == column
    dead_end = np.bincount(row[~u_turn], minlength=segments) == 0
    allowed = ~u_turn | dead_end[row]
    while not allowed.all():
        pattern = sparse.csr_array(
            (np.ones(allowed.sum()), (row[allowed], column[allowed])), shape=(segments, segments)
        )
        _, part = connected_components(pattern, connection="strong")
        outside = part != np.bincount(part).argmax()
        mend = u_turn & ~allowed & (outside[row] | outside[column])
        if not mend.any():
            break
        allowed |= mend
    row, column = row[allowed], column[allowed]
    pattern = sparse.csr_array((np.ones(len(row), dtype=np.int8), (row, column)), shape=(segments, segments))
    pattern.sort_indices()
    return pattern
