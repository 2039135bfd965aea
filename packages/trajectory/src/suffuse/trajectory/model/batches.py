"""Training batches of trips: batch k depends on the seed and on k alone, so a run resumes exactly.

Trips are divided into folds; a batch comes from one fold and reads the observed usage of the others, so that no trip
helps to predict itself. Some batches see no usage at all, so that the model also works in a city without trips.

Dimensions: b trips of a batch, n positions after the origin, k trips, m candidates, q masked positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray
from torch import Tensor

from suffuse.backbone.discrete import NoiseConfig, apply_mask, block_index, sample_mask_ratio
from suffuse.trajectory.baselines.recursive_logit import RecursiveLogit
from suffuse.trajectory.model.candidates import collect_candidates
from suffuse.trajectory.model.city import CityFeatures, CostsToGo
from suffuse.trajectory.model.relations import candidate_features, token_features
from suffuse.trajectory.model.route_choice import RouteChoice
from suffuse.trajectory.model.usage import ZONES, count_usage
from suffuse.trajectory.roads.costs import cost_to_nodes
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How trips become training batches.

    `block_sizes` and `block_weights`: one size is drawn a batch, so that one model serves any block size at
    generation; 1 is plain autoregression. `drop_condition`: share of trips whose destination and hour are hidden
    (guidance). `no_usage`: share of batches that see no observed usage; 1 needs no tables. `turned`: in how many
    directions the map is seen, one a batch.
    """

    trips: int = 128
    block_sizes: tuple[int, ...] = (1, 4, 8, 16)
    block_weights: tuple[float, ...] = (0.25, 0.2, 0.5, 0.05)
    drop_condition: float = 0.05
    folds: int = 4
    no_usage: float = 0.1
    turned: int = 1
    longest: int = 160

    def __post_init__(self) -> None:
        if len(self.block_sizes) != len(self.block_weights) or min(self.block_sizes) < 1:
            raise ValueError(
                f"each of block_sizes {self.block_sizes} (at least 1) needs a weight in {self.block_weights}"
            )
        if min(self.block_weights) < 0 or sum(self.block_weights) <= 0:
            raise ValueError(f"block_weights must be positive or zero, but not all zero, got {self.block_weights}")
        for name in ("drop_condition", "no_usage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name, least in (("trips", 1), ("folds", 2), ("turned", 1), ("longest", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class TripBatch:
    """b trips with masks drawn, candidates collected and all features computed."""

    city: CityFeatures
    tokens: Int[Tensor, "b n"]
    token_features: Float[Tensor, "b n f"]
    origin: Int[Tensor, " b"]
    origin_features: Float[Tensor, "b f"]
    destination: Int[Tensor, " b"]
    hour: Float[Tensor, " b"]
    dropped: Bool[Tensor, " b"]
    blocks: Int[Tensor, "b n"]
    valid: Bool[Tensor, "b n"]
    masked: Bool[Tensor, "b n"]
    ratio: Float[Tensor, "b n"]
    candidate: Int[Tensor, " m"]
    group: Int[Tensor, " m"]
    features: Float[Tensor, "m g"]
    target: Int[Tensor, " q"]
    """Row of the right candidate of each masked position."""
    log_time: Float[Tensor, "b n1"]
    """log(travel time / free-flow time) of origin and tokens; NaN where unknown."""
    prior: Float[Tensor, " m"] | None = None
    """Log-odds of each candidate that a recursive logit has said already; the model learns what is left to say."""

    def to(self, device: torch.device | str) -> "TripBatch":
        """The same batch with its tensors on `device`."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "city"}
        moved = {name: tensor.to(device) for name, tensor in tensors.items() if tensor is not None}
        return replace(self, **moved)


class DestinationCosts:
    """Costs to go for all destinations of a set of trips, computed once.

    Time and length are the same whatever was observed, so they are taken from `shared` where it is given.
    """

    def __init__(
        self, city: CityFeatures, destinations: Int[ndarray, " d"], shared: "DestinationCosts | None" = None
    ) -> None:
        self.city = city
        self.nodes = np.unique(city.network.from_node[destinations])
        metrics = city.cost if shared is None else city.cost[2:]
        metrics = metrics if city.has_usage else metrics[:2]
        fresh = [cost_to_nodes(city.network, cost, self.nodes) for cost in metrics]
        if not city.has_usage:  # all streets are as popular as each other
            fresh.append(fresh[1])
        self.by_node: list[Float32[ndarray, "d n"]] = fresh if shared is None else [*shared.by_node[:2], *fresh]
        self.ends, first = np.unique(self._end(destinations), return_index=True)
        distinct = destinations[first]
        zones, zone_row = np.unique(city.zones[1][distinct], return_inverse=True)
        self.learned: Float32[ndarray, "e n"] = np.empty((len(distinct), len(city.network.node_ids)), dtype=np.float32)
        for row, zone in enumerate(zones):
            mine = np.flatnonzero(zone_row == row)
            nodes = city.network.from_node[distinct[mine]]
            self.learned[mine] = cost_to_nodes(city.network, city.learned_cost(int(zone)), nodes)

    def _end(self, destinations: Int[ndarray, " d"]) -> Int[ndarray, " d"]:
        """One number for each pair of first node and zone: destinations that share it share all costs."""
        return self.city.network.from_node[destinations].astype(np.int64) * ZONES + self.city.zones[1][destinations]

    def rows(self, destinations: Int[ndarray, " b"]) -> CostsToGo:
        """Costs from every node to each of some of the destinations."""
        node_row = np.searchsorted(self.nodes, self.city.network.from_node[destinations])
        end_row = np.searchsorted(self.ends, self._end(destinations))
        zones, zone_row = np.unique(self.city.zones[1][destinations], return_inverse=True)
        return CostsToGo(
            distance=np.stack([*(table[node_row] for table in self.by_node), self.learned[end_row]]),
            learned=np.stack([self.city.learned_cost(int(zone)) for zone in zones]),
            zone_row=zone_row,
        )


class TripBatches:
    """Seekable source of training batches over one road network.

    With `logit` each batch has what that says as its `prior`.
    """

    def __init__(
        self,
        network: RoadNetwork,
        trips: Trips,
        config: BatchConfig,
        noise: NoiseConfig,
        *,
        steps: int,
        seed: int,
        logit: RecursiveLogit | None = None,
    ) -> None:
        keep = np.flatnonzero((trips.lengths >= 2) & (trips.lengths <= config.longest))
        if len(keep) < config.folds * 2:
            raise ValueError(f"{len(keep)} trips of 2 to {config.longest} segments are too few to train on")
        self.trips = trips.take(keep)
        self.network, self.config, self.noise, self.steps, self.seed = network, config, noise, steps, seed
        self.logit = logit
        self.fold = np.random.default_rng((seed, 0)).permutation(len(self.trips)) % config.folds
        ends = np.unique(self.trips.destination)
        plain = CityFeatures(network)
        self.cities = [plain]
        self.costs = [DestinationCosts(plain, ends)]
        angles = np.linspace(0, 2 * np.pi, config.turned, endpoint=False).tolist()
        self.turned = [plain, *(CityFeatures(network, turned=angle) for angle in angles[1:])]
        for fold in range(config.folds if config.no_usage < 1 else 0):
            others = self.trips.take(np.flatnonzero(self.fold != fold))
            self.cities.append(CityFeatures(network, count_usage(network, others)))
            self.costs.append(DestinationCosts(self.cities[-1], ends, self.costs[0]))
        self.order = lru_cache(maxsize=2 * config.folds)(self._order)

    def _order(self, fold: int, epoch: int) -> Int[ndarray, "batches b"]:
        """Trips of a fold in batches of like length, in random order."""
        rng = np.random.default_rng((self.seed, 1, fold, epoch))
        rows = rng.permutation(np.flatnonzero(self.fold == fold))
        size = min(self.config.trips, len(rows))
        rows = rows[: len(rows) // size * size]
        bundle = 32 * size
        rows = np.concatenate(
            [
                part[np.argsort(self.trips.lengths[part], kind="stable")]
                for part in np.split(rows, range(bundle, len(rows), bundle))
            ]
        )
        return rng.permutation(rows.reshape(-1, size))

    def __getitem__(self, step: int) -> TripBatch:
        return self.batch(step, step)

    def batch(self, number: int, step: int) -> TripBatch:
        """Batch `number` of this city, in step `step` of the training."""
        fold, turn = number % self.config.folds, number // self.config.folds
        epoch, place = divmod(turn, len(self.order(fold, 0)))
        rng = np.random.default_rng((self.seed, 2, step))
        use = 0 if rng.random() < self.config.no_usage else fold + 1
        return self.make(self.order(fold, epoch)[place], use, progress=step / self.steps, rng=rng)

    def make(self, rows: Int[ndarray, " b"], use: int, *, progress: float, rng: np.random.Generator) -> TripBatch:
        """A batch of the given trips; `use` 0 hides observed usage, f + 1 shows that of all folds but f."""
        size = int(
            rng.choice(self.config.block_sizes, p=np.array(self.config.block_weights) / sum(self.config.block_weights))
        )
        costs = self.costs[use].rows(self.trips.destination[rows])
        city = self.cities[use]
        if use == 0 and len(self.turned) > 1:
            city = self.turned[int(rng.integers(len(self.turned)))]
        return make_batch(
            city, self.trips.take(rows), costs, noise=self.noise, block_size=size, progress=progress,
            drop_condition=self.config.drop_condition, rng=rng, logit=self.logit,
        )  # fmt: skip


class SeveralCities:
    """Training batches over several networks: each step is one city's, as often as it has trips."""

    def __init__(self, cities: Sequence[TripBatches], *, steps: int, seed: int) -> None:
        count = np.array([len(city.trips) for city in cities])
        self.cities = cities
        self.city = np.random.default_rng((seed, 3)).choice(len(cities), size=steps, p=count / count.sum())
        """Whose step each is."""
        mine = self.city[:, None] == np.arange(len(cities))
        self.turn = np.cumsum(mine, axis=0)[np.arange(steps), self.city] - 1
        """How many earlier steps were that city's."""

    def __getitem__(self, step: int) -> TripBatch:
        source = self.cities[self.city[step]]
        return source.batch(int(self.turn[step]), step)


def make_batch(
    city: CityFeatures,
    trips: Trips,
    costs: CostsToGo,
    *,
    noise: NoiseConfig,
    block_size: int,
    progress: float,
    drop_condition: float,
    rng: np.random.Generator,
    all_masked: bool = False,
    logit: RecursiveLogit | None = None,
) -> TripBatch:
    """Draw block offsets and masks for some trips, and collect what the model reads. `costs` has one row a trip.

    With `all_masked` every position is masked whatever the noise: with block size 1 that is plain autoregression.
    What `logit` says is known beside the model, except of trips whose destination is hidden.
    """
    network, count, end = city.network, len(trips), len(city.network)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    offset = torch.from_numpy(rng.integers(block_size, size=count))
    longest = int(trips.lengths.max())
    blocks = block_index(longest + block_size, block_size, offset)
    over = torch.from_numpy(trips.lengths - 1)  # position of the end, counted from the one after the origin
    valid = blocks <= blocks.gather(1, over[:, None])
    width = int(valid.sum(dim=1).max())
    blocks, valid = blocks[:, :width], valid[:, :width]

    tokens = np.full((count, width + 1), end, dtype=np.int64)
    column = np.arange(len(trips.segment)) - np.repeat(trips.start[:-1], trips.lengths)
    owner = np.repeat(np.arange(count), trips.lengths)
    tokens[owner, column] = trips.segment
    ratio = sample_mask_ratio(noise, blocks, progress, generator)
    masked = valid.clone() if all_masked else apply_mask(ratio, valid, generator)

    seen_masked = np.concatenate([np.zeros((count, 1), dtype=bool), masked.numpy()], axis=1)
    block_of = np.concatenate([np.full((count, 1), -1), blocks.numpy()], axis=1)
    candidates = collect_candidates(network, tokens, seen_masked, block_of, trips.destination)
    row = np.arange(count)
    features = candidate_features(city, candidates, tokens, seen_masked, block_of, trips.destination, row, costs)
    group = np.repeat(np.arange(len(candidates)), np.diff(candidates.start))
    right = tokens[candidates.row, candidates.position][group] == candidates.segment
    target = np.flatnonzero(right)
    assert len(target) == len(candidates), "a trip takes a turn that its road network does not have"
    about = token_features(
        city, tokens.ravel(), np.repeat(trips.destination, width + 1), np.repeat(row, width + 1), costs
    ).reshape(count, width + 1, -1)

    leave = np.append(trips.enter_s[1:], 0.0)
    leave[trips.start[1:] - 1] = trips.duration_s
    taken = np.maximum(leave - trips.enter_s, 0.5)
    log_time = np.full((count, width + 1), np.nan, dtype=np.float32)
    log_time[owner, column] = np.log(taken / network.free_flow_s[trips.segment])
    log_time[trips.duration_s <= 0] = np.nan
    dropped = rng.random(count) < drop_condition
    prior = None
    if logit is not None:
        said = RouteChoice.towards(logit, trips.destination).log_odds(candidates)
        prior = torch.from_numpy(np.where(dropped[candidates.row][group], np.float32(0), said))
    return TripBatch(
        city=city,
        tokens=torch.from_numpy(tokens[:, 1:]),
        token_features=torch.from_numpy(about[:, 1:]),
        origin=torch.from_numpy(tokens[:, 0]),
        origin_features=torch.from_numpy(about[:, 0]),
        destination=torch.from_numpy(trips.destination.astype(np.int64)),
        hour=torch.from_numpy(trips.hour.astype(np.float32)),
        dropped=torch.from_numpy(dropped),
        blocks=blocks,
        valid=valid,
        masked=masked,
        ratio=ratio,
        candidate=torch.from_numpy(candidates.segment.astype(np.int64)),
        group=torch.from_numpy(group),
        features=torch.from_numpy(features),
        target=torch.from_numpy(target),
        log_time=torch.from_numpy(log_time).clamp(-2.5, 4.0),
        prior=prior,
    )
