"""Map matching: how near matched routes are to the true ones, and how many traces a second.

    python benchmarks/trajectory_match.py [--tracks 50] [--sf 20000] [--peers 20] [--json out.json]

*Accuracy* on recorded tracks at 1 s whose routes were checked by hand (Kubicka and others, IEEE IV 2015), as recorded
and with fixes thinned to 15, 30 and 60 s: the length of road that both the matched and the true route use, over the
length that either uses (overlap), and over that of the true route (found). Tracks are matched as `match --cut` does.
*Peers*: simulated trips of La Serena with normal errors, against leuvenmapmatching where it is installed. *Throughput*
on the raw GPS of San Francisco taxis: traces a second of all of `trajectory.match`, by one process and by two, and of
fastmm alone where it is installed. Times are of processors, in which others on the machine do not count. See
docs/data.md for the data.
"""

import argparse
import importlib.util
import json
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import shapely
from machine import DATA, describe

from suffuse.trajectory import MatchConfig, Points, RoadNetwork, Trips, load_city, match
from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.matching.match import usual_reach
from suffuse.trajectory.matching.way import spaced
from suffuse.trajectory.trips.frame import trip_points

INTERVALS_S = (1, 15, 30, 60)


def tracks(folder: Path, most: int) -> dict[int, tuple[RoadNetwork, np.ndarray, np.ndarray, np.ndarray]]:
    """Network, positions, times and true route of each recorded track, those of the smallest networks first."""
    tables = {name: dict(tuple(pd.read_parquet(folder / f"{name}.parquet").groupby("track"))) for name in
              ("nodes", "arcs", "tracks", "routes")}  # fmt: skip
    geod = pyproj.Geod(ellps="WGS84")
    found = {}
    for track in sorted(tables["arcs"], key=lambda track: len(tables["arcs"][track]))[:most]:
        lonlat = tables["nodes"][track][["lon_e6", "lat_e6"]].to_numpy() / 1e6
        u, v = (tables["arcs"][track][end].to_numpy(np.int64) for end in ("u", "v"))
        length = np.asarray(geod.inv(*lonlat[u].T, *lonlat[v].T)[2])
        some = length > 0
        network = RoadNetwork(
            name=f"track {track}", segment_ids=np.flatnonzero(some), from_node=u[some], to_node=v[some],
            node_ids=np.arange(len(lonlat)), node_lonlat=lonlat,
            geometry=shapely.linestrings(np.stack([lonlat[u[some]], lonlat[v[some]]], axis=1)),
            length_m=length[some], highway=np.full(some.sum(), "unclassified", dtype=object),
            speed_kmh=np.full(some.sum(), 50.0), lanes=np.ones(some.sum()),
        )  # fmt: skip
        fixes, route = tables["tracks"][track], tables["routes"][track]["arc"].to_numpy(np.int64)
        truth = (np.cumsum(some) - 1)[route[some[route]]]
        found[track] = (network, fixes[["lon_e6", "lat_e6"]].to_numpy() / 1e6, fixes["t_s"].to_numpy(float), truth)
    return found


def thinned(time_s: np.ndarray, every_s: float) -> np.ndarray:
    """Rows of fixes at least so many seconds apart, and the last."""
    kept = [0]
    for row in range(1, len(time_s)):
        if time_s[row] - time_s[kept[-1]] >= every_s:
            kept.append(row)
    return np.unique([*kept, len(time_s) - 1])


def shares(network: RoadNetwork, found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Length of what both routes use over what either uses, and over the true one."""
    both, either = (network.length_m[some].sum() for some in (np.intersect1d(found, truth), np.union1d(found, truth)))
    return both / either, both / network.length_m[np.unique(truth)].sum()


def accuracy(folder: Path, most: int) -> list[dict[str, float]]:
    """A row for each interval."""
    recorded = tracks(folder, most)
    rows = []
    for every in INTERVALS_S:
        scores, began = [], time.process_time()
        for track, (network, lonlat, when, truth) in recorded.items():
            kept = thinned(when, every)
            points = Points.from_arrays(lonlat[kept], np.full(len(kept), str(track)), when[kept])
            try:
                trips, _ = match(points, network, config=MatchConfig(cut=True))
                scores.append(shares(network, trips.segment, truth))
            except TripError:
                scores.append((0.0, 0.0))
        overlap, found = np.array(scores).T
        rows.append({
            "every_s": every, "tracks": len(scores),
            "overlap_mean": overlap.mean(), "overlap_median": np.median(overlap),
            "overlap_p10": np.quantile(overlap, 0.1), "found_mean": found.mean(), "found_median": np.median(found),
            "seconds": time.process_time() - began,
        })  # fmt: skip
        print("  ".join(f"{name} {value:.3f}" for name, value in rows[-1].items()), flush=True)
    return rows


def noised(trips: Trips, city: RoadNetwork, every_s: float, sigma_m: float) -> Points:
    """What a recorder would have kept of trips: a fix every so many seconds, with normal errors."""
    corner, owner, row, share = trip_points(trips, city)
    leave = np.append(trips.enter_s[1:], 0.0)
    leave[trips.start[1:] - 1] = trips.duration_s
    at = trips.enter_s[row] + share * (leave - trips.enter_s)[row]
    lonlat, when, lengths = [], [], []
    for trip in range(len(trips)):
        mine = owner == trip
        moments = np.append(np.arange(0, trips.duration_s[trip], every_s), trips.duration_s[trip])
        lonlat.append(np.stack([np.interp(moments, at[mine], corner[mine, axis]) for axis in (0, 1)], axis=-1))
        when.append(moments + trips.depart[trip].astype(np.int64))
        lengths.append(len(moments))
    flat = np.concatenate(lonlat)
    metre = 1 / 111_195 / np.stack([np.cos(np.radians(flat[:, 1])), np.ones(len(flat))], axis=-1)
    error = np.random.default_rng(0).normal(0, sigma_m, flat.shape) * metre
    return Points.from_arrays(flat + error, np.repeat(trips.trip_id, lengths), np.concatenate(when))


def with_suffuse(points: Points, city: RoadNetwork) -> dict[str, np.ndarray]:
    """Segments of each trace, by its name."""
    trips, _ = match(points, city)
    return {name: trips.segments_of(row) for row, name in enumerate(trips.trip_id.tolist())}


def with_leuven(points: Points, city: RoadNetwork) -> dict[str, np.ndarray]:
    """As `with_suffuse`, by leuvenmapmatching with the settings of its documentation for such data."""
    from leuvenmapmatching.map.inmem import InMemMap
    from leuvenmapmatching.matcher.distance import DistanceMatcher

    corners, owner = shapely.get_coordinates(city.geometry, return_index=True)
    bounds = np.searchsorted(owner, np.arange(len(city) + 1)).tolist()
    place = city.to_metres(corners).tolist()
    roads = InMemMap("city", use_latlon=False, use_rtree=False, index_edges=True)
    segment_of = {}
    for segment, (first, last) in enumerate(pairwise(bounds)):  # its edges are straight: one for each piece of a line
        names = [f"corner {corner}" for corner in range(first, last)]
        names[0], names[-1] = f"node {city.from_node[segment]}", f"node {city.to_node[segment]}"
        for name, (x, y) in zip(names, place[first:last], strict=True):
            roads.add_node(name, (y, x))
        for ends in pairwise(names):
            roads.add_edge(*ends)
            segment_of[ends] = segment
    found = {}
    for row, name in enumerate(points.trip_id.tolist()):
        xy = city.to_metres(points.lonlat[points.start[row] : points.start[row + 1]])
        matcher = DistanceMatcher(
            roads, max_dist=120, obs_noise=15, obs_noise_ne=60, max_dist_init=60, min_prob_norm=0.001,
            non_emitting_length_factor=0.9, non_emitting_states=True, max_lattice_width=12,
        )  # fmt: skip
        matcher.match([(y, x) for x, y in xy.tolist()])
        ends = [state.shortkey for state in (matcher.lattice_best or [])]
        found[name] = np.array([segment_of[key] for key in ends if key in segment_of], dtype=np.int64)
    return found


def peers(count: int) -> list[dict[str, object]]:
    """Overlap and fixes a second on simulated trips, for each library, interval and error."""
    city = load_city("la-serena")
    trips = simulate(city, DemandConfig(), count, seed=11)
    libraries: dict[str, Callable[[Points, RoadNetwork], dict[str, np.ndarray]]] = {"suffuse": with_suffuse}
    try:
        import leuvenmapmatching  # noqa: F401

        libraries["leuvenmapmatching"] = with_leuven
    except ImportError:
        print("leuvenmapmatching is not installed: only one library is measured")
    rows = []
    for every, sigma in ((5, 5.0), (15, 10.0), (30, 10.0), (60, 10.0)):
        points = noised(trips, city, every, sigma)
        for name, library in libraries.items():
            began = time.process_time()
            found = library(points, city)
            spent = time.process_time() - began
            scores = [
                shares(city, found.get(trip, np.empty(0, np.int64)), trips.segments_of(row))[0]
                for row, trip in enumerate(trips.trip_id.tolist())
            ]
            rows.append({"library": name, "every_s": every, "sigma_m": sigma, "overlap": float(np.mean(scores)),
                         "traces_a_second": count / spent})  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def throughput(folder: Path, count: int) -> dict[str, float]:
    """Traces a second of processor time: all of `match` in one process and in two, and fastmm alone."""
    city = load_city(folder)
    table = pd.read_parquet(folder / "gps.parquet")
    first = np.flatnonzero(np.diff(table["trip"].to_numpy(), prepend=-1))
    table = table.iloc[: first[count] if count < len(first) else None]
    lonlat = table[["lon_e5", "lat_e5"]].to_numpy() / 1e5
    points = Points.from_arrays(lonlat, table["trip"].to_numpy().astype(str), table["t"].to_numpy(float))
    result: dict[str, float] = {"traces": len(points), "fixes": len(lonlat)}
    for workers in (1, 2):
        began, wall = spent(), time.perf_counter()
        _, report = match(points, city, workers=workers)
        seconds = spent() - began
        result |= {f"seconds_{workers}": seconds, f"traces_a_second_{workers}": len(points) / seconds,
                   f"wall_s_{workers}": time.perf_counter() - wall, "whole": report.whole}  # fmt: skip
        print(report.sentence(), flush=True)
    if importlib.util.find_spec("fastmm") is not None:
        result |= with_fastmm(points, city)
    print("  ".join(f"{name} {value:,.1f}" for name, value in result.items()))
    return result


def spent() -> float:
    """Seconds of processor time of this process and of those it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def with_fastmm(points: Points, city: RoadNetwork) -> dict[str, float]:
    """The library that is said to have matched these traces at 1,496 a second, on the same roads and fixes."""
    import fastmm

    xy, config = city.to_metres(points.lonlat), MatchConfig()
    network = fastmm.Network()
    for row, line in enumerate(city.geometry):
        corners = list(map(tuple, city.to_metres(shapely.get_coordinates(line)).tolist()))
        network.add_edge(row, source=int(city.from_node[row]), target=int(city.to_node[row]), geom=corners)
    network.finalize()
    traces = [xy[low:high][spaced(xy[low:high], config.spacing_m)] for low, high in pairwise(points.start.tolist())]
    began = spent()
    with tempfile.TemporaryDirectory() as folder:
        model = fastmm.FastMapMatch(
            network, fastmm.TransitionMode.SHORTEST, max_distance_between_candidates=usual_reach(points, xy),
            cache_dir=folder,
        )  # fmt: skip
        ready = spent()
        for trace in traces:
            model.match(
                fastmm.Trajectory.from_xy_tuples(list(map(tuple, trace.tolist()))), max_candidates=config.candidates,
                candidate_search_radius=config.radius_m, gps_error=config.gps_error_m,
                reverse_tolerance=config.reverse_m,
            )  # fmt: skip
    done = spent()
    return {"fastmm_table_s": ready - began, "fastmm_s": done - ready,
            "fastmm_traces_a_second": len(points) / (done - began)}  # fmt: skip


def main() -> None:
    """Measure what there is data for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tracks", type=int, default=50, help="how many recorded tracks; 0 for none")
    parser.add_argument("--peers", type=int, default=20, help="how many simulated trips; 0 for none")
    parser.add_argument("--sf", type=int, default=20_000, help="how many traces of San Francisco; 0 for none")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(describe())
    results: dict[str, object] = {}
    if args.peers:
        results["peers"] = peers(args.peers)
    for name, folder, count, measure in (
        ("accuracy", "map_matching_truth", args.tracks, accuracy),
        ("throughput", "sf_taxi", args.sf, throughput),
    ):
        if count and (args.data / folder).is_dir():
            results[name] = measure(args.data / folder, count)
        elif count:
            print(f"{args.data / folder} is absent, so {name} is not measured (set SUFFUSE_DATA)")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
