"""Routes of walkers: hikes in the French Alps, answered by a model that has never seen any.

    python benchmarks/trajectory_hikes.py --source tracklib-0.8.4.2.tar.gz [--model base] [--best-of 10] [--json FILE]

`pip download --no-deps --no-binary :all: tracklib==0.8.4.2` fetches the source, 37 MB. In it are 153 named hikes in the
Écrins (data/lacet/ecrins.csv) and the roads and paths there, of IGN's BD TOPO (data/network/network_ecrin.wkt). Hikes
are matched to the paths with `match`, which cuts them where they turn round or leave the paths. Most parts come back to
where they began, so each is cut where it is farthest from there: that gives legs with two ends, of which those of 1 km
and more are kept, one of each pair that goes the same way there and back. A figure is a mean over legs; its interval is
95 % of 2,000 means of hikes drawn with replacement.
"""

import argparse
import csv
import io
import json
import sys
import tarfile
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import shapely
from jaxtyping import Float, Int
from machine import describe
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from trajectory_transfer import cheapest

from suffuse.backbone import use_threads
from suffuse.trajectory import Requests, RoadNetwork, Trips, load_city, load_model
from suffuse.trajectory.baselines import Dijkstra
from suffuse.trajectory.best_guess import guessed
from suffuse.trajectory.matching import MatchConfig, match
from suffuse.trajectory.matching.points import Points
from suffuse.trajectory.metrics.alignment import align
from suffuse.trajectory.metrics.overlap import overlaps
from suffuse.trajectory.metrics.points import lengths_m
from suffuse.trajectory.model.generate import GenerationConfig
from suffuse.trajectory.model.pretrained import TripGenerator

LAMBERT_93 = "EPSG:2154"
NEAR_M = 2500.0
"""Paths are kept that lie no farther than this from a hike: of these most are connected."""
LEAST_M = 1000.0
"""A leg of a hike is at least so long."""
SAME = 0.5
"""Legs of one hike that share more than this are one way, there and back."""
DRAWS = 2000


def table_in(archive: tarfile.TarFile, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of the source."""
    member = next(path for path in archive.getnames() if path.endswith(name))
    file = archive.extractfile(member)
    assert file is not None
    csv.field_size_limit(2**30)
    return list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))


def lines_in(wkt: list[str]) -> ndarray:
    """Geometries from text; as objects, for an array of strings has room for the longest of them in every row."""
    lines: ndarray = shapely.from_wkt(np.array(wkt, dtype=object))
    return lines


def read_source(source: Path) -> tuple[RoadNetwork, Points]:
    """The paths near the hikes as walkers meet them, and the hikes as traces."""
    with tarfile.open(source) as archive:
        hikes = table_in(archive, "data/lacet/ecrins.csv")
        paths = lines_in([row["wkt"] for row in table_in(archive, "data/network/network_ecrin.wkt")])
    lines = lines_in([row["WKT"] for row in hikes])
    to_lonlat = pyproj.Transformer.from_crs(LAMBERT_93, "EPSG:4326", always_xy=True)
    lines = shapely.transform(lines, lambda xy: np.stack(to_lonlat.transform(*xy.T), axis=1))
    frame = gpd.GeoSeries(paths, crs="EPSG:4326")
    metres = frame.to_crs(LAMBERT_93)
    near = shapely.STRtree(metres.to_numpy()).query(
        gpd.GeoSeries(lines, crs="EPSG:4326").to_crs(LAMBERT_93).to_numpy(), predicate="dwithin", distance=NEAR_M
    )[1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ecrins.parquet"
        gpd.GeoDataFrame(geometry=frame.iloc[np.unique(near)].reset_index(drop=True)).to_parquet(file)
        network = load_city(file, "walk")
    xy, row = shapely.get_coordinates(lines, return_index=True)
    return network, Points.from_arrays(xy, np.array([hikes[each]["iditi"] for each in row], dtype=object))


def legs(network: RoadNetwork, hikes: Trips) -> tuple[Trips, ndarray]:
    """Each part of a hike there and back, and the number of its hike."""
    places = network.to_metres(network.centroid_lonlat)
    routes, owner = list[list[int]](), list[int]()
    names = [str(each).split("-")[0] for each in hikes.trip_id]
    hike = {name: number for number, name in enumerate(dict.fromkeys(names))}
    for row in range(len(hikes)):
        route = hikes.segments_of(row)
        far = int(np.argmax(np.linalg.norm(places[route] - places[route[0]], axis=1)))
        parts = [part for part in (route[: far + 1], route[far + 1 :]) if once(network, part)]
        if len(parts) == 2 and shared(network, parts[0], parts[1]) > SAME:
            parts = parts[:1]
        routes += [part.tolist() for part in parts]
        owner += [hike[names[row]]] * len(parts)
    return Trips.from_lists(routes), np.array(owner)


def once(network: RoadNetwork, part: Int[ndarray, " l"]) -> bool:
    """Whether a part is long enough, and comes to its end but once."""
    return bool(network.length_m[part].sum() >= LEAST_M and (part == part[-1]).sum() == 1)


def shared(network: RoadNetwork, one: Int[ndarray, " l"], other: Int[ndarray, " m"]) -> float:
    """Share of the metres of the shorter part that both use, in either direction."""
    back = network.reverse[other]
    common = np.intersect1d(one, np.concatenate([other, back[back >= 0]]))
    return float(network.length_m[common].sum() / min(network.length_m[one].sum(), network.length_m[other].sum()))


def interval(values: Float[ndarray, " k"], owner: Int[ndarray, " k"]) -> tuple[float, float]:
    """Where 95 % of the means of hikes drawn with replacement lie."""
    hikes = np.unique(owner)
    total, count = (np.array([what[owner == hike].sum() for hike in hikes]) for what in (values, np.ones(len(values))))
    draw = np.random.default_rng(0).integers(len(hikes), size=(DRAWS, len(hikes)))
    low, high = np.quantile(total[draw].sum(axis=1) / count[draw].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Print a row for each way of answering."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--model", default="base")
    parser.add_argument("--best-of", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    use_threads(1)
    network, points = read_source(args.source)
    hikes, report = match(points, network, config=MatchConfig(gps_error_m=10.0, radius_m=40.0, cut=True))
    real, owner = legs(network, hikes)
    matched = f"of {report.traces} hikes {report.whole} matched whole and {report.cut} in parts"
    print(f"{network!r}: {matched}; {len(real)} legs of {len(set(owner.tolist()))} hikes")
    model = load_model(args.model, network)
    if not isinstance(model, TripGenerator) or model.logit is None:
        sys.exit(f"{args.model} is no model for any city")
    asked = Requests.from_trips(real)
    table = Table("", *("Hausdorff km", "DTW km", "EDR", "overlap", "length ratio"), title=f"{len(real)} legs of hikes")
    rows = []

    def score(name: str, trips: Trips) -> None:
        pairs = np.stack([np.arange(len(real))] * 2, axis=1)
        found = align(network, real, trips, pairs)
        row: dict[str, object] = {"row": name}
        shown = []
        figures = {"hausdorff_km": found.hausdorff_km, "dtw_km": found.dtw_km, "edr": found.edr}
        for what, values in (figures | {"overlap": overlaps(network, real, trips, pairs)}).items():
            low, high = interval(values, owner)
            row[what] = [float(values.mean()), low, high]
            shown.append(f"{values.mean():.3f} ({low:.3f} to {high:.3f})")
        row["length_ratio"] = float(lengths_m(network, trips).sum() / lengths_m(network, real).sum())
        rows.append(row)
        print(row, flush=True)
        table.add_row(name, *shown, f"{row['length_ratio']:.3f}")

    score("Dijkstra, length", Dijkstra.without_trips(network).sample(asked))
    score("road logit, draw", model.logit.sample(asked, seed=0))
    score("road logit, guess", cheapest(model.logit, asked))
    config = GenerationConfig().for_guess()
    draws = [model.sample(asked, config=config, draw=draw) for draw in range(args.best_of)]
    score("model, draw", draws[0])
    score("model, guess", guessed(model, asked, draws, config))
    Console(width=160).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
