"""Trips for requests: plan them, draw them in tiles of like length, put them back in order.

Dimensions: k requests, b trips of a tile, n positions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import ndtri

from suffuse.backbone.discrete import ConfidenceDecoding, Decoding, decode
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.model.canvas import Encoded, RoadCanvas
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.route_choice import RouteChoice
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.reachability import UNREACHABLE, hops_to, hops_within
from suffuse.trajectory.trips.table import Trips, concatenate

TILE = 512
"""Most trips drawn together, block by block: those that are done with a block early cost nothing while others go on."""

POSITIONS = 1 << 16
"""Most positions of a tile, which bounds its memory: about 4 KiB each for a model of the shipped size."""

FEWEST = 32
"""Trips of a tile that is not made smaller, however long they are."""

LIMITS = {"temperature": math.inf, "spread": 3.0, "route_choice": 100.0}
"""The most each field of `Sharpness` may be; the least is 0."""


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """How the probabilities of a model are used. A model directory may say what suits it (`generation.json`).

    `temperature` 1 samples what was learned, 0 takes the likeliest. `spread` is the standard deviation of the logarithm
    of a trip's own temperature: most drivers go as most do, a few seem to go anywhere ("scale heterogeneity", Fiebig et
    al. 2010). `route_choice` is how many times the log-probabilities of a recursive logit, fitted to the same trips,
    are added to those of the network. Why: docs/decisions/0002 and 0010.
    """

    temperature: float = 0.8
    spread: float = 0.0
    route_choice: float = 0.0

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if not (0 <= value <= most and value < math.inf):
                limit = "" if most == math.inf else f" and at most {most:g}"
                raise ValueError(f"{name} must be a finite number of at least 0{limit}, got {value}")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How trips are drawn.

    `guidance` is w of classifier-free guidance (0: none). `temperature`, `spread` and `route_choice` are those of
    `Sharpness`; None is what suits the model. `least` leaves out what is less probable than this share of the
    likeliest segment: what a model gives to turns that nobody takes adds up over a trip. `order` "left" draws a
    position beside its left neighbour before all that are unsure, which keeps the trips as various as they were
    learned; "confidence" takes the surest position wherever it lies, which favours the usual way. By default it is
    "left" for block decoding and "confidence" for deferred commitment. `detour` bounds the length: a trip has at most
    `detour` times the fewest possible segments, plus `slack`. `batch_size` is how many requests are planned together,
    which bounds memory and does not change the trips.
    """

    decoding: Decoding = field(default_factory=lambda: ConfidenceDecoding(threshold=0.97))
    guidance: float = 0.0
    temperature: float | None = None
    spread: float | None = None
    route_choice: float | None = None
    least: float = 0.03
    order: Literal["left", "confidence"] | None = None
    detour: float = 2.0
    slack: int = 40
    seed: int = 0
    batch_size: int = 512

    def __post_init__(self) -> None:
        if not 0 <= self.guidance < math.inf:
            raise ValueError(f"guidance must be a finite number of at least 0, got {self.guidance}")
        self.sharpness(Sharpness())
        if self.order not in (None, "left", "confidence"):
            raise ValueError(f"order must be left or confidence, got {self.order!r}")
        if not 0 <= self.least < 1:
            raise ValueError(f"least must be in [0, 1), got {self.least}")
        if self.detour < 1 or self.slack < 0:
            raise ValueError(f"detour must be at least 1 and slack at least 0, got {self.detour} and {self.slack}")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed must be in [0, 2**64), got {self.seed}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    def sharpness(self, own: Sharpness) -> Sharpness:
        """What is asked for, and for the rest what suits the model."""
        asked = {name: getattr(self, name) for name in LIMITS}
        return replace(own, **{name: value for name, value in asked.items() if value is not None})

    def for_guess(self) -> "GenerationConfig":
        """The same for draws of which the best guess is chosen: what odd trips do is of no use to it."""
        return replace(self, spread=0.0) if self.spread is None else self

    @property
    def from_left(self) -> bool:
        """Whether positions beside their left neighbour come first."""
        return isinstance(self.decoding, ConfidenceDecoding) if self.order is None else self.order == "left"


def unreachable(network: RoadNetwork, requests: Requests) -> Int[ndarray, " r"]:
    """Rows of the requests whose destination cannot be reached from their origin on the open part of the network."""
    part = network.strong_component
    doubtful = np.flatnonzero(part[requests.origin] != part[requests.destination])
    distinct, back = np.unique(requests.destination[doubtful], return_inverse=True)
    lost = np.zeros(len(requests), dtype=bool)
    for first in range(0, len(distinct), 256):
        hops = hops_to(network, distinct[first : first + 256])
        here = np.flatnonzero((back >= first) & (back < first + 256))
        mine = doubtful[here]
        lost[mine] = hops[back[here] - first, requests.origin[mine]] == UNREACHABLE
    closed = np.isin(requests.origin, list(network.closed)) | np.isin(requests.destination, list(network.closed))
    return np.flatnonzero(lost | closed)


def stream(seed: int, request: int, draw: int, count: int) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Uniform and normal random numbers of one trip: they depend on the seed, the request's number and the draw alone.

    More of them begin with the same ones.
    """
    source = np.random.Philox(key=np.array([seed, (request << 16) + draw], dtype=np.uint64))
    elsewhere = source.jumped()
    return np.random.Generator(source).random(count), np.random.Generator(elsewhere).standard_normal(count)


def correlated(noise: Float[ndarray, "b n"], correlation: float) -> Float[ndarray, "b n"]:
    """Noise of unit variance whose neighbours along a trip are alike: a slow driver stays slow."""
    out = noise.copy()
    for position in range(1, noise.shape[1]):
        out[:, position] = correlation * out[:, position - 1] + np.sqrt(1 - correlation**2) * noise[:, position]
    return out


def temperatures(sharpness: Sharpness, uniform: Float[ndarray, " b"]) -> Float[ndarray, " b"]:
    """The temperature of each trip, log-normal about the median, from a uniform random number of its own."""
    return sharpness.temperature * np.exp(sharpness.spread * ndtri(uniform.clip(1e-4, 1 - 1e-4)))


def canvas_length(decoding: Decoding, longest: int) -> int:
    """Positions of a canvas, the origin's included, for trips of at most `longest` segments.

    Whole chunks, and room for a window that starts at the end of the longest trip: so it makes no difference to a trip
    how long others of its tile may become.
    """
    if isinstance(decoding, ConfidenceDecoding):
        return 1 + -(-longest // decoding.block) * decoding.block  # the end takes the origin's place in `longest`
    return 1 + -(-(longest + decoding.width) // decoding.masks) * decoding.masks


def caching(decoding: Decoding, length: int) -> dict[str, int]:
    """What a canvas of `length` has to know of its decoder: `chunk`, `lead` and `window` of `RoadCanvas`."""
    if isinstance(decoding, ConfidenceDecoding):
        return {"chunk": decoding.block, "lead": 0, "window": decoding.block}
    lead = length if decoding.cache == "none" else max(decoding.masks - 1 + decoding.delay, 1)  # 0: no sliding window
    return {"chunk": decoding.masks, "lead": lead, "window": decoding.width}


def draw_tile(
    encoded: Encoded,
    requests: Requests,
    numbers: Int[ndarray, " b"],
    draw: int,
    config: GenerationConfig,
    *,
    own: Sharpness,
    logit: RecursiveLogit | None,
) -> Trips:
    """Draw one trip for each of some requests; `numbers` are their places in the whole job.

    Requests whose trips could be too long to be drawn together are drawn in two halves.
    """
    network = encoded.city.network
    hops, limit = hops_within(
        network, requests.origin, requests.destination, detour=config.detour, slack=config.slack
    )  # fmt: skip
    length = canvas_length(config.decoding, int(limit.max()) + 1)
    half = len(requests) // 2
    if half >= FEWEST and len(requests) * length > POSITIONS:
        halves = (np.arange(half), np.arange(half, len(requests)))
        return concatenate(
            [
                draw_tile(encoded, requests.take(rows), numbers[rows], draw, config, own=own, logit=logit)
                for rows in halves
            ]
        )
    sharpness = config.sharpness(own)
    streams = [stream(config.seed, int(number), draw, length) for number in numbers]
    uniform = np.stack([s[0] for s in streams])
    choice = RouteChoice.towards(logit, requests.destination) if logit and sharpness.route_choice > 0 else None
    canvas = RoadCanvas(
        encoded, requests.origin.astype(np.int64), requests.destination.astype(np.int64), requests.hour, hops, limit,
        uniform, temperature=temperatures(sharpness, uniform[:, 0]), least=config.least, guidance=config.guidance,
        route_choice=choice, weight=sharpness.route_choice, leftmost=config.from_left,
        **caching(config.decoding, length),
    )  # fmt: skip
    decode(canvas, config.decoding)
    canvas.settle(torch.full((len(requests),), length))
    normal = correlated(np.stack([s[1] for s in streams]), encoded.model.config["time_correlation"])
    return finished(canvas, requests, normal)


def finished(canvas: RoadCanvas, requests: Requests, normal: Float[ndarray, "b n"]) -> Trips:
    """What stands on a canvas of which all is settled; `normal` says how slow each trip is at each position."""
    network = canvas.city.network
    over = (canvas.tokens == canvas.end).argmax(axis=1)
    segments = [canvas.tokens[trip, : over[trip]] for trip in range(len(requests))]
    seconds = [
        network.free_flow_s[route] * np.exp(canvas.log_time[i, : len(route)] + canvas.spread[i, : len(route)] *
        normal[i, : len(route)]) for i, route in enumerate(segments)
    ]  # fmt: skip
    left = [np.rint(np.cumsum(spent)) for spent in seconds]  # whole seconds, as recorded trips have them
    return Trips(
        start=np.concatenate([[0], np.cumsum([len(route) for route in segments])]).astype(np.int64),
        segment=np.concatenate(segments),
        enter_s=np.concatenate([np.concatenate([[0.0], total[:-1]]) for total in left]),
        duration_s=np.array([total[-1] for total in left], dtype=np.float64),
        depart=requests.depart,
        trip_id=requests.request_id,
    )


def time_routes(
    encoded: Encoded, requests: Requests, routes: Sequence[Int[ndarray, " _"]], config: GenerationConfig
) -> Trips:
    """Trips along given legal routes from origin to destination, with the median of the model's travel times."""
    order = np.argsort([len(route) for route in routes], kind="stable")
    lengths = np.array([canvas_length(config.decoding, len(routes[row]) + 1) for row in order])
    tiles, begin = [], 0
    while begin < len(order):
        fits = np.flatnonzero(np.arange(1, len(order) - begin + 1) * lengths[begin:] <= POSITIONS)
        rows = order[begin : begin + min(max(len(fits), 1), TILE)]
        begin += len(rows)
        part, length = requests.take(rows), int(lengths[begin - 1])
        still = np.zeros((len(rows), length))
        canvas = RoadCanvas(
            encoded, part.origin.astype(np.int64), part.destination.astype(np.int64), part.hour,
            np.zeros((len(rows), 1), np.int32), np.full(len(rows), length - 1), still, temperature=np.ones(len(rows)),
            route_choice=None, leftmost=True, **caching(config.decoding, length),
        )  # fmt: skip
        canvas.write([routes[row] for row in rows])
        canvas.settle(torch.full((len(rows),), length))
        tiles.append(finished(canvas, part, still))
    return concatenate(tiles).take(np.argsort(order, kind="stable"))


def generate_batches(
    model: TrajectoryModel,
    city: CityFeatures,
    requests: Requests,
    config: GenerationConfig,
    *,
    draw: int = 0,
    first: int = 0,
    own: Sharpness | None = None,
    logit: RecursiveLogit | None = None,
    encoded: Encoded | None = None,
) -> Iterator[Trips]:
    """One trip a request, in order, `config.batch_size` at a time. Different `draw`s answer the same requests anew.

    `first` is the number of the first request in the whole job: parts of a job drawn apart equal the job drawn whole.
    `own` is what suits the model where `config` does not say, `logit` the recursive logit that `route_choice` weighs,
    `encoded` what is known of the city already. Raises RequestError if a destination cannot be reached.
    """
    lost = unreachable(city.network, requests)
    if len(lost):
        ids = city.network.segment_ids
        raise RequestError(
            f"request {requests.request_id[lost[0]]}: segment {ids[requests.destination[lost[0]]]} cannot be reached "
            f"from segment {ids[requests.origin[lost[0]]]} ({len(lost)} of {len(requests)} requests cannot be met)"
        )
    model.eval()
    encoded = encoded or Encoded.of(model, city)
    metres = city.network.node_metres
    for begin in range(0, len(requests), config.batch_size):
        part = requests.take(np.arange(begin, min(begin + config.batch_size, len(requests))))
        ends = metres[city.network.from_node[part.destination]] - metres[city.network.to_node[part.origin]]
        order = np.argsort(np.hypot(*ends.T), kind="stable")  # trips of like length share a tile: less waiting
        tiles = []
        for row in range(0, len(part), TILE):
            rows = order[row : row + TILE]
            tiles.append(draw_tile(
                encoded, part.take(rows), part.numbers(begin + first)[rows], draw, config, own=own or Sharpness(),
                logit=logit,
            ))  # fmt: skip
        yield concatenate(tiles).take(np.argsort(order, kind="stable"))


def generate_trips(
    model: TrajectoryModel,
    city: CityFeatures,
    requests: Requests,
    config: GenerationConfig | None = None,
    *,
    draw: int = 0,
    first: int = 0,
    own: Sharpness | None = None,
    logit: RecursiveLogit | None = None,
    encoded: Encoded | None = None,
    progress: Callable[[int], None] | None = None,
) -> Trips:
    """All trips of `generate_batches` in one table; `progress` hears how many were drawn so far."""
    parts: list[Trips] = []
    done = 0
    for part in generate_batches(
        model,
        city,
        requests,
        config or GenerationConfig(),
        draw=draw,
        first=first,
        own=own,
        logit=logit,
        encoded=encoded,
    ):
        parts.append(part)
        done += len(part)
        if progress is not None:
            progress(done)
    return concatenate(parts)
