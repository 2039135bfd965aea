"""A city as a folder: `roads.parquet`, or `nodes.csv` and `edges.csv`, or HOSER's `roadmap.geo` and `roadmap.rel`."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from suffuse.console import because, read_object
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import as_met, said_mode, tags_of_table
from suffuse.trajectory.roads.assemble import assemble, check_lonlat
from suffuse.trajectory.roads.columns import (
    find_column,
    flags,
    lane_counts,
    need_column,
    numbers,
    optional_numbers,
    speeds,
    texts,
    whole_numbers,
)
from suffuse.trajectory.roads.geofile import read_geofile
from suffuse.trajectory.roads.hoser import read_hoser
from suffuse.trajectory.roads.network import RoadNetwork

LAYOUTS = "roads.parquet, nodes.csv[.gz] with edges.csv[.gz], or roadmap.geo with roadmap.rel"


def read_folder(folder: Path, mode: str | None = None) -> RoadNetwork:
    """The road network of a city folder, one row or feature a segment, as `mode` meets it.

    `city.json` beside it may say name, attribution and mode. Raises `RoadNetworkError` if the folder holds none of the
    layouts in `LAYOUTS`.
    """
    about = _city_json(folder)
    said = said_mode(about.get("mode"), str(folder / "city.json"))
    inside = mode if said is None else None
    edges = _one_of(folder, "edges.csv", "edges.csv.gz")
    if (folder / "roads.parquet").is_file():
        network = read_geofile(folder / "roads.parquet", inside)
    elif edges is not None:
        nodes = _one_of(folder, "nodes.csv", "nodes.csv.gz")
        if nodes is None:
            raise RoadNetworkError(f"{folder}: has {edges.name} but no nodes.csv or nodes.csv.gz beside it")
        network = read_tables(nodes, edges, inside)
    elif (folder / "roadmap.geo").is_file():
        network = read_hoser(folder / "roadmap.geo", inside)
    else:
        raise RoadNetworkError(f"{folder}: holds no road network; a city folder has {LAYOUTS}")
    named = replace(
        network,
        name=str(about.get("name", folder.name)),
        attribution=str(about.get("attribution", network.attribution)),
        mode=said or network.mode,
    )
    return as_met(named, mode, said=named.mode) if said else named


def read_tables(nodes: Path, edges: Path, mode: str | None = None) -> RoadNetwork:
    """A network from two CSV files in WGS 84, gzipped or not, as `mode` meets it.

    Nodes: `node_id, lon, lat`. Edges, one row a direction: `edge_id, u, v, length_m, road_class, car_speed_kmh, wkt`
    and, if there, `lanes` (in this direction), `is_link`; `columns.ALIASES` lists the other names that are understood.
    Only u and v are needed: without `wkt` a segment is a straight line between its nodes.
    """
    table = _read_csv(edges)
    places = _read_csv(nodes)
    source = str(edges)
    segment = find_column(table, "segment")
    tail, head = (whole_numbers(need_column(table, what, source), source) for what in ("from_node", "to_node"))
    node_ids = whole_numbers(need_column(places, "node", str(nodes)), str(nodes))
    lonlat = np.stack([numbers(need_column(places, what, str(nodes)), str(nodes)) for what in ("lon", "lat")], axis=1)
    check_lonlat(lonlat, source=str(nodes), names=node_ids, what="node")
    highway = find_column(table, "highway")
    network = assemble(
        source=source,
        name=edges.parent.name,
        segment_ids=None if segment is None else whole_numbers(segment, source),
        tail=tail,
        head=head,
        node_ids=node_ids,
        node_lonlat=lonlat,
        lines=_lines(find_column(table, "wkt"), len(table), source),
        length_m=optional_numbers(table, "length_m", source),
        highway=None if highway is None else highway.to_numpy(dtype=object),
        speed_kmh=speeds(table),
        is_link=flags(table, "is_link"),
        lanes=lane_counts(table),
        source_ids=texts(table, "source_ids"),
    )
    return as_met(network, mode, tags_of_table(table))


def _one_of(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, low_memory=False)
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserError, UnicodeError) as error:
        raise RoadNetworkError(f"{path}: is not a CSV file that can be read: {because(error)}") from error


def _lines(wkt: pd.Series | None, rows: int, source: str) -> np.ndarray:
    if wkt is None:
        return np.full(rows, None, dtype=object)
    text = np.array([value if isinstance(value, str) else None for value in wkt], dtype=object)
    lines: np.ndarray = shapely.from_wkt(text, on_invalid="ignore")
    if bad := np.flatnonzero(shapely.is_missing(lines) & wkt.notna().to_numpy()).tolist():
        raise RoadNetworkError(
            f"{source}: column {wkt.name!r}, record {bad[0] + 1}: {str(wkt.iloc[bad[0]])[:60]!r} is no WKT LineString"
        )
    flat: np.ndarray = shapely.force_2d(lines)
    return flat


def _city_json(folder: Path) -> dict[str, object]:
    path = folder / "city.json"
    return read_object(path, error=RoadNetworkError) if path.is_file() else {}
