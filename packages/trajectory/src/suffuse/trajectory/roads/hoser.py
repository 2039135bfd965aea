"""Roads in the format of HOSER and LibCity: `roadmap.geo` (segments as lines) and `roadmap.rel` (who follows whom)."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy import ndarray

from suffuse.console import because, shown
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import as_met, tags_of_table
from suffuse.trajectory.roads.assemble import assemble, check_lonlat
from suffuse.trajectory.roads.columns import find_column, lane_counts, optional_numbers, speeds, whole_numbers
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.snap import snap_ends

logger = logging.getLogger(__name__)


def read_hoser(geo: Path, mode: str | None = None) -> RoadNetwork:
    """A network from `roadmap.geo` and the `roadmap.rel` beside it, both CSV, in WGS 84, as `mode` meets it.

    `geo_id` becomes the segment id, `coordinates` (a JSON list of [lon, lat]) the line; `length` is in metres. The
    format has no nodes: segment ends on one spot are one, and so are the ends of two segments that a relation joins.
    Legal transitions follow from the nodes as everywhere in this package, so where the relations forbid a turn at a
    junction that others may take, that turn becomes legal; how many do is logged.
    """
    source = str(geo)
    table = _read(geo, {"geo_id", "coordinates"})
    rel = _read(geo.with_suffix(".rel"), {"origin_id", "destination_id"})
    ids = whole_numbers(table["geo_id"], source)
    lines = np.array(
        [_line(text, source, int(ids[row])) for row, text in enumerate(table["coordinates"])], dtype=object
    )
    if len(lines) == 0:
        raise RoadNetworkError(f"{source}: has no road segments")
    coordinates, owner = shapely.get_coordinates(lines, return_index=True)
    check_lonlat(coordinates, source=source, names=ids[owner], what="the geometry of segment")
    joined = tuple(
        _rows(whole_numbers(rel[name], str(geo.with_suffix(".rel"))), ids, geo, name) for name in rel.columns
    )
    tail, head, lonlat = snap_ends(lines, joined=(joined[0], joined[1]))
    highway = find_column(table, "highway")
    network = assemble(
        source=source,
        name=geo.parent.name or geo.stem,
        segment_ids=ids,
        tail=tail,
        head=head,
        node_ids=np.arange(len(lonlat)),
        node_lonlat=lonlat,
        lines=lines,
        length_m=optional_numbers(table, "length_m", source),
        highway=None if highway is None else highway.to_numpy(dtype=object),
        speed_kmh=speeds(table),
        lanes=lane_counts(table),
    )
    said = {(a, b) for a, b in zip(*joined, strict=True)}
    extra = sum((a, b) not in said for a, b in zip(*network.successors.nonzero(), strict=True))
    if extra:
        logger.warning("%s: %d turns at shared nodes are legal here that the relations do not list", source, extra)
    return as_met(network, mode, tags_of_table(table))


def _read(path: Path, wanted: set[str]) -> pd.DataFrame:
    """A CSV file with the wanted columns; of a relation table only these, origin first."""
    try:
        table = pd.read_csv(path, low_memory=False)
    except FileNotFoundError as error:
        raise RoadNetworkError(f"{path}: no such file") from error
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise RoadNetworkError(f"{path}: is not a CSV file that can be read: {because(error)}") from error
    if missing := wanted - set(table.columns):
        raise RoadNetworkError(f"{path}: has no column {min(missing)!r}")
    return table[["origin_id", "destination_id"]] if "origin_id" in wanted else table


def _line(text: object, source: str, name: int) -> shapely.LineString:
    try:
        coordinates = np.array(json.loads(str(text)), dtype=np.float64)
        return shapely.LineString(coordinates[:, :2])
    except (ValueError, TypeError, IndexError, RecursionError, shapely.errors.GEOSException) as error:
        raise RoadNetworkError(
            f"{source}: coordinates of segment {name} must be a JSON list of [lon, lat], not {shown(str(text), 40)}"
        ) from error


def _rows(wanted: ndarray, ids: ndarray, geo: Path, field: str) -> ndarray:
    order = np.argsort(ids)
    rows = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    if bad := np.flatnonzero(ids[rows] != wanted).tolist():
        raise RoadNetworkError(f"{geo.with_suffix('.rel')}: {field} {wanted[bad[0]]} is no segment of {geo.name}")
    return np.asarray(rows)
