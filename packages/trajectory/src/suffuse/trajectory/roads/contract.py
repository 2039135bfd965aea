"""Smaller networks from larger ones: a part, the largest connected part, and streets without their shape-only nodes.

Each function returns a new `RoadNetwork`; segment ids stay what they were, a joined segment keeps the id of its first
piece.
"""

import numpy as np
import shapely
from jaxtyping import Bool, Int, Shaped
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.network import RoadNetwork


def part_of(network: RoadNetwork, keep: Bool[ndarray, " s"]) -> RoadNetwork:
    """The segments where `keep` is true, in their order, and the nodes they touch."""
    if not keep.any():
        raise RoadNetworkError(f"no segment of road network {network.name!r} is left")
    nodes, ends = np.unique(np.stack([network.from_node[keep], network.to_node[keep]]), return_inverse=True)
    from_node, to_node = ends.reshape(2, -1)
    renumbered = np.cumsum(keep) - 1
    return RoadNetwork(
        name=network.name,
        segment_ids=network.segment_ids[keep],
        from_node=from_node.astype(np.int64),
        to_node=to_node.astype(np.int64),
        node_ids=network.node_ids[nodes],
        node_lonlat=network.node_lonlat[nodes],
        geometry=network.geometry[keep],
        length_m=network.length_m[keep],
        highway=network.highway[keep],
        speed_kmh=network.speed_kmh[keep],
        lanes=network.lanes[keep],
        crs=network.crs,
        source_ids=None if network.source_ids is None else network.source_ids[keep],
        attribution=network.attribution,
        closed=frozenset(int(renumbered[segment]) for segment in network.closed if keep[segment]),
        mode=network.mode,
    )


def connected_part(network: RoadNetwork) -> RoadNetwork:
    """The largest part in which every node can be reached from every other; the same object if that is all of it.

    Raises `RoadNetworkError` if there is none.
    """
    nodes = len(network.node_ids)
    ones = np.ones(len(network), dtype=np.int8)
    links = sparse.csr_array((ones, (network.from_node, network.to_node)), shape=(nodes, nodes))
    _, part = connected_components(links, connection="strong")
    inside = part[network.from_node] == part[network.to_node]
    weight = np.bincount(part[network.from_node[inside]], minlength=part.max() + 1)
    keep = inside & (part[network.from_node] == weight.argmax())
    if not keep.any():
        raise RoadNetworkError(f"road network {network.name!r} has no place from which a trip could come back to it")
    return network if keep.all() else part_of(network, keep)


def contract(network: RoadNetwork) -> RoadNetwork:
    """Join segments at nodes where nothing can be decided: see `chains`.

    A joined segment is as long as its pieces together and takes as much time; its lanes are their mean by length, its
    source ids theirs in order.
    """
    return _join(network, chains(network, network.highway))


def chains(network: RoadNetwork, alike: Shaped[ndarray, " s"]) -> list[list[int]]:
    """Segments that follow each other without a choice, in order of travel; each segment is in one chain.

    A node is passed where there is one way in and one way on, or the two directions of one street; only between
    segments with the same value of `alike`, and only if no self-loop and no second chain between the same two nodes
    would come of it.
    """
    pieces: list[list[int]] = [[segment] for segment in range(len(network))]
    kind = np.unique(alike, return_inverse=True)[1].tolist()
    tail, head = network.from_node.tolist(), network.to_node.tolist()
    outgoing: list[set[int]] = [set() for _ in network.node_ids]
    incoming: list[set[int]] = [set() for _ in network.node_ids]
    for segment, (u, v) in enumerate(zip(tail, head, strict=True)):
        outgoing[u].add(segment)
        incoming[v].add(segment)
    changed = True
    while changed:
        changed = False
        for node in range(len(outgoing)):
            pairs = _through(node, incoming, outgoing, tail, head)
            if not pairs or any(kind[a] != kind[b] for a, b in pairs):
                continue
            if any(tail[a] == head[b] or any(head[e] == head[b] for e in outgoing[tail[a]]) for a, b in pairs):
                continue
            for a, b in pairs:
                pieces[a] += pieces[b]
                pieces[b] = []
                head[a] = head[b]
                incoming[head[b]].remove(b)
                incoming[head[b]].add(a)
            incoming[node].clear()
            outgoing[node].clear()
            changed = True
    return [chain for chain in pieces if chain]


def _through(
    node: int, incoming: list[set[int]], outgoing: list[set[int]], tail: list[int], head: list[int]
) -> list[tuple[int, int]]:
    """The (in, out) pairs that would be joined at a node: one on a one-way street, two on a two-way one, else none."""
    into, out = sorted(incoming[node]), sorted(outgoing[node])
    if len(into) != len(out) or not 1 <= len(into) <= 2:
        return []
    sources, targets = [tail[e] for e in into], [head[e] for e in out]
    around = {*sources, *targets}
    if node in around or len(around) != 2:
        return []
    if len(into) == 1:
        return [(into[0], out[0])]
    if set(sources) != around or set(targets) != around:
        return []
    return [(a, next(b for b in out if head[b] != tail[a])) for a in into]


def _join(network: RoadNetwork, chained: list[list[int]]) -> RoadNetwork:
    """One segment for each chain of segment indices."""
    first = np.array([chain[0] for chain in chained])
    last = np.array([chain[-1] for chain in chained])
    members = np.concatenate([np.array(chain) for chain in chained])
    owner = np.repeat(np.arange(len(chained)), [len(chain) for chain in chained])

    def total(values: ndarray) -> ndarray:
        return np.bincount(owner, weights=values[members])

    length = total(network.length_m)
    joined = RoadNetwork(
        name=network.name,
        segment_ids=network.segment_ids[first],
        from_node=network.from_node[first],
        to_node=network.to_node[last],
        node_ids=network.node_ids,
        node_lonlat=network.node_lonlat,
        geometry=_join_lines(network.geometry[members], owner),
        length_m=length,
        highway=network.highway[first],
        speed_kmh=np.round(length / total(network.length_m / network.speed_kmh), 6),
        lanes=np.round(total(network.lanes * network.length_m) / length, 6),
        crs=network.crs,
        source_ids=_join_names(network.source_ids, chained),
        attribution=network.attribution,
        closed=frozenset(index for index, chain in enumerate(chained) if network.closed.intersection(chain)),
        mode=network.mode,
    )
    return part_of(joined, np.ones(len(joined), dtype=bool))


def _join_lines(lines: ndarray, owner: Int[ndarray, " m"]) -> ndarray:
    """LineStrings of consecutive pieces, the shared points once."""
    coordinates, piece = shapely.get_coordinates(lines, return_index=True)
    chain = owner[piece]
    new_piece = np.diff(piece, prepend=-1) > 0
    same_chain = np.diff(chain, prepend=-1) == 0
    repeats = new_piece & same_chain & (coordinates == np.roll(coordinates, 1, axis=0)).all(axis=1)
    joined: ndarray = shapely.linestrings(coordinates[~repeats], indices=chain[~repeats])
    return joined


def _join_names(names: ndarray | None, chained: list[list[int]]) -> ndarray | None:
    """Source ids of each chain, joined by a space, each once and in order."""
    if names is None:
        return None
    joined = [" ".join(dict.fromkeys(part for piece in chain for part in names[piece].split())) for chain in chained]
    return np.array(joined, dtype=object)


def clean(network: RoadNetwork, *, join: bool = True) -> RoadNetwork:
    """The largest connected part, shape-only nodes joined away unless `join` is false: what a model learns on."""
    whole = connected_part(network)
    return contract(whole) if join else whole
