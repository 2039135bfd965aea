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
class Plan:
    """Who meets whom in one group.

    Attributes:
        query_order: The queries in the order of their clusters.
        query_sizes: Queries of each cluster.
        key_order: The keys in the order of their clusters.
        key_label: The cluster of each key.
        key_sizes: Keys of each cluster.
        met: For each cluster of queries, what they meet: places among the text, the keys in their order, the centroids.
        pairs: How many pairs of tokens are exact.
    """

    query_order: Int[Tensor, " n"]
    query_sizes: tuple[int, ...]
    key_order: Int[Tensor, " n"]
    key_label: Int[Tensor, " n"]
    key_sizes: Int[Tensor, " c"]
    met: tuple[Tensor, ...]
    pairs: float


@dataclass
class Centroids:
    """Clusters of an earlier call: their centres, to start from, and the plans made of them, to be taken over."""

    query: Float[Tensor, "g q d"]
    key: Float[Tensor, "g c d"]
    plans: tuple[Plan, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeyClusters:
    """Keys and values of one group: first the text's, then the image's in the order of their clusters, last the means
    of the clusters; and of each cluster its size."""

    every_key: Float[Tensor, "all d"]
    every_value: Float[Tensor, "all d"]
    text: int
    sizes: Int[Tensor, " c"]

    def of_image(self, every: Float[Tensor, "all d"]) -> Float[Tensor, "n d"]:
        """The part of `every_key` or `every_value` that is of the image's tokens."""
        return every[self.text : len(every) - len(self.sizes)]

    def means(self, every: Float[Tensor, "all d"]) -> Float[Tensor, "c d"]:
        """The part that is of the clusters; 0 for an empty one."""
        return every[len(every) - len(self.sizes) :]


def cluster(
    points: Float[Tensor, "g n d"], centres: Float[Tensor, "g c d"], iterations: int, *, stride: int = 1
) -> tuple[Float[Tensor, "g c d"], Int[Tensor, "g n"]]:
    """Lloyd's algorithm from given centres: new centres, and for each point the nearest of them.

    The centres are means of each `stride`-th point. A cluster that loses all its points keeps its centre.
    """
    sample = points[:, ::stride].contiguous()
    groups, count, features = centres.shape
    first = count * torch.arange(groups, device=points.device)[:, None]  # of the clusters of each group among all
    for _ in range(iterations):
        nearest = (_nearest(sample, centres) + first).flatten()
        sizes = torch.bincount(nearest, minlength=groups * count)
        means = _means(sample.flatten(0, 1), nearest, sizes).view(groups, count, features)
        centres = torch.where(sizes.view(groups, count, 1) > 0, means, centres)
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
    keep: bool = False,
    image: slice = slice(None),
) -> tuple[Float[Tensor, "g n d"], Centroids, Work]:
    """Attention of n tokens among themselves, of whose pairs the share `density`, in [0, 1], is exact.

    Without `compensate`, pairs that are not exact are dropped. `routing` by score takes the pairs of clusters with the
    highest attention of mean query to centroid. Groups do not influence each other. Tokens outside `image` are not
    clustered: they meet all tokens exactly, and all meet them. With `keep` the clusters of `start` and what they meet
    are taken over, if there are any for as many tokens; only the centroids are new.
    """
    groups, everything, features = query.shape
    picture, others = _split(query, image), _split(key, image)
    tokens = picture[0].shape[1]
    values, work = _split(value, image), Work()
    rule = Rule(density=density, routing=routing, compensate=compensate, scale=scale)
    start = start or Centroids(first_centres(picture[0], clusters[0]), first_centres(others[0], clusters[1]))
    plans = start.plans if keep and start.plans and len(start.plans[0].key_label) == tokens else ()
    if not plans:
        query_centres, query_label = cluster(picture[0], start.query, iterations, stride=stride)
        key_centres, key_label = cluster(others[0], start.key, iterations, stride=stride)
        sampled = len(range(0, tokens, stride))
        work.overhead += 2.0 * groups * (tokens + iterations * sampled) * features * sum(clusters)
    output = torch.empty_like(query)
    made = []
    for group in range(groups):
        if plans:
            plan = plans[group]
            order, label, sizes = plan.key_order, plan.key_label, plan.key_sizes
        else:
            label = key_label[group]
            order, sizes = label.argsort(stable=True), torch.bincount(label, minlength=clusters[1])
        keys = _key_clusters(
            others[0][group], values[0][group], order, label, sizes, others[1][group], values[1][group]
        )
        if not plans:
            plan = _plan(picture[0][group], query_label[group], clusters[0], keys, order, label, rule, work)
        made.append(plan)
        _attend(picture[0][group], keys, plan, rule, work, output[group, image])
    if not plans:
        start = Centroids(query_centres, key_centres, tuple(made))
    if tokens < everything:
        text = F.scaled_dot_product_attention(picture[1][None], key[None], value[None], scale=scale)[0]
        _split(output, image, into=text)
        work.attention += 4.0 * groups * (everything - tokens) * everything * features
    return output, start, work


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
    key: Float[Tensor, "n d"],
    value: Float[Tensor, "n d"],
    order: Int[Tensor, " n"],
    label: Int[Tensor, " n"],
    sizes: Int[Tensor, " c"],
    text_key: Float[Tensor, "text d"],
    text_value: Float[Tensor, "text d"],
) -> KeyClusters:
    (tokens, features), text = key.shape, len(text_key)
    every_key, every_value = (part.new_empty(text + tokens + len(sizes), features) for part in (key, value))
    for every, of_text, of_image in ((every_key, text_key, key), (every_value, text_value, value)):
        every[:text] = of_text
        torch.index_select(of_image, 0, order, out=every[text : text + tokens])
        every[text + tokens :] = _means(of_image, label, sizes)
    return KeyClusters(every_key=every_key, every_value=every_value, text=text, sizes=sizes)


def _plan(
    query: Float[Tensor, "n d"],
    query_label: Int[Tensor, " n"],
    clusters: int,
    keys: KeyClusters,
    key_order: Int[Tensor, " n"],
    key_label: Int[Tensor, " n"],
    rule: Rule,
    work: Work,
) -> Plan:
    """Route one head of one sample."""
    sizes = torch.bincount(query_label, minlength=clusters)
    exact = route(_means(query, query_label, sizes), sizes, keys, rule, work)
    present = keys.sizes > 0
    stand_in = (~exact & present) if rule.compensate else torch.zeros_like(exact)
    stand_in |= ~exact[:, present].any(dim=1, keepdim=True) & present  # who would meet nothing meets the centroids
    always = torch.ones(clusters, keys.text, dtype=torch.bool, device=exact.device)
    met = torch.cat([always, exact.index_select(1, key_label.index_select(0, key_order)), stand_in], dim=1)
    places = met.flatten().nonzero()[:, 0] % met.shape[1]
    return Plan(
        query_order=query_label.argsort(stable=True),
        query_sizes=tuple(sizes.tolist()),
        key_order=key_order,
        key_label=key_label,
        key_sizes=keys.sizes,
        met=torch.split(places, met.sum(dim=1).tolist()),
        pairs=float((sizes[:, None] * keys.sizes[None] * exact).sum()),
    )


def _attend(
    query: Float[Tensor, "n d"],
    keys: KeyClusters,
    plan: Plan,
    rule: Rule,
    work: Work,
    output: Float[Tensor, "n d"],
) -> None:
    """One head of one sample, into `output`. Queries are put in the order of their clusters, and back at the end."""
    features, begin = query.shape[1], 0
    counted = keys.sizes.clamp(min=1).to(query.dtype).log()
    bias = torch.cat([query.new_zeros(len(keys.every_key) - len(counted)), counted])
    query = query.index_select(0, plan.query_order)
    rows = torch.empty_like(query)
    for size, places in zip(plan.query_sizes, plan.met, strict=True):
        if size:
            rows[begin : begin + size] = F.scaled_dot_product_attention(
                query[None, None, begin : begin + size],
                keys.every_key.index_select(0, places)[None, None],
                keys.every_value.index_select(0, places)[None, None],
                attn_mask=bias.index_select(0, places).expand(1, 1, size, -1),
                scale=rule.scale,
            )[0, 0]
            work.attention += 4.0 * size * len(places) * features
            begin += size
    work.pairs += plan.pairs
    output.index_copy_(0, plan.query_order, rows)


def route(
    mean_query: Float[Tensor, "q d"], query_sizes: Int[Tensor, " q"], keys: KeyClusters, rule: Rule, work: Work
) -> Bool[Tensor, "q c"]:
    """Which pairs of clusters are met exactly.

    With p the attention of a mean query and o its output, what the centroid of cluster C gets wrong is to first order
    | sum over t in C of p_t (v_t - o) - |C| pbar (vbar - o) |. Pairs are taken by this over the cost |C|, as long as
    their sum stays within the density.
    """
    key, value = keys.of_image(keys.every_key), keys.of_image(keys.every_value)
    sizes, empty = keys.sizes.to(key.dtype), keys.sizes == 0
    coarse = mean_query @ keys.means(keys.every_key).T * rule.scale
    work.overhead += 2.0 * mean_query.numel() * len(sizes)
    if rule.routing == "score":
        gain = torch.softmax(coarse + sizes.clamp(min=1).log(), dim=1).masked_fill(empty, 0) / sizes.clamp(min=1)
    else:
        weights = (mean_query * rule.scale) @ key.T
        total = weights.logsumexp(dim=1, keepdim=True)
        weights = weights.sub_(total).exp_()
        work.overhead += 2.0 * mean_query.numel() * len(key) * 2
        parts = keys.sizes.tolist()
        counted = torch.split(torch.cat([value, sizes.new_ones(len(value), 1)], dim=1), parts)
        by_part = zip(torch.split(weights, parts, dim=1), counted, strict=True)
        sums = torch.stack([part @ values for part, values in by_part], dim=1)
        values, masses = sums[:, :, :-1], sums[:, :, -1]
        outputs = values.sum(dim=1, keepdim=True)
        stand_in = (coarse - total).exp() * sizes
        wrong = (
            values
            - masses[:, :, None] * outputs
            - stand_in[:, :, None] * (keys.means(keys.every_value)[None] - outputs)
        )
        gain = wrong.norm(dim=2) / sizes.clamp(min=1)
    cost = (query_sizes[:, None] * keys.sizes[None]).flatten().double()
    order = gain.masked_fill(empty, -1).flatten().argsort(descending=True, stable=True)
    spent = cost[order].cumsum(0)
    chosen = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    chosen[order] = spent <= rule.density * len(key) * float(query_sizes.sum())
    return chosen.view(coarse.shape)


def _nearest(points: Float[Tensor, "g n d"], centres: Float[Tensor, "g c d"]) -> Int[Tensor, "g n"]:
    size = centres.square().sum(dim=2)[:, None] / -2
    return torch.baddbmm(size, points, centres.transpose(1, 2)).argmax(dim=2)


def _means(points: Float[Tensor, "n d"], label: Int[Tensor, " n"], sizes: Int[Tensor, " c"]) -> Float[Tensor, "c d"]:
    """Means of clusters; 0 for an empty one."""
    sums = points.new_zeros(len(sizes), points.shape[1]).index_add_(0, label, points)
    return sums / sizes.clamp(min=1)[:, None].to(points.dtype)
