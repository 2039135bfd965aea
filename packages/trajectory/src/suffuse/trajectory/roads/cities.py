"""Cities by name or path: the one shipped, those made by `prepare_city`, and a user's own files."""

import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads import aequilibrae_zip, geofile
from suffuse.trajectory.roads.contract import clean, connected_part
from suffuse.trajectory.roads.folder import LAYOUTS, read_folder
from suffuse.trajectory.roads.network import RoadNetwork
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


def load_city(name_or_path: str | Path) -> RoadNetwork:
    """The road network of a named city, of a city folder, or of one file in any of the formats this package reads.

    Names: `la-serena` is shipped, `coquimbo-8km` and `coquimbo-full` are looked for where `prepare_city` puts them. Files:
    see `read_roads`. Segments stay as they are, but only those of the largest strongly connected part are kept; how many
    were dropped is logged. Raises `RoadNetworkError` naming the file and the field.
    """
    if isinstance(name_or_path, str) and name_or_path in CITIES:
        return _named(name_or_path)
    path = Path(name_or_path)
    network = read_folder(path) if path.is_dir() else read_roads(path)
    whole = connected_part(network)
    if whole is not network:
        logger.warning(
            "%s: %d of %d segments dropped: they are not in the largest part in which every place can reach every other",
            path,
            len(network) - len(whole),
            len(network),
        )
    return whole


def read_roads(path: Path) -> RoadNetwork:
    """Every segment of one road file; the suffix says how it is read."""
    name = path.name.lower()
    if not path.is_file():
        raise RoadNetworkError(
            f"{path}: no such city or file; cities by name: {', '.join(CITIES)}; a city folder has {LAYOUTS}"
        )
    if path.suffix.lower() in geofile.SUFFIXES:
        return geofile.read_geofile(path)
    raise RoadNetworkError(f"{path}: unknown kind of road file {name!r}")


def prepare_city(name: str, *, source: Path | None = None, out: Path | None = None) -> Path:
    """Make the folder of a named city (`roads.parquet`, `city.json`, `NOTICE`) and return it.

    `source` is the aequilibrae wheel or the `coquimbo.zip` in it; None takes it from the installed package. `out` defaults
    to where `load_city` looks. The folder appears whole or not at all; one that is there already is replaced.
    """
    if name not in CITIES:
        raise RoadNetworkError(f"city {name!r} is unknown; cities that can be prepared: {', '.join(CITIES)}")
    recipe = CITIES[name]
    source = aequilibrae_zip.find_coquimbo() if source is None else source
    network = clean(aequilibrae_zip.read_coquimbo(source, bbox=recipe.bbox))
    network = replace(network, name=name, segment_ids=np.arange(len(network), dtype=np.int64))
    about = {
        "name": name,
        "title": recipe.title,
        "bbox": recipe.bbox,
        "time_zone": "America/Santiago",
        "segments": len(network),
        "nodes": len(network.node_ids),
        "km": round(float(network.length_m.sum()) / 1000, 1),
        "attribution": network.attribution,
        "made_by": f"suffuse-trajectory prepare {name}",
    }
    out = data_folder() / name if out is None else out
    return write_city(network, out, about=about, notice=NOTICE)


def write_city(network: RoadNetwork, out: Path, *, about: dict[str, object], notice: str = "") -> Path:
    """Write a city folder that `load_city` reads; it appears whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        made = Path(temporary) / "city"
        made.mkdir()
        write_roads(network, made / "roads.parquet")
        (made / "city.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        if notice:
            (made / "NOTICE").write_text(notice, encoding="utf-8")
        if out.exists():
            if not {entry.name for entry in out.iterdir()} <= {"roads.parquet", "city.json", "NOTICE"}:
                raise RoadNetworkError(f"{out}: holds other files than a prepared city; choose another folder")
            os.replace(out, Path(temporary) / "old")
        os.replace(made, out)
        shutil.rmtree(Path(temporary) / "old", ignore_errors=True)
    return out


def _named(name: str) -> RoadNetwork:
    shipped = Path(__file__).parent.parent / "cities" / name
    for folder in (shipped, data_folder() / name):
        if (folder / "roads.parquet").is_file():
            return read_folder(folder)
    raise RoadNetworkError(
        f"city {name!r} is not prepared in {data_folder()}: `suffuse-trajectory prepare {name} --source WHEEL` makes it; "
        f"{aequilibrae_zip.HOW_TO_GET}"
    )
