"""The road network of Coquimbo and La Serena, Chile, out of the package aequilibrae (a SpatiaLite file in a zip)."""

import io
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyogrio
import shapely

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.access import as_met
from suffuse.trajectory.roads.attributes import classes_and_speeds
from suffuse.trajectory.roads.network import WGS84, RoadNetwork

ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL 1.0, by way of AequilibraE's reference files"

HOW_TO_GET = "`pip download --no-deps aequilibrae==1.7.2` fetches the wheel; give its path as the source"

LETTERS = {"bike": ("b", "bicycle"), "walk": ("w", "foot")}
"""What opens a link to a mode in the column `modes`, and the tag that says the same."""

_MEMBER = "aequilibrae/reference_files/coquimbo.zip"
_DATABASE = "project_database.sqlite"
_ENDS = ["link_id", "a_node", "b_node", "direction"]
_COLUMNS = [*_ENDS, "distance", "modes", "link_type", "speed_ab", "speed_ba", "lanes_ab", "lanes_ba", "osm_id"]
_MAX_BYTES = 512 * 2**20


def find_coquimbo() -> Path:
    """`coquimbo.zip` of the installed package aequilibrae, which is looked for but not imported."""
    spec = find_spec("aequilibrae")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder) / "reference_files" / "coquimbo.zip"
        if path.is_file():
            return path
    raise RoadNetworkError(f"the package aequilibrae, which holds this network, is not installed: {HOW_TO_GET}")


def read_coquimbo(
    source: Path, *, bbox: tuple[float, float, float, float] | None = None, mode: str | None = None
) -> RoadNetwork:
    """The links that a mode may use, one segment a direction, from `coquimbo.zip` or the aequilibrae wheel around it.

    For cars these are the links with a c in the column `modes`. The letters w and b open a link to walkers and
    cyclists, but the others are not barred: the file, made for cars and buses, has them on 406 links of 19,846.
    `bbox` = (west, south, east, north) in degrees keeps the links that start inside, as drawn. Speeds and lanes are the
    links' own, or the default of the road class and 1. Of links that join the same nodes in the same direction (19 of
    19,846) only the one listed last stays, so that two nodes name a segment.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / _DATABASE
        database.write_bytes(_database_bytes(source))
        try:
            links = pyogrio.read_dataframe(database, layer="links", columns=_COLUMNS)
            nodes = pyogrio.read_dataframe(database, layer="nodes", columns=["node_id"])
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise RoadNetworkError(f"{source}: {_DATABASE} in it cannot be read: {because(error)}") from error
    if missing := (set(_COLUMNS) - set(links.columns)) | ({"node_id"} - set(nodes.columns)):
        raise RoadNetworkError(f"{source}: {_DATABASE} in it has no column {min(missing)!r}")
    letter, tag = LETTERS.get(mode or "drive", ("c", ""))
    links = links[links["modes"].str.contains(f"c|{letter}") & (links["link_type"] != "centroid_connector")]
    if bbox is not None:
        start = shapely.get_coordinates(shapely.get_point(links.geometry.to_numpy(), 0))
        west, south, east, north = bbox
        lon, lat = start[:, 0], start[:, 1]
        links = links[(west < lon) & (lon < east) & (south < lat) & (lat < north)]

    row = np.concatenate([np.flatnonzero(links["direction"] >= 0), np.flatnonzero(links["direction"] <= 0)])
    backward = np.arange(len(row)) >= int((links["direction"] >= 0).sum())
    order = np.lexsort((backward, row))
    row, backward = row[order], backward[order]
    a, b = links["a_node"].to_numpy()[row], links["b_node"].to_numpy()[row]
    tail, head = np.where(backward, b, a).astype(np.int64), np.where(backward, a, b).astype(np.int64)
    _, from_the_end = np.unique(np.stack([tail, head])[:, ::-1], axis=1, return_index=True)
    keep = np.sort(len(row) - 1 - from_the_end)
    row, backward, tail, head = row[keep], backward[keep], tail[keep], head[keep]

    ab, ba = (links[name].to_numpy(dtype=np.float64)[row] for name in ("speed_ab", "speed_ba"))
    own, other = np.where(backward, ba, ab), np.where(backward, ab, ba)
    highway, speed = classes_and_speeds(links["link_type"].to_numpy()[row], np.where(np.isfinite(own), own, other))
    lanes = np.where(backward, *(links[name].to_numpy(dtype=np.float64)[row] for name in ("lanes_ba", "lanes_ab")))
    lines = links.geometry.to_numpy()[row]
    way = links["osm_id"].to_numpy()[row]
    node_ids, ends = np.unique(np.stack([tail, head]), return_inverse=True)
    place = nodes.set_index("node_id").geometry.loc[node_ids]
    network = RoadNetwork(
        name="coquimbo",
        segment_ids=links["link_id"].to_numpy(dtype=np.int64)[row] * 2 + backward,
        from_node=ends.reshape(2, -1)[0],
        to_node=ends.reshape(2, -1)[1],
        node_ids=node_ids,
        node_lonlat=shapely.get_coordinates(place.to_numpy()),
        geometry=np.where(backward, shapely.reverse(lines), lines),
        length_m=links["distance"].to_numpy(dtype=np.float64)[row],
        highway=highway,
        speed_kmh=speed,
        lanes=np.where(np.isfinite(lanes), np.maximum(lanes, 1.0), 1.0),
        crs=WGS84,
        source_ids=np.array([str(int(value)) if np.isfinite(value) else "" for value in way], dtype=object),
        attribution=ATTRIBUTION,
    )
    if not tag:
        return network
    named = links["modes"].str.contains(letter).to_numpy()[row]
    return as_met(network, mode, {"highway": links["link_type"].to_numpy()[row], tag: np.where(named, "yes", "")})


def _database_bytes(source: Path) -> bytes:
    """The SpatiaLite file in `coquimbo.zip`, or in that zip in a wheel; nothing is unpacked by its own path."""
    try:
        with zipfile.ZipFile(source) as outer:
            if _MEMBER in outer.namelist():
                with zipfile.ZipFile(io.BytesIO(_member(outer, _MEMBER))) as inner:
                    return _member(inner, _DATABASE)
            return _member(outer, _DATABASE)
    except FileNotFoundError as error:
        raise RoadNetworkError(f"{source}: no such file; {HOW_TO_GET}") from error
    except KeyError as error:
        raise RoadNetworkError(f"{source}: holds neither {_MEMBER} nor {_DATABASE}; {HOW_TO_GET}") from error
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise RoadNetworkError(f"{source}: is not a zip file that can be read: {because(error)}") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _MAX_BYTES:
        raise RoadNetworkError(
            f"{archive.filename}: {name} in it is {size / 2**20:.0f} MiB, more than {_MAX_BYTES >> 20}"
        )
    return archive.read(name)
