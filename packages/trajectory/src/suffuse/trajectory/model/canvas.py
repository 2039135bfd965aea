"""The canvas that trips are drawn on: topology-constrained sampling for any decoder of `suffuse.backbone.discrete`.

Whatever a decoder chooses to commit, what stands on the canvas can always be completed to a trip: each position is drawn
from the candidates that fit the committed segments on both sides and from where the destination is still in reach. Each
trip draws from its own stream of random numbers, so that its batch mates have no say in it.

Dimensions: b trips, n positions after the origin, w positions of a window, q masked positions, m candidates.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numba import njit
from numpy import ndarray
from torch import Tensor

from suffuse.backbone.models.block_transformer import KeyValueCache
from suffuse.trajectory.model.candidates import Candidates, collect_candidates, grow_level
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.relations import candidate_features, token_features
from suffuse.trajectory.model.trajectory_model import PREFIX, TrajectoryModel

ROWS_AT_ONCE = 1024
"""Candidates are scored in parts of this many rows, the last one padded: equal shapes give equal rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """What the model computes once for a city."""

    model: TrajectoryModel
    city: CityFeatures
    roads: Float[Tensor, "s1 r"]
    scored: Float[Tensor, "s1 h"]

    @staticmethod
    @torch.no_grad()
    def of(model: TrajectoryModel, city: CityFeatures) -> "Encoded":
        """Encode all segments of a city."""
        roads = model.encode(city)
        return Encoded(model=model, city=city, roads=roads, scored=model.scorer.road(roads))


@njit(cache=True)
def _softmax(logits: ndarray, start: ndarray, temperature: float, probability: ndarray, confidence: ndarray) -> None:
    for query in range(len(confidence)):
        a, b = start[query], start[query + 1]
        top = a
        for i in range(a, b):
            if logits[i] > logits[top]:
                top = i
        if temperature <= 0:
            probability[a:b] = 0.0
            probability[top] = 1.0
        total = 0.0
        plain = 0.0
        for i in range(a, b):
            plain += np.exp(logits[i] - logits[top])
            if temperature > 0:
                probability[i] = np.exp((logits[i] - logits[top]) / temperature)
                total += probability[i]
        if temperature > 0:
            probability[a:b] /= total
        confidence[query] = 1.0 / plain


@njit(cache=True)
def _write(
    chosen: ndarray, force: bool, trip: ndarray, position: ndarray, start: ndarray, segment: ndarray,
    probability: ndarray, uniform: ndarray, tokens: ndarray, masked: ndarray, destination: ndarray, ptr: ndarray,
    adjacent: ndarray, end: int,
) -> None:
    """Draw and commit the chosen positions, each trip from left to right.

    What was committed in this call narrows what may follow in the same gap. A trip that draws anything but the likeliest
    segment stops there unless `force`: the other proposals were made without knowing of it.
    """
    stamp = np.full(end + 1, -1, np.int64)
    source, following = np.empty(8192, np.int32), np.empty(8192, np.int32)
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
                    if best < 0 or probability[i] > probability[best]:
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
        temperature: 1 samples what was learned; below it sharpens; 0 takes the likeliest.
        guidance: w of classifier-free guidance, logits = (1 + w) conditional - w unconditional; 0 for none.
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
        temperature: float = 1.0,
        guidance: float = 0.0,
    ) -> None:
        self.encoded, self.city, self.model = encoded, encoded.city, encoded.model
        self.destination, self.hops, self.limit, self.uniform = destination, hops, limit, uniform
        self.temperature, self.guidance = temperature, guidance
        batch, length = uniform.shape
        self.end = len(self.city.network)
        self.tokens = np.full((batch, length), self.end, dtype=np.int64)
        self.tokens[:, 0] = origin
        self.open = np.arange(length) <= (limit[:, None] + 1)  # one more position for the end itself
        self.open[:, 0] = False
        self.row = np.arange(batch)
        self.distance = self.city.cost_to_go(destination)
        self.about = np.zeros((batch, length, 11), dtype=np.float32)
        self._describe(np.repeat(self.row, 1), np.zeros(batch, dtype=np.int64))
        self.origin, self.hour = torch.from_numpy(origin), torch.from_numpy(hour.astype(np.float32))
        self.log_time = np.zeros((batch, length), dtype=np.float32)
        self.spread = np.zeros((batch, length), dtype=np.float32)
        self.settled = torch.zeros(batch, dtype=torch.long)
        self.calls = 0
        self.forget()

    @property
    def masked(self) -> Bool[Tensor, "b n"]:
        """True where no segment is committed yet; position 0 of the answer is the one after the origin."""
        return torch.from_numpy(self.open[:, 1:])

    def forget(self) -> None:
        """Start from empty caches: what was settled is computed again by the next `settle`."""
        branches = 2 if self.guidance else 1
        batch, length = self.tokens.shape
        self.caches = [self.model.new_cache(batch, length + PREFIX + 32) for _ in range(branches)]
        self.settled = torch.zeros_like(self.settled)
        about = torch.from_numpy(self.about[:, 0])
        positions = torch.arange(PREFIX).expand(batch, -1)
        for cache, dropped in zip(self.caches, (False, True), strict=False):
            prefix = self.model.prefix(
                self.encoded.roads, self.origin, about, torch.from_numpy(self.destination), self.hour,
                torch.full((batch,), dropped),
            )  # fmt: skip
            hidden = self.model.transformer.extend(prefix, positions, cache)
            cache.advance(torch.full((batch,), PREFIX))
            if not dropped:
                self._note_time(hidden[:, -1:], torch.zeros(batch, 1, dtype=torch.long))

    def _describe(self, trip: Int[ndarray, " k"], position: Int[ndarray, " k"]) -> None:
        """Compute the features of tokens that have just been committed."""
        segment = self.tokens[trip, position]
        self.about[trip, position] = token_features(self.city, segment, self.destination[trip], trip, self.distance)

    def _note_time(self, hidden: Float[Tensor, "b w d"], position: Int[Tensor, "b w"]) -> None:
        mean, spread = self.model.travel_time(hidden)
        rows = np.repeat(self.row, position.shape[1])
        self.log_time[rows, position.numpy().ravel()] = mean.numpy().ravel()
        self.spread[rows, position.numpy().ravel()] = spread.numpy().ravel()

    def _extend(
        self, first: Int[Tensor, " b"], width: int, cache: KeyValueCache, *, dropped: bool, hide: bool
    ) -> Float[Tensor, "b w d"]:
        """Run the transformer on positions `first` to `first + width` (0 being the one after the origin)."""
        place = (first[:, None] + torch.arange(width) + 1).numpy()
        inside = place < self.tokens.shape[1]
        place = place.clip(max=self.tokens.shape[1] - 1)
        rows = self.row[:, None]
        hidden = self.model.embed(
            self.encoded.roads, torch.from_numpy(self.tokens[rows, place]), torch.from_numpy(self.about[rows, place]),
            torch.full((len(rows),), dropped),
        )  # fmt: skip
        if hide:
            hidden = torch.where(torch.from_numpy(self.open[rows, place])[..., None], self.model.mask_token, hidden)
        valid = None if inside.all() else torch.from_numpy(inside)
        positions = first[:, None] + torch.arange(width) + PREFIX
        return self.model.transformer.extend(hidden, positions, cache, valid=valid)

    @torch.no_grad()
    def settle(self, stop: Int[Tensor, " b"]) -> None:
        """Positions before `stop` are final: keep their keys and values, and read off their travel times."""
        stop = stop.clamp(max=self.tokens.shape[1] - 1).maximum(self.settled)
        count = stop - self.settled
        width = int(count.max())
        if not width:
            return
        for cache, dropped in zip(self.caches, (False, True), strict=False):
            hidden = self._extend(self.settled, width, cache, dropped=dropped, hide=True)
            cache.advance(count)
            if not dropped:
                place = (self.settled[:, None] + torch.arange(width) + 1).clamp(max=self.tokens.shape[1] - 1)
                self._note_time(hidden, place)
        self.settled = stop

    @torch.no_grad()
    def propose(self, start: Int[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
        """Score the candidates of every masked position of the window; returns the largest probability of each."""
        self.calls += 1
        lead = int((start - self.settled).max())  # final but not cached: computed again with the window
        total = lead + width
        place = (start[:, None] + torch.arange(width) + 1).numpy()
        in_window = np.zeros_like(self.open)
        inside = place < self.open.shape[1]
        rows = np.broadcast_to(self.row[:, None], place.shape)
        in_window[rows[inside], place[inside]] = True
        asked = self.open & in_window
        candidates = collect_candidates(
            self.city.network, self.tokens, asked, np.zeros_like(self.tokens), self.destination,
            hops=self.hops, hops_row=self.row, limit=self.limit,
        )  # fmt: skip
        features = candidate_features(
            self.city, candidates, self.tokens, self.open, self.destination, self.row, self.distance
        )
        offset = torch.from_numpy(candidates.position) - 1 - self.settled[torch.from_numpy(candidates.row)]
        flat = torch.from_numpy(candidates.row) * total + offset
        logits = np.zeros(len(candidates.segment), dtype=np.float32)
        weights = (1 + self.guidance, -self.guidance) if self.guidance else (1.0,)
        for cache, dropped, weight in zip(self.caches, (False, True), weights, strict=False):
            hidden = self._extend(self.settled, total, cache, dropped=dropped, hide=True)
            logits += weight * self._score(hidden.flatten(0, 1), flat, candidates, features, dropped=dropped)
        probability = np.empty_like(logits)
        sure = np.empty(len(candidates), dtype=np.float32)
        _softmax(logits, candidates.start, self.temperature, probability, sure)
        self.proposal = (candidates, probability, start.numpy())
        confidence = np.zeros((len(self.tokens), width), dtype=np.float32)
        confidence[candidates.row, candidates.position - 1 - start.numpy()[candidates.row]] = sure
        return torch.from_numpy(confidence)

    def _score(
        self, hidden: Float[Tensor, "k d"], flat: Int[Tensor, " q"], candidates: Candidates, features: ndarray, *, dropped: bool
    ) -> ndarray:
        scorer = self.model.scorer
        query = scorer.query(hidden)
        group = np.repeat(flat.numpy(), np.diff(candidates.start))
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

    def commit(self, chosen: Bool[Tensor, "b w"], *, all_of_them: bool) -> None:
        """Draw the chosen positions of the last proposal and write them."""
        candidates, probability, start = self.proposal
        picked = chosen.numpy()[candidates.row, candidates.position - 1 - start[candidates.row]]
        before = self.open.copy()
        ahead = self.city.network.successors
        _write(
            picked, all_of_them, candidates.row, candidates.position, candidates.start, candidates.segment, probability,
            self.uniform, self.tokens, self.open, self.destination, ahead.indptr, ahead.indices, self.end,
        )  # fmt: skip
        trip, position = np.nonzero(before & ~self.open)
        self._describe(trip, position)
