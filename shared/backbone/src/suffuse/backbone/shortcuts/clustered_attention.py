"""Attention in which most pairs are stood for by the centroids of key clusters: the arithmetic of SVG-EAR.

Queries and keys are clustered. A query meets the keys of some clusters one by one, and each other cluster C as one key,
its centroid, that counts |C| times: exp(q . kbar) |C| vbar beside the exact terms, in the same softmax (SVG-EAR, arXiv
2603.08982). Which pairs of clusters are met exactly is decided by what the centroid would get wrong for the mean query
of the cluster, by the pair of tokens: the highest error for its cost first. The mean query's attention is computed in
full for this, which is linear in the number of tokens.

The paper's code is not public; settings and the error estimate are ours, after its abstract and project page.

Dimensions: g groups (samples times heads), n tokens, d features, q and c clusters of queries and keys.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

Routing = Literal["error", "score"]


@dataclass
class Centroids:
    """Centres of clusters from an earlier call, to start from."""

    query: Float[Tensor, "g q d"]
    key: Float[Tensor, "g c d"]


@dataclass
class Work:
    """Operations: of the attention itself, and of clustering and routing. `pairs` counts exact pairs of tokens."""

    attention: float = 0.0
    overhead: float = 0.0
    pairs: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which pairs of clusters are met exactly (see `clustered_attention`), and the scale of the attention."""

    density: float
    routing: Routing
    compensate: bool
    scale: float


@dataclass(frozen=True, kw_only=True)
class KeyClusters:
    """Keys and values of one group in the order of their clusters, and of each cluster size and means."""

    key: Float[Tensor, "n d"]
    value: Float[Tensor, "n d"]
    sizes: Int[Tensor, " c"]
    mean_key: Float[Tensor, "c d"]
    mean_value: Float[Tensor, "c d"]


def cluster(
    points: Float[Tensor, "g n d"], centres: Float[Tensor, "g c d"], iterations: int, *, stride: int = 1
) -> tuple[Float[Tensor, "g c d"], Int[Tensor, "g n"]]:
    """Lloyd's algorithm from given centres: new centres, and for each point the nearest of them.

    The centres are means of each `stride`-th point. A cluster that loses all its points keeps its centre.
    """
    sample = points[:, ::stride]
    groups, tokens, features = sample.shape
    for _ in range(iterations):
        nearest = _nearest(sample, centres)
        sums = torch.zeros_like(centres).scatter_add_(1, nearest[:, :, None].expand(-1, -1, features), sample)
        sizes = points.new_zeros(groups, centres.shape[1]).scatter_add_(
            1, nearest, points.new_ones(1, 1).expand(groups, tokens)
        )
        centres = torch.where(sizes[:, :, None] > 0, sums / sizes[:, :, None].clamp(min=1), centres)
    return centres, _nearest(points, centres)


def first_centres(points: Float[Tensor, "g n d"], count: int) -> Float[Tensor, "g c d"]:
    """Every so many-th point."""
    return points[:, torch.arange(count, device=points.device) * points.shape[1] // count]


def clustered_attention(
    query: Float[Tensor, "g n d"],
    key: Float[Tensor, "g n d"],
    value: Float[Tensor, "g n d"],
    *,
    density: float,
    clusters: tuple[int, int],
    scale: float,
    iterations: int = 2,
    stride: int = 4,
    routing: Routing = "error",
    compensate: bool = True,
    start: Centroids | None = None,
    image: slice = slice(None),
) -> tuple[Float[Tensor, "g n d"], Centroids, Work]:
    """Attention of n tokens among themselves, of whose pairs the share `density`, in [0, 1], is exact.

    Without `compensate`, pairs that are not exact are dropped. `routing` by score takes the pairs of clusters with the
    highest attention of mean query to centroid. Groups do not influence each other. Tokens outside `image` are not
    clustered: they meet all tokens exactly, and all meet them.
    """
    groups, everything, features = query.shape
    picture, others = _split(query, image), _split(key, image)
    tokens = picture[0].shape[1]
    start = start or Centroids(first_centres(picture[0], clusters[0]), first_centres(others[0], clusters[1]))
    query_centres, query_label = cluster(picture[0], start.query, iterations, stride=stride)
    key_centres, key_label = cluster(others[0], start.key, iterations, stride=stride)
    sampled = len(range(0, tokens, stride))
    work = Work(overhead=2.0 * groups * (tokens + iterations * sampled) * features * sum(clusters))
    values = _split(value, image)
    rule = Rule(density=density, routing=routing, compensate=compensate, scale=scale)
    parts = [
        _one_group(
            picture[0][group], query_label[group], clusters[0],
            _key_clusters(others[0][group], values[0][group], key_label[group], clusters[1]),
            others[1][group], values[1][group], rule, work,
        )
        for group in range(groups)
    ]  # fmt: skip
    output = torch.empty_like(query)
    output[:, image] = torch.stack(parts)
    if tokens < everything:
        text = F.scaled_dot_product_attention(picture[1][None], key[None], value[None], scale=scale)[0]
        _split(output, image, into=text)
        work.attention += 4.0 * groups * (everything - tokens) * everything * features
    return output, Centroids(query_centres, key_centres), work


def _split(
    points: Float[Tensor, "g all d"], image: slice, into: Float[Tensor, "g text d"] | None = None
) -> tuple[Float[Tensor, "g n d"], Float[Tensor, "g text d"]]:
    """The tokens of the image, and those before or behind it, which are first set to `into` if it is given."""
    low, high, _ = image.indices(points.shape[1])
    text = slice(0, low) if low else slice(high, points.shape[1])
    if into is not None:
        points[:, text] = into
    return points[:, low:high], points[:, text]


def _key_clusters(
    key: Float[Tensor, "n d"], value: Float[Tensor, "n d"], label: Int[Tensor, " n"], clusters: int
) -> KeyClusters:
    order, sizes = label.argsort(stable=True), torch.bincount(label, minlength=clusters)
    key, value = key.index_select(0, order), value.index_select(0, order)
    return KeyClusters(key=key, value=value, sizes=sizes, mean_key=_means(key, sizes), mean_value=_means(value, sizes))


def _one_group(
    query: Float[Tensor, "n d"],
    label: Int[Tensor, " n"],
    clusters: int,
    keys: KeyClusters,
    text_key: Float[Tensor, "text d"],
    text_value: Float[Tensor, "text d"],
    rule: Rule,
    work: Work,
) -> Float[Tensor, "n d"]:
    """One head of one sample. Queries are put in the order of their clusters, and back at the end."""
    tokens, features = query.shape
    order, sizes = label.argsort(stable=True), torch.bincount(label, minlength=clusters)
    query = query.index_select(0, order)
    exact = route(_means(query, sizes), sizes, keys, rule, work)
    present = keys.sizes > 0
    stand_in = (~exact & present) if rule.compensate else torch.zeros_like(exact)
    stand_in |= ~exact[:, present].any(dim=1, keepdim=True) & present  # who would meet nothing meets the centroids
    always = torch.ones(len(exact), len(text_key), dtype=torch.bool, device=exact.device)
    met = torch.cat([always, exact.repeat_interleave(keys.sizes, dim=1), stand_in], dim=1)
    every_key = torch.cat([text_key, keys.key, keys.mean_key])
    every_value = torch.cat([text_value, keys.value, keys.mean_value])
    bias = torch.cat([query.new_zeros(len(text_key) + tokens), keys.sizes.clamp(min=1).to(query.dtype).log()])
    output, begin = torch.empty_like(query), 0
    for size, index in zip(sizes.tolist(), torch.split(met.nonzero()[:, 1], met.sum(dim=1).tolist()), strict=True):
        if size:
            output[begin : begin + size] = F.scaled_dot_product_attention(
                query[None, None, begin : begin + size],
                every_key.index_select(0, index)[None, None],
                every_value.index_select(0, index)[None, None],
                attn_mask=bias.index_select(0, index).expand(1, 1, size, -1),
                scale=rule.scale,
            )[0, 0]
            work.attention += 4.0 * size * len(index) * features
            begin += size
    work.pairs += float((sizes[:, None] * keys.sizes[None] * exact).sum())
    back = torch.empty_like(output)
    back[order] = output
    return back


def route(
    mean_query: Float[Tensor, "q d"], query_sizes: Int[Tensor, " q"], keys: KeyClusters, rule: Rule, work: Work
) -> Bool[Tensor, "q c"]:
    """Which pairs of clusters are met exactly.

    With p the attention of a mean query and o its output, what the centroid of cluster C gets wrong is to first order
    | sum over t in C of p_t (v_t - o) - |C| pbar (vbar - o) |. Pairs are taken by this over the cost |C|, as long as
    their sum stays within the density.
    """
    sizes, empty = keys.sizes.to(keys.key.dtype), keys.sizes == 0
    coarse = mean_query @ keys.mean_key.T * rule.scale
    work.overhead += 2.0 * mean_query.numel() * len(sizes)
    if rule.routing == "score":
        gain = torch.softmax(coarse + sizes.clamp(min=1).log(), dim=1).masked_fill(empty, 0) / sizes.clamp(min=1)
    else:
        weights = (mean_query * rule.scale) @ keys.key.T
        top = weights.amax(dim=1, keepdim=True)
        weights = weights.sub_(top).exp_()
        total = weights.sum(dim=1, keepdim=True)
        weights /= total
        work.overhead += 2.0 * mean_query.numel() * len(keys.key) * 2
        parts = keys.sizes.tolist()
        counted = torch.split(torch.cat([keys.value, sizes.new_ones(len(keys.value), 1)], dim=1), parts)
        by_part = zip(torch.split(weights, parts, dim=1), counted, strict=True)
        sums = torch.stack([part @ values for part, values in by_part], dim=1)
        values, masses = sums[:, :, :-1], sums[:, :, -1]
        outputs = values.sum(dim=1, keepdim=True)
        stand_in = (coarse - top).exp() / total * sizes
        wrong = values - masses[:, :, None] * outputs - stand_in[:, :, None] * (keys.mean_value[None] - outputs)
        gain = wrong.norm(dim=2) / sizes.clamp(min=1)
    cost = (query_sizes[:, None] * keys.sizes[None]).flatten().double()
    order = gain.masked_fill(empty, -1).flatten().argsort(descending=True, stable=True)
    spent = cost[order].cumsum(0)
    chosen = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    chosen[order] = spent <= rule.density * len(keys.key) * float(query_sizes.sum())
    return chosen.view(coarse.shape)


def _nearest(points: Float[Tensor, "g n d"], centres: Float[Tensor, "g c d"]) -> Int[Tensor, "g n"]:
    closeness = points @ centres.transpose(1, 2)
    closeness -= centres.square().sum(dim=2)[:, None] / 2
    return closeness.argmax(dim=2)


def _means(points: Float[Tensor, "n d"], sizes: Int[Tensor, " c"]) -> Float[Tensor, "c d"]:
    """Means of successive runs of points; 0 for an empty run."""
    label = torch.arange(len(sizes), device=points.device).repeat_interleave(sizes)
    sums = points.new_zeros(len(sizes), points.shape[1]).index_add_(0, label, points)
    return sums / sizes.clamp(min=1)[:, None].to(points.dtype)
