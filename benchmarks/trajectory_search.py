"""Blocks of segments at once, against a best-first search that asks a network at each expansion: trips a second.

    python benchmarks/trajectory_search.py [--city la-serena] [--model la-serena] [-n 96] [--trips 4000] [--epochs 3]

The peer is of HOSER's kind (Cao and others, AAAI 2025), written from what is known of it: road embeddings of identity,
length, class and place, through two layers of graph attention over transitions (turning angle, distance); zones with a
layer of graph convolution over the traffic between them; a causal transformer of two layers over the segments driven;
and additive attention between that, the destination, and each segment that may follow, with the distance left and the
angle to the destination. Cross-entropy of the next segment and error of log time are learned together. A trip is the
first path to its destination that comes out of a queue ordered by accumulated log-probability, each segment expanded
once, 5000 expansions at most; if none arrives, the path that came nearest. One trip at a time, as HOSER draws them.

It has HOSER's 128 channels, but squares of a kilometre for zones, and as many trips and epochs to learn from as a
benchmark has time for (`--trips`, `--epochs`). Road and zone vectors are computed once, not for each trip. Both
generators run in this process with one thread, in turns. Ours draws trips together, so it is timed twice: on the peer's
requests alone, and on `--many` that begin with them. Rates are of processor time.
"""

import argparse
import json
import time
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import describe
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATv2Conv, GCNConv

from suffuse.trajectory import Requests, RoadNetwork, Trips, load_city, read_trips
from suffuse.trajectory.demand.corpus import simulated_trips
from suffuse.trajectory.metrics import evaluate
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.trips.table import concatenate
from suffuse.trajectory.workers import Job, Worker

MOST_EXPANSIONS = 5000
ZONE_M = 1000.0
WIDTH = 128


@dataclass(frozen=True, eq=False)
class Streets:
    """What the peer reads of a network and of the trips it learns from, as tensors."""

    segments: Tensor
    """Logarithm of length, and place, standardised (s, 3)."""
    kind: Tensor
    zone: Tensor
    edges: Tensor
    """Transitions (2, t), and what is known of each (t, 2)."""
    turns: Tensor
    zone_edges: Tensor
    zone_weight: Tensor
    place: np.ndarray
    heading: np.ndarray
    start: np.ndarray
    follow: np.ndarray

    @staticmethod
    def of(city: RoadNetwork, train: Trips) -> "Streets":
        """The streets of a city."""
        place = city.node_metres[city.to_node]
        step = place - city.node_metres[city.from_node]
        heading = np.arctan2(step[:, 1], step[:, 0])
        static = np.column_stack([np.log(city.length_m), place])
        cell = np.unique(np.floor(place / ZONE_M), axis=0, return_inverse=True)[1].ravel()
        pairs = city.successors.tocoo()
        angle = np.angle(np.exp(1j * (heading[pairs.col] - heading[pairs.row]))) / np.pi
        turns = np.column_stack([angle, city.length_m[pairs.col] / 1000])
        inner = np.setdiff1d(np.arange(len(train.segment) - 1), train.start[1:-1] - 1)
        moves, counts = np.unique(
            np.stack([cell[train.segment[inner]], cell[train.segment[inner + 1]]]), axis=1, return_counts=True
        )
        return Streets(
            segments=_tensor((static - static.mean(axis=0)) / static.std(axis=0)),
            kind=torch.from_numpy(np.unique(city.highway.astype(str), return_inverse=True)[1]),
            zone=torch.from_numpy(cell), edges=torch.from_numpy(np.stack([pairs.row, pairs.col]).astype(np.int64)),
            turns=_tensor(turns), zone_edges=torch.from_numpy(moves), zone_weight=_tensor(counts / counts.mean()),
            place=place, heading=heading, start=city.successors.indptr, follow=city.successors.indices,
        )  # fmt: skip

    def following(self, segment: int) -> np.ndarray:
        """The segments that may follow one."""
        return self.follow[self.start[segment] : self.start[segment + 1]]

    def towards(self, candidate: np.ndarray, last: np.ndarray) -> Tensor:
        """Kilometres from each candidate to a destination, and the angle between its heading and the way there."""
        ahead = self.place[last] - self.place[candidate]
        angle = np.angle(np.exp(1j * (np.arctan2(ahead[..., 1], ahead[..., 0]) - self.heading[candidate])))
        return _tensor(np.stack([np.hypot(ahead[..., 0], ahead[..., 1]) / 1000, np.abs(angle) / np.pi], axis=-1))


class NextSegment(nn.Module):
    """Log-probability of each segment that may follow, and the logarithm of the seconds it takes."""

    def __init__(self, streets: Streets) -> None:
        super().__init__()
        self.streets = streets
        self.identity = nn.Embedding(len(streets.segments), WIDTH // 2)
        self.kind = nn.Embedding(int(streets.kind.max()) + 1, WIDTH // 4)
        self.static = nn.Linear(3, WIDTH // 4)
        self.road = nn.ModuleList(GATv2Conv(WIDTH, WIDTH // 2, heads=2, edge_dim=2) for _ in range(2))
        self.zone = nn.Embedding(int(streets.zone.max()) + 1, WIDTH)
        self.traffic = GCNConv(WIDTH, WIDTH)
        self.gate = nn.Linear(2 * WIDTH, WIDTH)
        self.hour = nn.Linear(2, WIDTH)
        self.position = nn.Embedding(512, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.driven = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.query = nn.Linear(2 * WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH + 2, WIDTH)
        self.score = nn.Linear(WIDTH, 1)
        self.seconds = nn.Linear(2 * WIDTH, 1)

    def places(self) -> Tensor:
        """A vector for each segment, (s, c)."""
        s = self.streets
        x = torch.cat([self.identity.weight, self.kind(s.kind), self.static(s.segments)], dim=1)
        for layer in self.road:
            x = x + F.elu(layer(x, s.edges, s.turns))
        zone = F.elu(self.traffic(self.zone.weight, s.zone_edges, s.zone_weight))[s.zone]
        return x + torch.sigmoid(self.gate(torch.cat([x, zone], dim=1))) * zone

    def after(self, places: Tensor, path: Tensor, hour: Tensor) -> Tensor:
        """What is known after each segment of paths (b, l): vectors (b, l, c)."""
        angle = hour[:, None] * (2 * torch.pi / 24)
        clock = self.hour(torch.cat([angle.sin(), angle.cos()], dim=1))
        length = path.shape[1]
        x = places[path] + clock[:, None] + self.position.weight[:length]
        return self.driven(x, mask=nn.Transformer.generate_square_subsequent_mask(length), is_causal=True)

    def choose(self, known: Tensor, last: Tensor, candidates: Tensor, towards: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and log seconds of candidates (..., k, c), from what is known and the destination (..., c)."""
        query = self.query(torch.cat([known, last], dim=-1))[..., None, :]
        score = self.score(torch.tanh(query + self.key(torch.cat([candidates, towards], dim=-1))))[..., 0]
        both = torch.cat([known[..., None, :].expand_as(candidates), candidates], dim=-1)
        return score, self.seconds(both)[..., 0]


def batches(streets: Streets, trips: Trips, size: int, rng: np.random.Generator) -> list[tuple[Tensor, ...]]:
    """Trips of like length together, padded: path, hour, candidates, what lies towards, the one taken, its seconds."""
    rows = np.flatnonzero((trips.lengths >= 2) & (trips.lengths <= 512))
    rows = rows[np.argsort(trips.lengths[rows] + rng.uniform(0, 4, len(rows)))]
    widest = int(np.diff(streets.start).max())
    out = []
    for low in range(0, len(rows), size):
        some = rows[low : low + size]
        steps = int(trips.lengths[some].max()) - 1
        path = np.zeros((len(some), steps), np.int64)
        options = np.full((len(some), steps, widest), -1)
        taken = np.full((len(some), steps), -100)
        seconds = np.zeros((len(some), steps))
        for i, row in enumerate(some):
            route = trips.segments_of(row)
            enter = trips.enter_s[trips.start[row] : trips.start[row + 1]]
            path[i, : len(route) - 1] = route[:-1]
            seconds[i, : len(route) - 1] = np.diff(np.append(enter[1:], trips.duration_s[row]))
            for at, segment in enumerate(route[:-1]):
                follow = streets.following(segment)
                options[i, at, : len(follow)] = follow
                taken[i, at] = int(np.flatnonzero(follow == route[at + 1])[0])
        last = trips.destination[some]
        towards = streets.towards(np.maximum(options, 0), np.broadcast_to(last[:, None, None], options.shape))
        out.append((
            torch.from_numpy(path), _tensor(trips.hour[some]), torch.from_numpy(options), towards,
            torch.from_numpy(taken), _tensor(np.log1p(np.maximum(seconds, 0))), torch.from_numpy(last),
        ))  # fmt: skip
    return [out[i] for i in rng.permutation(len(out))]


def fit(city: RoadNetwork, train: Trips, epochs: int) -> tuple[NextSegment, float]:
    """A trained peer, and the share of next segments it names right in the last epoch."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = NextSegment(Streets.of(city, train))
    total = epochs * -(-len(train) // 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=total, pct_start=0.1)
    right = known = 0
    for _ in range(epochs):
        right = known = 0
        for path, hour, options, towards, taken, seconds, last in batches(model.streets, train, 32, rng):
            places = model.places()
            after = model.after(places, path, hour)
            end = places[last][:, None].expand_as(after)
            score, logs = model.choose(after, end, places[options.clamp(min=0)], towards)
            score = score.masked_fill(options < 0, -1e9)
            real = taken >= 0
            error = (logs.gather(2, taken.clamp(min=0)[..., None])[..., 0] - seconds).abs()[real].mean()
            loss = F.cross_entropy(score[real], taken[real]) + error
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            right += int((score.argmax(dim=2)[real] == taken[real]).sum())
            known += int(real.sum())
    return model.eval(), right / known


@torch.no_grad()
def search(model: NextSegment, places: Tensor, origin: int, last: int, hour: float) -> tuple[list[int], int]:
    """The first path to the destination that comes out of the queue, and how many segments were expanded."""
    streets, when, end = model.streets, torch.tensor([hour]), places[last]
    queue: list[tuple[float, int, list[int]]] = [(0.0, origin, [origin])]
    expanded = set[int]()
    nearest, least = [origin], np.inf
    while queue and len(expanded) < MOST_EXPANSIONS:
        cost, segment, path = heappop(queue)
        if segment == last:
            return path, len(expanded)
        if segment in expanded:
            continue
        expanded.add(segment)
        left = float(np.hypot(*(streets.place[last] - streets.place[segment])))
        if left < least:
            nearest, least = path, left
        follow = streets.following(segment)
        after = model.after(places, torch.tensor([path[-512:]]), when)[0, -1]
        towards = streets.towards(follow, np.full(len(follow), last))
        score, _ = model.choose(after, end, places[torch.from_numpy(follow.astype(np.int64))], towards)
        for candidate, nats in zip(follow.tolist(), (-score.log_softmax(dim=0)).tolist(), strict=True):
            if candidate not in expanded:
                heappush(queue, (cost + nats, candidate, [*path, candidate]))
    return nearest, len(expanded)


@torch.no_grad()
def answer(model: NextSegment, requests: Requests) -> tuple[Trips, list[int]]:
    """One trip a request, one after the other, with times; and the expansions each took."""
    places = model.places()
    routes, leave, expansions = [], [], []
    for row in range(len(requests)):
        hour = float(requests.hour[row])
        path, count = search(model, places, int(requests.origin[row]), int(requests.destination[row]), hour)
        after = model.after(places, torch.tensor([path[:512]]), torch.tensor([hour]))[0]
        spent = model.seconds(torch.cat([after, places[torch.tensor(path[:512])]], dim=1))[:, 0].expm1().clamp(min=1.0)
        seconds = np.append(spent.numpy(), np.full(max(len(path) - 512, 0), float(spent.mean())))
        routes.append(np.array(path))
        leave.append(np.rint(np.cumsum(seconds)))
        expansions.append(count)
    trips = Trips(
        start=np.append(0, np.cumsum([len(route) for route in routes])), segment=np.concatenate(routes),
        enter_s=np.concatenate([np.append(0.0, total[:-1]) for total in leave]),
        duration_s=np.array([total[-1] for total in leave], dtype=np.float64), depart=requests.depart,
        trip_id=requests.request_id,
    )  # fmt: skip
    return trips, expansions


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def main() -> None:
    """Train the peer, draw in turns, print rates and both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--city", default="la-serena")
    parser.add_argument("--model", default="la-serena")
    parser.add_argument("--real", type=Path, help="a folder of trips with the parts train and val; else simulated ones")
    parser.add_argument("-n", type=int, default=96, help="requests, drawn in four turns")
    parser.add_argument("--many", type=int, default=1024, help="requests that ours is timed on too")
    parser.add_argument("--trips", type=int, default=4000, help="trips the peer learns from")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    city = load_city(args.city)
    if args.real is None:
        train, held_out = simulated_trips(city, "train", args.trips), simulated_trips(city, "test", args.many)
    else:
        pick = np.random.default_rng(0).permutation
        train, held_out = (read_trips(args.real, city, part=part) for part in ("train", "val"))
        train, held_out = train.take(pick(len(train))[: args.trips]), held_out.take(pick(len(held_out))[: args.many])
    began = time.process_time()
    peer, accuracy = fit(city, train, args.epochs)
    print(f"peer: {len(train):,} trips, {args.epochs} epochs in {time.process_time() - began:.0f} s of processor time, "
          f"{accuracy:.3f} of next segments right in the last", flush=True)  # fmt: skip
    many = Requests.from_trips(held_out)
    held_out = held_out.take(np.arange(args.n))
    asked = Requests.from_trips(held_out)
    worker = Worker(Job(city=args.city, model=args.model, config=GenerationConfig(), threads=1))
    worker(asked, 0)  # compiles and fills caches
    parts, expansions, rates = list[Trips](), list[int](), {"search": [], "blocks": [], "many": []}
    whole = worker(asked, 0)
    for turn, rows in enumerate(np.array_split(np.arange(len(asked)), 4)):
        began = time.process_time()
        trips, counts = answer(peer, asked.take(rows))
        rates["search"].append(len(rows) / (time.process_time() - began))
        parts.append(trips)
        expansions += counts
        began = time.process_time()
        whole = worker(asked, 0)
        rates["blocks"].append(len(asked) / (time.process_time() - began))
        if turn % 2:
            began = time.process_time()
            worker(many, 0)
            rates["many"].append(len(many) / (time.process_time() - began))
    few, ours, theirs = (median(rates[name]) for name in ("blocks", "many", "search"))
    print(f"search: {theirs:.2f} trips/s, {median(expansions):.0f} expansions (medians)")
    for rate, asked_for in ((few, asked), (ours, many)):
        print(f"blocks: {rate:.1f} trips/s on {len(asked_for):,} requests, {rate / theirs:.0f} times", flush=True)
    console = Console(width=170)
    tables = {name: evaluate(city, held_out, trips) for name, trips in
              (("blocks", whole), ("search", concatenate(parts)))}  # fmt: skip
    for name, table in tables.items():
        console.rule(name)
        console.print(table.table())
    if args.json:
        found = {"rates": rates, "expansions": expansions, "ratio": ours / theirs, "accuracy": accuracy}
        args.json.write_text(json.dumps(found | {name: table.to_dict() for name, table in tables.items()}, indent=2))


if __name__ == "__main__":
    main()
