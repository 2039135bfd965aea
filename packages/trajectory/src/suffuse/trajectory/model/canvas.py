"""The canvas that trips are drawn on: topology-constrained sampling for any decoder of `suffuse.backbone.discrete`.

Whatever a decoder chooses to commit, what stands on the canvas can always be completed to a trip: a position is drawn
from the candidates that fit the committed segments on both sides and from where the destination is still in reach. Each
trip draws from its own stream of random numbers, so that its batch mates have no say in it.

Dimensions: b trips, n positions after the origin, w positions of a window, q masked positions, m candidates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from numba import njit
from numpy import ndarray
from torch import Tensor

from suffuse.trajectory.model.block_kernels import conclude, join
from suffuse.trajectory.model.cached_blocks import TOKENS, CachedBlocks, dense_type, plain
from suffuse.trajectory.model.candidates import Candidates, collect_candidates, grow_level
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.relations import (
    TOKEN_FEATURES,
    candidate_features,
    reach,
    token_features,
)
from suffuse.trajectory.model.route_choice import RouteChoice
from suffuse.trajectory.model.trajectory_model import PREFIX, TrajectoryModel
from suffuse.trajectory.what_if.pivot import Pivot

ROWS_AT_ONCE = 1024
"""Candidates are scored in parts of this many, the last one padded: equal shapes give equal rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """What the model computes once for a city."""

    model: TrajectoryModel
    city: CityFeatures
    roads: Float[Tensor, "s1 r"]
    placed: Float[Tensor, "s1 d"]
    scored: Float[Tensor, "s1 h"]
    blocks: CachedBlocks

    @cached_property
    def scored_(self) -> Float32[ndarray, "s1 h"]:
        """`scored`, for compiled functions."""
        return self.scored.numpy()

    @staticmethod
    @torch.no_grad()
    def of(model: TrajectoryModel, city: CityFeatures, dtype: torch.dtype | None = None) -> "Encoded":
        """Encode all segments of a city. `dtype` is that of the dense layers, by default what this processor likes."""
        roads = model.encode(city)
        return Encoded(
            model=model, city=city, roads=roads, placed=model.token_road(roads), scored=model.scorer.road(roads),
            blocks=CachedBlocks(model.transformer, dtype or dense_type()),
        )  # fmt: skip

    @torch.no_grad()
    def embed(
        self, segment: Int[ndarray, " k"], features: Float32[ndarray, "k f"], *, dropped: bool
    ) -> Float32[ndarray, "k d"]:
        """Tokens of committed segments (see `TrajectoryModel.embed`), each the same whatever the others are."""
        kept = torch.from_numpy(features)[:, None]

        def embedded(part: Tensor, place: Tensor) -> Tensor:
            return self.model.embed(self.placed, place, part, torch.full((len(part),), dropped))[:, 0]

        return in_parts(embedded, kept, torch.from_numpy(segment)[:, None]).numpy()


def in_parts(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """What a function makes of rows, `TOKENS` of them at a time, the last part padded with zeros."""
    count = len(rows[0])
    parts = []
    for first in range(0, count, TOKENS):
        taken = [values[first : first + TOKENS] for values in rows]
        missing = TOKENS - len(taken[0])
        parts.append(function(*(torch.cat([part, part.new_zeros(missing, *part.shape[1:])]) for part in taken)))
    return torch.cat(parts)[:count] if parts else function(*rows)


@njit(cache=True)
@no_type_check
def _fill(
    first: ndarray,
    trips: ndarray,
    tokens: ndarray,
    hidden: ndarray,
    known: ndarray,
    end: int,
    nothing: ndarray,
    over: ndarray,
    out: ndarray,
) -> None:
    """Hidden states of windows: what is `known` of a token, `nothing` where it is `hidden`, `over` for the end."""
    for row in range(len(trips)):
        trip = trips[row]
        for j in range(out.shape[1]):
            place = min(first[row] + j, tokens.shape[1] - 1)
            if hidden[trip, place]:
                out[row, j] = nothing
            elif tokens[trip, place] == end:
                out[row, j] = over
            else:
                out[row, j] = known[trip, place]


@njit(cache=True)
@no_type_check
def _softmax(
    logits: ndarray,
    start: ndarray,
    temperatures: ndarray,
    least: float,
    probability: ndarray,
    confidence: ndarray,
) -> None:
    for query in range(len(confidence)):
        temperature = temperatures[query]
        a, b = start[query], start[query + 1]
        top = a
        for i in range(a, b):
            if logits[i] > logits[top]:
                top = i
        if temperature <= 0:
            probability[a:b] = 0.0
            probability[top] = 1.0
        plain = 0.0
        for i in range(a, b):
            plain += np.exp(logits[i] - logits[top])
        if temperature > 0:
            total = 0.0
            for i in range(a, b):
                probability[i] = np.exp((logits[i] - logits[top]) / temperature)
                total += probability[i]
            for i in range(a, b):
                if probability[i] < least:  # the largest is 1 here
                    total -= probability[i]
                    probability[i] = 0.0
            probability[a:b] /= total
        confidence[query] = 1.0 / plain


@njit(cache=True)
@no_type_check
def _write(
    chosen: ndarray,
    force: bool,
    trip: ndarray,
    position: ndarray,
    start: ndarray,
    segment: ndarray,
    logits: ndarray,
    probability: ndarray,
    uniform: ndarray,
    tokens: ndarray,
    masked: ndarray,
    destination: ndarray,
    ptr: ndarray,
    adjacent: ndarray,
    end: int,
) -> None:
    """Draw and commit the chosen positions, each trip from left to right.

    What was committed in this call narrows what may follow in the same gap. A trip that draws anything but the
    likeliest segment stops there unless `force`: the other proposals were made without knowing of it.
    """
    stamp = np.full(end + 1, -1, np.int64)
    source, following = np.empty(end + 1, np.int32), np.empty(end + 1, np.int32)
    mark, query = 0, 0
    while query < len(trip):
        row = trip[query]
        written = -1
        surprised = False
        while query < len(trip) and trip[query] == row:
            here = position[query]
            if chosen[query] and masked[row, here] and not surprised:
                a, b = start[query], start[query + 1]
                narrowed = False
                if written >= 0:
                    gap = here - written
                    narrowed = True
                    for between in range(written + 1, here):
                        if not masked[row, between]:
                            narrowed = False  # a segment committed earlier stands between: it narrows already
                    if narrowed:
                        source[0] = tokens[row, written]
                        count = 1
                        for _ in range(gap):
                            mark += 1
                            count = grow_level(
                                ptr, adjacent, source, count, following, end, destination[row], True, stamp, mark
                            )
                            source, following = following, source
                total = 0.0
                best = -1
                for i in range(a, b):
                    if narrowed and stamp[segment[i]] != mark:
                        continue
                    total += probability[i]
                    if best < 0 or logits[i] > logits[best]:
                        best = i
                pick = best
                if total > 0:
                    left = uniform[row, here] * total
                    for i in range(a, b):
                        if (narrowed and stamp[segment[i]] != mark) or probability[i] <= 0:
                            continue
                        pick = i
                        left -= probability[i]
                        if left < 0:
                            break
                tokens[row, here] = segment[pick]
                masked[row, here] = False
                written = here
                if pick != best and not force:
                    surprised = True
                if segment[pick] == end:
                    tokens[row, here:] = end
                    masked[row, here:] = False
            query += 1


class RoadCanvas:
    """b trips being filled in. See `suffuse.backbone.discrete.Canvas` for what a decoder asks of it.

    Args:
        encoded: model and city.
        origin, destination, hour: the requests.
        hops: transitions from every segment to each trip's destination.
        limit: the last position a trip's destination may take; position 0 is the origin.
        uniform: random numbers in [0, 1), one for each position of each trip, position 0 unused.
        temperature: of each trip: 1 samples what was learned; below it sharpens; 0 takes the likeliest.
        least: candidates less probable than this share of the likeliest one are never drawn ("min-p" sampling).
        leftmost: count a position beside its left neighbour as sure, so that a decoder takes it first.
        guidance: w of classifier-free guidance, logits = (1 + w) conditional - w unconditional; 0 for none.
        route_choice: what a recursive logit says on the way to these destinations, or None.
        weight: how many times its log-probabilities are added to those of the model, which speaks for both where the
            recursive logit is silent and was not known in training.
        chunk: final positions are cached this many at a time, however many are final: equal shapes again.
        lead: the most final positions that a decoder leaves uncached before a window: `chunk` - 1, more if it delays; 0
            for a decoder whose windows are the chunks.
        window: the widest window that a decoder asks for.
    """

    def __init__(
        self,
        encoded: Encoded,
        origin: Int[ndarray, " b"],
        destination: Int[ndarray, " b"],
        hour: Float[ndarray, " b"],
        hops: Int[ndarray, "b s"],
        limit: Int[ndarray, " b"],
        uniform: Float[ndarray, "b n1"],
        *,
        temperature: Float[ndarray, " b"],
        least: float = 0.0,
        guidance: float = 0.0,
        route_choice: RouteChoice | None = None,
        weight: float = 1.0,
        leftmost: bool = True,
        chunk: int = 8,
        lead: int = 7,
        window: int = 16,
    ) -> None:
        self.encoded, self.city, self.model = encoded, encoded.city, encoded.model
        self.destination, self.hops, self.limit, self.uniform = destination, hops, limit, uniform
        self.temperature, self.least, self.guidance = temperature, least, guidance
        self.route_choice, self.weight = route_choice, np.float32(weight)
        self.chunk, self.lead, self.window, self.leftmost = chunk, lead, window, leftmost
        batch, length = uniform.shape
        self.end = len(self.city.network)
        self.tokens = np.full((batch, length), self.end, dtype=np.int64)
        self.tokens[:, 0] = origin
        self.open = np.arange(length) <= (limit[:, None] + 1)  # one more position for the end itself
        self.open[:, 0] = False
        self.row = np.arange(batch)
        self.costs = self.city.costs_to_go(destination, origin)
        self.pivot, self.pivot_of_speeds = Pivot.needed(self.city, destination, also_speeds=route_choice is not None)
        self.about = np.zeros((batch, length, TOKEN_FEATURES), dtype=np.float32)
        self.about[:, :, 0] = 1.0  # nothing but the end stands where no segment may: see `token_features`
        self.branches = (False, True) if guidance else (False,)
        width = self.model.config["width"]
        self.known = [np.zeros((batch, length, width), dtype=np.float32) for _ in self.branches]
        no_features = self.about[:1, 0].copy()
        self.over = [encoded.embed(np.array([self.end]), no_features, dropped=dropped)[0] for dropped in self.branches]
        self._describe(self.row, np.zeros(batch, dtype=np.int64))
        self.origin, self.target = torch.from_numpy(origin), torch.from_numpy(destination)
        self.hour = torch.from_numpy(hour.astype(np.float32))
        self.log_time = np.zeros((batch, length), dtype=np.float32)
        self.spread = np.zeros((batch, length), dtype=np.float32)
        self.cached = torch.zeros(batch, dtype=torch.long)
        self.forget()

    @property
    def masked(self) -> Bool[Tensor, "b n"]:
        """True where no segment is committed yet; position 0 of the answer is the one after the origin."""
        return torch.from_numpy(self.open[:, 1:])

    @torch.no_grad()
    def forget(self) -> None:
        """Start from empty caches: what was settled is computed again by the next `settle`."""
        batch, length = self.tokens.shape
        self.cached = torch.zeros_like(self.cached)
        blocks = self.encoded.blocks
        self.caches = []
        for dropped in self.branches:

            def prefix(origin: Tensor, about: Tensor, target: Tensor, hour: Tensor, dropped: bool = dropped) -> Tensor:
                flags = torch.full((len(origin),), dropped)
                return self.model.prefix(self.encoded.roads, self.encoded.placed, origin, about, target, hour, flags)

            hidden = in_parts(prefix, self.origin, torch.from_numpy(self.about[:, 0]), self.target, self.hour).numpy()
            cache = blocks.new_cache(batch, PREFIX + length + self.lead + max(self.window, self.chunk))
            self.caches.append(cache)
            size = blocks.trips_at_once(PREFIX)
            for begin in range(0, batch, size):
                trips = self.row[begin : begin + size]
                there = blocks.extend(hidden[trips], cache, trips, np.zeros_like(trips))
                if not dropped:
                    self._note_time(there[:, -1:], trips, np.zeros_like(trips))

    def _describe(self, trip: Int[ndarray, " k"], position: Int[ndarray, " k"]) -> None:
        """Compute the features of tokens that have just been committed."""
        segment = self.tokens[trip, position]
        self.about[trip, position] = token_features(self.city, segment, self.destination[trip], trip, self.costs)
        there = segment != self.end
        trip, position = trip[there], position[there]
        for known, dropped in zip(self.known, self.branches, strict=True):
            known[trip, position] = self.encoded.embed(segment[there], self.about[trip, position], dropped=dropped)

    def _note_time(
        self, hidden: Float32[ndarray, "r w d"], rows: Int[ndarray, " r"], first: Int[ndarray, " r"]
    ) -> None:
        """Read the travel times of some trips' tokens off their hidden states; `first` is the leftmost's place."""
        count, width, _ = hidden.shape
        tokens = torch.from_numpy(hidden).flatten(0, 1)
        times = in_parts(lambda part: torch.stack(self.model.travel_time(part), dim=1), tokens)
        mean, spread = times.numpy().T.reshape(2, count, width)
        place = first[:, None] + np.arange(width)
        inside = place < self.tokens.shape[1]
        trip = np.broadcast_to(rows[:, None], place.shape)[inside]
        self.log_time[trip, place[inside]] = mean[inside]
        self.spread[trip, place[inside]] = spread[inside]

    def _run(
        self, trips: Int[ndarray, " r"], width: int, final: Int[ndarray, " b"], branch: int, *, keep: bool
    ) -> Float32[ndarray, "r w d"]:
        """Run the transformer on `width` positions behind the cached ones of some trips.

        Of each trip the first `final` ones are final and do not look at the others. With `keep` all are final, and
        their keys and values stay in the cache once they are counted as cached.
        """
        blocks, length = self.encoded.blocks, self.tokens.shape[1]
        nothing = plain(self.model.mask_token)
        out = np.empty((len(trips), width, len(nothing)), dtype=np.float32)
        cached = self.cached.numpy()
        size = blocks.trips_at_once(width)
        for begin in range(0, len(trips), size):
            rows = trips[begin : begin + size]
            first = cached[rows] + 1
            hidden = out[begin : begin + size]
            _fill(
                first, rows, self.tokens, self.open, self.known[branch], self.end, nothing, self.over[branch], hidden
            )  # fmt: skip
            ragged = {}
            if self.lead > 0 and not keep:
                there = np.minimum(length - first, final[rows] + width - self.lead)
                ragged = {"seen": there.clip(0, width), "final": final[rows]}
            hidden[:] = blocks.extend(hidden, self.caches[branch], rows, PREFIX + cached[rows], **ragged)
        return out

    @torch.no_grad()
    def settle(self, stop: Int[Tensor, " b"]) -> None:
        """Positions before `stop` are final: keep their keys and values, and read off their travel times.

        A trip's positions are cached by whole chunks; what is left of a finished trip is cached with the end behind it.
        """
        over = torch.from_numpy((self.tokens == self.end).argmax(axis=1) - 1)
        while True:
            finished = ~self.masked.any(dim=1)
            due = torch.where(finished, stop.minimum(over), stop) - self.cached
            ready = (due >= self.chunk) | (finished & (due > 0))
            if not ready.any():
                return
            trips = ready.numpy().nonzero()[0]
            for branch, dropped in enumerate(self.branches):
                hidden = self._run(trips, self.chunk, due.numpy(), branch, keep=True)
                if not dropped:
                    self._note_time(hidden, trips, self.cached.numpy()[trips] + 1)
            self.cached = self.cached + self.chunk * ready

    @torch.no_grad()
    def propose(self, start: Int[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
        """Score the candidates of every masked position of the window; returns the largest probability of each."""
        start = torch.where(self.masked.any(dim=1), start, self.cached)
        total = self.lead + width
        place = (start[:, None] + torch.arange(width) + 1).numpy()
        in_window = np.zeros_like(self.open)
        inside = place < self.open.shape[1]
        rows = np.broadcast_to(self.row[:, None], place.shape)
        in_window[rows[inside], place[inside]] = True
        asked, block = self.open & in_window, in_window.astype(np.int64)
        candidates = collect_candidates(
            self.city.network, self.tokens, asked, block, self.destination,
            hops=self.hops, hops_row=self.row, limit=self.limit,
        )  # fmt: skip
        reach(self.city, candidates.row, candidates.start, candidates.segment, self.destination, self.costs)
        features = candidate_features(
            self.city, candidates, self.tokens, self.open, block, self.destination, self.row, self.costs
        )
        trips = np.unique(candidates.row)
        flat = (
            np.searchsorted(trips, candidates.row) * total
            + candidates.position
            - 1
            - self.cached.numpy()[candidates.row]
        )
        logits = np.zeros(len(candidates.segment), dtype=np.float32)
        weights = (1 + self.guidance, -self.guidance) if self.guidance else (1.0,)
        for branch, (dropped, weight) in enumerate(zip(self.branches, weights, strict=True)):
            hidden = self._run(trips, total, (start - self.cached).numpy(), branch, keep=False)
            asked_of = hidden.reshape(-1, hidden.shape[2])[flat]
            logits += weight * self._score(asked_of, candidates, features, dropped=dropped)
        temperature = self.temperature[candidates.row]
        if self.pivot is not None:
            logits += self.pivot.log_odds(candidates)
        if self.route_choice is not None:
            logits += self.weight * self.route_choice.log_odds(candidates)
            if self.pivot_of_speeds is not None:
                spoken = np.repeat(self.route_choice.speaks(candidates), np.diff(candidates.start))
                logits += self.weight * self.pivot_of_speeds.log_odds(candidates) * spoken
            if not self.route_choice.learned_beside:
                alone = temperature / (1 + self.weight)
                temperature = np.where(self.route_choice.speaks(candidates), temperature, alone)
        probability = np.empty_like(logits)
        sure = np.empty(len(candidates), dtype=np.float32)
        _softmax(logits, candidates.start, temperature, self.least, probability, sure)
        self.proposal = (candidates, logits, probability, start.numpy())
        confidence = np.zeros((len(self.tokens), width), dtype=np.float32)
        if self.leftmost:  # a position beside its left neighbour is always the surest
            sure[candidates.left_gap == 1] = 1.0
        confidence[candidates.row, candidates.position - 1 - start.numpy()[candidates.row]] = sure
        return torch.from_numpy(confidence)

    def _score(
        self,
        hidden: Float32[ndarray, "q d"],
        candidates: Candidates,
        features: Float32[ndarray, "m f"],
        *,
        dropped: bool,
    ) -> Float32[ndarray, " m"]:
        """Logits of candidates: the same as those of `CandidateScorer`."""
        scorer = self.model.scorer
        query = in_parts(scorer.query, torch.from_numpy(hidden)).numpy()
        if dropped:
            features = features * self.model.candidate_kept.numpy()
        direct, last, bias = (plain(w) for w in (scorer.direct.weight[0], scorer.score.weight[0], scorer.mix.bias))
        logits = np.empty(len(features), dtype=np.float32)
        group = np.repeat(np.arange(len(hidden)), np.diff(candidates.start))
        table = torch.zeros(ROWS_AT_ONCE, features.shape[1])
        relation, mixed = (torch.empty(ROWS_AT_ONCE, len(bias)) for _ in range(2))
        for first in range(0, len(features), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            count = len(logits[part])
            table[:count] = torch.from_numpy(features[part])
            torch.mm(table, scorer.relation.weight.T, out=relation)
            join(relation.numpy(), query, group[part], self.encoded.scored_, candidates.segment[part])
            torch.mm(relation, scorer.mix.weight.T, out=mixed)
            conclude(mixed.numpy(), bias, last, features[part], direct, logits[part])
        return logits

    def write(self, routes: Sequence[Int[ndarray, " _"]]) -> None:
        """Commit whole trips, each from its origin to its destination, in place of drawing them."""
        self.open[:] = False
        for trip, route in enumerate(routes):
            self.tokens[trip, : len(route)] = route
            self.tokens[trip, len(route) :] = self.end
        trips, position = np.nonzero(self.tokens != self.end)
        reach(
            self.city, trips, np.arange(len(trips) + 1), self.tokens[trips, position], self.destination, self.costs
        )  # fmt: skip
        self._describe(trips, position)

    def commit(self, chosen: Bool[Tensor, "b w"], *, all_of_them: bool) -> None:
        """Draw the chosen positions of the last proposal and write them."""
        candidates, logits, probability, start = self.proposal
        picked = chosen.numpy()[candidates.row, candidates.position - 1 - start[candidates.row]]
        before = self.open.copy()
        ahead = self.city.network.successors
        _write(
            picked, all_of_them, candidates.row, candidates.position, candidates.start, candidates.segment, logits,
            probability, self.uniform, self.tokens, self.open, self.destination, ahead.indptr, ahead.indices, self.end,
        )  # fmt: skip
        trip, position = np.nonzero(before & ~self.open)
        self._describe(trip, position)
