"""The canvas that trips are drawn on: topology-constrained sampling for any decoder of `suffuse.backbone.discrete`.

Whatever a decoder chooses to commit, what stands on the canvas can always be completed to a trip: a position is drawn
from the candidates that fit the committed segments on both sides and from where the destination is still in reach. Each
trip draws from its own stream of random numbers, so that its batch mates have no say in it.

Dimensions: b trips, n positions after the origin, w positions of a window, q masked positions, m candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import njit
from numpy import ndarray
from torch import Tensor

from suffuse.backbone.models.block_transformer import KeyValueCache
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

ROWS = 32
"""Trips that the transformer sees together: always so many, the last filled up with copies. Equal shapes give equal
rounding, so a trip is the same whoever else was asked for."""

ROWS_APART = 8
"""The same for a decoder with a window for each trip, where few trips have equally much in the cache."""

ROWS_AT_ONCE = 1024
"""Candidates are scored in parts of this many, the last one padded, for the same reason."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """What the model computes once for a city."""

    model: TrajectoryModel
    city: CityFeatures
    roads: Float[Tensor, "s1 r"]
    placed: Float[Tensor, "s1 d"]
    scored: Float[Tensor, "s1 h"]

    @staticmethod
    @torch.no_grad()
    def of(model: TrajectoryModel, city: CityFeatures) -> "Encoded":
        """Encode all segments of a city."""
        roads = model.encode(city)
        return Encoded(
            model=model, city=city, roads=roads, placed=model.token_road(roads), scored=model.scorer.road(roads)
        )  # fmt: skip


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


def padded_parts(hidden: Float[Tensor, "r w d"]) -> list[Float[Tensor, "p w d"]]:
    """Parts of `ROWS` rows each, the last one padded with zeros."""
    missing = -len(hidden) % ROWS
    return list(torch.split(torch.cat([hidden, hidden.new_zeros(missing, *hidden.shape[1:])]), ROWS))


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
        self.rows = ROWS if lead == 0 else ROWS_APART
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
        branches = 2 if self.guidance else 1
        batch, length = self.tokens.shape
        self.caches = [
            self.model.new_cache(batch, PREFIX + length + self.lead + max(self.window, self.chunk))
            for _ in range(branches)
        ]
        self.cached = torch.zeros_like(self.cached)
        everyone = np.arange(batch)
        for cache, dropped in zip(self.caches, (False, True), strict=False):
            for begin in range(0, batch, ROWS):
                rows = torch.from_numpy(np.resize(everyone[begin : begin + ROWS], ROWS))
                prefix = self.model.prefix(
                    self.encoded.roads, self.encoded.placed, self.origin[rows],
                    torch.from_numpy(self.about[rows.numpy(), 0]),
                    self.target[rows], self.hour[rows], torch.full((ROWS,), dropped),
                )  # fmt: skip
                part = self.model.new_cache(ROWS, PREFIX)
                hidden = self.model.transformer.extend(prefix, torch.arange(PREFIX).expand(ROWS, -1), part)
                count = min(ROWS, batch - begin)
                self._keep(cache, part, rows[:count])
                if not dropped:
                    self._note_time(hidden[:count, -1:], rows.numpy()[:count], np.zeros(count, dtype=np.int64))
            cache.advance(torch.full((batch,), PREFIX))

    def _describe(self, trip: Int[ndarray, " k"], position: Int[ndarray, " k"]) -> None:
        """Compute the features of tokens that have just been committed."""
        segment = self.tokens[trip, position]
        self.about[trip, position] = token_features(self.city, segment, self.destination[trip], trip, self.costs)

    def _note_time(self, hidden: Float[Tensor, "r w d"], rows: Int[ndarray, " r"], first: Int[ndarray, " r"]) -> None:
        """Read the travel times of some trips' tokens off their hidden states; `first` is the leftmost's place."""
        mean, spread = (
            torch.cat(parts)[: len(rows)]
            for parts in zip(*(self.model.travel_time(part) for part in padded_parts(hidden)), strict=True)
        )
        place = first[:, None] + np.arange(hidden.shape[1])
        inside = place < self.tokens.shape[1]
        trip = np.broadcast_to(rows[:, None], place.shape)[inside]
        self.log_time[trip, place[inside]] = mean.numpy()[inside]
        self.spread[trip, place[inside]] = spread.numpy()[inside]

    def _run(
        self,
        trips: Int[ndarray, " r"],
        width: int,
        final: Int[ndarray, " b"],
        cache: KeyValueCache,
        *,
        dropped: bool,
        keep: bool,
    ) -> Float[Tensor, "r w d"]:
        """Run the transformer on `width` positions behind the cached ones of some trips, `self.rows` at a time.

        Of each trip the first `final` ones are final and do not look at the others. With `keep` all are final, and
        their keys and values go to the cache. Only trips with equally much in the cache run together: the number of
        keys, hidden ones included, decides how sums are rounded.
        """
        out = torch.empty(len(trips), width, self.model.config["width"])
        cached = self.cached.numpy()[trips]
        alike = [np.flatnonzero(cached == count) for count in np.unique(cached)]
        for group in [part[i : i + self.rows] for part in alike for i in range(0, len(part), self.rows)]:
            rows = np.resize(trips[group], self.rows)
            index = torch.from_numpy(rows)
            filled = int(cache.length[index[0]]) + width
            part = KeyValueCache(
                keys=[keys[:, :, :filled].index_select(0, index) for keys in cache.keys],
                values=[values[:, :, :filled].index_select(0, index) for values in cache.values],
                length=cache.length[index],
            )
            place = (self.cached[index, None] + torch.arange(width) + 1).numpy()
            inside = (place < self.tokens.shape[1]) & (np.arange(width) < (final[rows] + width - self.lead)[:, None])
            place = place.clip(max=self.tokens.shape[1] - 1)
            hidden = self.model.embed(
                self.encoded.placed, torch.from_numpy(self.tokens[rows[:, None], place]),
                torch.from_numpy(self.about[rows[:, None], place]), torch.full((self.rows,), dropped),
            )  # fmt: skip
            hidden = torch.where(
                torch.from_numpy(self.open[rows[:, None], place])[..., None], self.model.mask_token, hidden
            )
            ragged = self.lead > 0 and not keep
            hidden = self.model.transformer.extend(
                hidden, self.cached[index, None] + torch.arange(width) + PREFIX, part,
                valid=torch.from_numpy(inside) if ragged else None,
                final=torch.from_numpy(final[rows]) if ragged else None,
            )  # fmt: skip
            out[torch.from_numpy(group)] = hidden[: len(group)]
            if keep:
                self._keep(cache, part, index[: len(group)])
        return out

    @staticmethod
    def _keep(cache: KeyValueCache, part: KeyValueCache, rows: Int[Tensor, " r"]) -> None:
        """Copy what was computed for some trips back to the cache of all."""
        for whole, piece in zip((*cache.keys, *cache.values), (*part.keys, *part.values), strict=True):
            whole[rows, :, : piece.shape[2]] = piece[: len(rows)]

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
            for cache, dropped in zip(self.caches, (False, True), strict=False):
                hidden = self._run(trips, self.chunk, due.numpy(), cache, dropped=dropped, keep=True)
                cache.advance(self.chunk * ready)
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
        for cache, dropped, weight in zip(self.caches, (False, True), weights, strict=False):
            hidden = self._run(trips, total, (start - self.cached).numpy(), cache, dropped=dropped, keep=False)
            logits += weight * self._score(hidden, flat, candidates, features, dropped=dropped)
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
        hidden: Float[Tensor, "r w d"],
        flat: Int[ndarray, " q"],
        candidates: Candidates,
        features: Float[ndarray, "m f"],
        *,
        dropped: bool,
    ) -> Float[ndarray, " m"]:
        scorer = self.model.scorer
        query = torch.cat([scorer.query(part) for part in padded_parts(hidden)]).flatten(0, 1)
        group = np.repeat(flat, np.diff(candidates.start))
        count = len(candidates.segment)
        padded = -(-count // ROWS_AT_ONCE) * ROWS_AT_ONCE
        segment = torch.from_numpy(np.resize(candidates.segment, padded).astype(np.int64))
        groups = torch.from_numpy(np.resize(group, padded))
        table = torch.zeros(padded, features.shape[1])
        table[:count] = torch.from_numpy(features)
        if dropped:
            table *= self.model.candidate_kept
        logits = torch.empty(padded)
        for first in range(0, padded, ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            logits[part] = scorer.combine(query[groups[part]], self.encoded.scored[segment[part]], table[part])
        return logits[:count].numpy()

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
