"""Cities by name or path: the one shipped, those made by `prepare_city`, and a user's own files."""

import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suffuse.console import because
from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads import aequilibrae_zip
from suffuse.trajectory.roads.contract import clean, connected_part
from suffuse.trajectory.roads.folder import read_folder
from suffuse.trajectory.roads.geofile import SUFFIXES, read_geofile
from suffuse.trajectory.roads.hoser import read_hoser
from suffuse.trajectory.roads.modes import checked_mode
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.roads.osmnx import read_graphml
from suffuse.trajectory.roads.pbf import read_pbf
from suffuse.trajectory.roads.sumo import read_sumo
from suffuse.trajectory.roads.write import write_roads

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CityRecipe:
    """What of Coquimbo a city is: a box in degrees (west, south, east, north), or all of it."""

    title: str
    bbox: tuple[float, float, float, float] | None


CITIES = {
    "la-serena": CityRecipe(title="La Serena, Chile, 4 x 4 km centre", bbox=(-71.270, -29.925, -71.228, -29.889)),
    "coquimbo-8km": CityRecipe(title="La Serena, Chile, 8 x 8 km", bbox=(-71.29, -29.95, -71.20, -29.875)),
    "coquimbo-full": CityRecipe(title="Coquimbo and La Serena, Chile", bbox=None),
}
"""Cities with a name, all cut from one network: 2,560, 9,684 and 22,186 segments."""

READERS: dict[str, Callable[[Path, str | None], RoadNetwork]] = {
    ".graphml": read_graphml,
    ".net.xml": read_sumo,
    ".net.xml.gz": read_sumo,
    ".osm.pbf": read_pbf,
    ".geo": read_hoser,
    **dict.fromkeys(SUFFIXES, read_geofile),
}
"""How a road file is read, by its suffix."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

NOTICE = """\
roads.parquet holds data from OpenStreetMap, (c) OpenStreetMap contributors, made available under the Open Database
License (ODbL) 1.0: https://opendatacommons.org/licenses/odbl/1-0/ and https://www.openstreetmap.org/copyright

It was taken from the reference files of the Python package AequilibraE (Coquimbo and La Serena, Chile), cut to a box,
reduced to its largest strongly connected part, and nodes that only give a street its shape were joined away. This
derivative database is offered under the ODbL 1.0 too. Whoever shows it, or trips drawn on it, must name its source:
(c) OpenStreetMap contributors.
"""


def data_folder() -> Path:
    """Where prepared cities live: $SUFFUSE_DATA_DIR/cities, else suffuse/cities in the user's cache."""
    if chosen := os.environ.get("SUFFUSE_DATA_DIR"):
        return Path(chosen) / "cities"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "suffuse" / "cities"


def load_city(name_or_path: str | Path, mode: str | None = None) -> RoadNetwork:
    """The road network of a city by name, of a city folder, or of one file in any format of `read_roads`.

    `mode` is who travels (`drive`, `bike` or `walk`): the network as they meet it, see `modes.for_mode`. Without it the
    mode is the file's own, which is `drive` where it names none.

    `la-serena` is shipped; other names that are no path here are looked for where `prepare_city` puts them. Segments
    stay as they are, but only those of the largest strongly connected part are kept; how many were dropped is logged.
    Raises `RoadNetworkError` naming the file and the field.
    """
    if mode is not None:
        checked_mode(mode)
    if not str(name_or_path):
        raise RoadNetworkError(
            f"the city has no name; cities: {', '.join(CITIES)}, or the path of a folder or road file"
        )
    path = Path(name_or_path)
    if (
        isinstance(name_or_path, str)
        and _NAME.fullmatch(name_or_path)
        and (name_or_path in CITIES or not path.exists())
    ):
        path = next((folder for folder in _places(name_or_path, mode) if folder.is_dir()), path)
    if name_or_path in CITIES and not path.is_dir():
        raise RoadNetworkError(
            f"city {name_or_path!r} is not in {data_folder()}: `suffuse-trajectory prepare {name_or_path} "
            f"--source WHEEL` makes it; {aequilibrae_zip.HOW_TO_GET}"
        )
    network = read_roads(path, mode)
    try:
        whole = connected_part(network)
    except RoadNetworkError as error:
        raise RoadNetworkError(f"{path}: {error}") from error
    if whole is not network:
        logger.warning(
            "%s: %d of %d segments dropped: not in the largest part where every place can reach every other",
            path,
            len(network) - len(whole),
            len(network),
        )
    return whole


def read_roads(path: Path, mode: str | None = None) -> RoadNetwork:
    """Every segment of a city folder or of one road file; the suffix (see `READERS`) says how the file is read.

    With `mode`, the segments that it may use, as it may use them; a file that names its mode is not filtered again.
    """
    suffix = next((known for known in READERS if path.name.lower().endswith(known)), None)
    if not path.is_dir() and (suffix is None or not path.is_file()):
        what = "no such city, folder or file" if not path.exists() else f"unknown suffix {path.suffix!r}"
        raise RoadNetworkError(f"{path}: {what}; cities: {', '.join(CITIES)}; files: {', '.join(READERS)}")
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # libraries warn of fields nobody asked for; what matters is an error or a log line
        read = READERS[suffix] if suffix is not None and path.is_file() else read_folder
        return read(path, mode)


def prepare_city(
    name: str, *, source: Path | None = None, out: Path | None = None, join: bool = True, mode: str | None = None
) -> Path:
    """Make a city folder (`roads.parquet`, `city.json`, `NOTICE`) and return its path.

    For a name of `CITIES`, `source` is the aequilibrae wheel or the `coquimbo.zip` in it; None takes it from the
    installed package. For a name of the caller's, `source` is a road file or folder; its largest strongly connected
    part is kept, and segments that follow each other without a choice are joined unless `join` is false. `mode` is as
    in `load_city`, and is kept in `city.json`. `out` defaults to where `load_city` looks for the name; walkers and
    cyclists of the named cities have a folder beside that of drivers, which `load_city` finds by name and mode. The
    folder appears whole or not at all; a prepared city that is there is replaced.
    """
    if not _NAME.fullmatch(name):
        raise RoadNetworkError(f"city name {name!r} must be letters, digits, '-' and '_', the first a letter or digit")
    about: dict[str, object] = {"name": name}
    if name in CITIES:
        source = aequilibrae_zip.find_coquimbo() if source is None else source
        raw = aequilibrae_zip.read_coquimbo(source, bbox=CITIES[name].bbox, mode=mode)
        about |= {"title": CITIES[name].title, "bbox": CITIES[name].bbox, "time_zone": "America/Santiago"}
    elif source is None:
        raise RoadNetworkError(
            f"city {name!r} is none of {', '.join(CITIES)}, so a road file to make it from is needed"
        )
    else:
        raw = read_roads(source, mode)
    network = clean(raw, join=join)
    network = replace(network, name=name, segment_ids=np.arange(len(network), dtype=np.int64)) if join else network
    about |= {
        "segments": len(network),
        "nodes": len(network.node_ids),
        "km": round(float(network.length_m.sum()) / 1000, 1),
        "mode": network.mode,
        "attribution": network.attribution,
    }
    usual = data_folder() / (_of_mode(name, mode) if name in CITIES else name)
    return _write_city(network, usual if out is None else out, about, NOTICE if name in CITIES else None)


def _write_city(network: RoadNetwork, out: Path, about: dict[str, object], notice: str | None) -> Path:
    contents = {"roads.parquet", "city.json", "NOTICE"}
    if out.exists() and not (out.is_dir() and {entry.name for entry in out.iterdir()} <= contents):
        raise RoadNetworkError(f"{out}: is there and is no prepared city; choose another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
            made, old = Path(temporary) / "made", Path(temporary) / "old"
            made.mkdir()
            write_roads(network, made / "roads.parquet")
            (made / "city.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            if notice is not None:
                (made / "NOTICE").write_text(notice, encoding="utf-8")
            if out.exists():
                out.rename(old)
            made.rename(out)
    except OSError as error:
        raise RoadNetworkError(f"{out}: cannot be written: {because(error)}") from error
    return out


def _of_mode(name: str, mode: str | None) -> str:
    """The folder of a named city: drivers have the name itself."""
    return name if mode in (None, "drive") else f"{name}-{mode}"


def _places(name: str, mode: str | None) -> list[Path]:
    """Where a city may lie, the likeliest first: what was made for the mode comes before what was made for cars."""
    names = dict.fromkeys((_of_mode(name, mode), name))
    shipped = Path(__file__).parent.parent / "cities"
    return [folder / each for each in names for folder in (shipped, data_folder())]
