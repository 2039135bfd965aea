"""What the documents show runs: every shell and Python block, in order, in a folder of its own.

Shell blocks are run as they stand but for `SMALLER`, which turns an hour into seconds. Blocks marked `norun`, and
commands that set up an environment (`SETTING_UP`), are not run; what they name has to exist, and options to be right.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import osmnx as ox
import pandas as pd
import pytest
from typer import Typer
from typer.main import get_command
from typer.testing import CliRunner

from suffuse.backbone_cli.cli import app as backbone_app
from suffuse.policy.cli import app as policy_app
from suffuse.trajectory import load_city, read_trips, to_geodataframe
from suffuse.trajectory.cli import app as trajectory_app
from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.roads.osmnx import to_osmnx

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/*/README.md")})
APPS = {"trajectory": trajectory_app, "policy": policy_app, "backbone": backbone_app}
SMALLER = (
    ("--recipe city", "--recipe tiny --steps 6 --batch 16"),
    ("-n 1000", "-n 30"),
    ("-n 400", "-n 40"),
    ("n=1000", "n=30"),
    ("--best-of 10", "--best-of 2"),
    ("--recipe pusht", "--recipe pusht --steps 2 --batch 8"),
    ("--recipe metaworld", "--recipe metaworld --steps 2 --batch 8"),
    ("--recipe fetch", "--recipe fetch --steps 2 --batch 8"),
    ("--episodes 200", "--episodes 1"),
    ("--episodes 100", "--episodes 1"),
)
"""What is written, and what is run in its place."""

SETTING_UP = ("make", "pip", "poetry", "git", "cd")
"""Commands that are not run: `make` runs these tests, and test_packaging.py installs the packages."""

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    info: str
    text: str

    def __str__(self) -> str:
        line = self.document.read_text().partition(self.text)[0].count("\n") + 1
        return f"{self.document.relative_to(ROOT)}:{line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, continued ones joined, without comments and here-documents."""
        text = re.sub(r"<<END\n.*?^END$", "", self.text, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
        lines = (line.partition(" #")[0].strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks() -> Iterator[Block]:
    """All fenced blocks of all documents."""
    for document in DOCUMENTS:
        for info, text in FENCE.findall(document.read_text(encoding="utf-8")):
            yield Block(document, info.strip(), text)


def smaller(text: str) -> str:
    """`text` with its long jobs made short."""
    for written, run in SMALLER:
        text = text.replace(written, run)
    return text


def street_graph(path: Path) -> None:
    """La Serena as somebody has it who saved it with OSMnx: no attribute of ours."""
    graph: nx.MultiDiGraph = nx.MultiDiGraph(crs="epsg:4326", simplified=True, created_with="OSMnx 2.0.0")
    ours = to_osmnx(load_city("la-serena"))
    graph.add_nodes_from(ours.nodes(data=True))
    keep = ("osmid", "highway", "oneway", "length", "geometry")
    for u, v, edge in ours.edges(data=True):
        graph.add_edge(u, v, **{name: edge[name] for name in keep}, reversed=False)
    ox.save_graphml(graph, path)


def own_files(folder: Path) -> None:
    """The files that own-city.md starts from: a graph, trips of segments, GPS points, requests."""
    street_graph(folder / "my-city.graphml")
    city = read_roads(folder / "my-city.graphml")
    trips = simulate(city, DemandConfig(), 150, seed=1)
    frame = to_geodataframe(trips, city)

    def listed(values: pd.Series) -> list[str]:
        return [",".join(str(value) for value in row) for row in values]

    rows = {"trip_id": frame["trip_id"], "segments": listed(frame["segments"]), "times": listed(frame["times"])}
    pd.DataFrame(rows).to_csv(folder / "my-trips.csv", index=False)
    fixes(frame[:60]).to_csv(folder / "my-points.csv", index=False)
    ends = pd.DataFrame({"origin": frame["origin"], "destination": frame["destination"], "depart": "08:00"})
    ends[:5].to_csv(folder / "my-od.csv", index=False)


def fixes(frame: gpd.GeoDataFrame) -> pd.DataFrame:
    """A fix about every ten seconds along the lines, with an error of metres; the last trace is far from any road."""
    rng, parts = np.random.default_rng(0), []
    for _, trip in frame.iterrows():
        along = np.linspace(0, 1, max(int(trip["duration_s"] / 10), 3))
        points = trip.geometry.interpolate(along, normalized=True)
        lon, lat = (np.array([getattr(point, axis) for point in points]) for axis in ("x", "y"))
        part = {
            "trip_id": trip["trip_id"],
            "lat": lat + rng.normal(0, 3e-5, len(along)),
            "lon": lon + rng.normal(0, 3e-5, len(along)),
            "time": [(trip["depart"] + pd.Timedelta(seconds=s)).isoformat() for s in along * trip["duration_s"]],
        }
        parts.append(pd.DataFrame(part))
    parts[-1]["lat"] += 1.0
    return pd.concat(parts)


def run_shell(block: Block) -> None:
    """Run a block in one bash with the commands of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = f"set -euo pipefail\n{smaller(block.text)}"
    done = subprocess.run(["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, f"{block}: {done.stderr}"


def command_of(words: list[str]) -> tuple[Typer, list[str]] | None:
    """The app and the arguments of `suffuse TASK ...` or `suffuse-TASK ...`; None for another command."""
    head, *rest = words if words[0] != "suffuse" else [f"suffuse-{words[1]}", *words[2:]]
    task = head.removeprefix("suffuse-")
    return (APPS[task], rest) if head != task and task in APPS else None


def run_lines(block: Block) -> None:
    """The same within this process, line by line, which saves loading the libraries for each."""
    for command in block.commands:
        words = shlex.split(smaller(command))
        if found := command_of(words):
            app, arguments = found
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, f"{block}: {command}: {done.output}{done.exception!r}"


def run_python(block: Block) -> None:
    """Run a Python block."""
    exec(compile(smaller(block.text), str(block), "exec"), {"__name__": "__main__"})


def run_document(name: str, *, but: tuple[Block, ...] = ()) -> int:
    """Run all blocks of a document, here-documents written first; returns how many were run."""
    run = 0
    for block in (b for b in blocks() if b.document == ROOT / name and b not in but):
        run += block.info in ("python", "sh")
        if block.info == "python":
            run_python(block)
        elif block.info == "sh":
            for file, text in re.findall(r"^cat > (\S+) <<END\n(.*?)^END$", block.text, re.MULTILINE | re.DOTALL):
                Path(file).write_text(text)
            run_lines(block)
    return run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, with an empty cache and data folder."""
    monkeypatch.setenv("SUFFUSE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SUFFUSE_DATA_DIR", str(tmp_path / "data"))
    here = tmp_path / "here"
    here.mkdir()
    with chdir(here):
        yield here


@pytest.mark.slow
def test_own_city_in_four_commands(folder: Path) -> None:
    """The first block in a real shell; the rest of the page in this process, on the files that it made."""
    own_files(folder)
    four = next(b for b in blocks() if b.document.name == "own-city.md" and b.info == "sh")
    assert len(four.commands) == 4
    run_shell(four)
    assert len(read_trips(folder / "generated.geojson", load_city("my-city"))) == 5
    assert "<html" in (folder / "generated.html").read_text()[:200].lower()

    run_document("docs/trajectory/own-city.md", but=(four,))
    assert len(read_trips(folder / "from-points.geojson", load_city("my-gps-city"))) == 30
    train, test = (read_trips(folder / "my-city" / f"{part}.csv", load_city("my-city")) for part in ("train", "test"))
    assert len(train) > len(test) > 0
    assert len(read_trips(folder / "test.geojson", load_city("my-city"))) == len(test)
    assert '"overlap"' in (folder / "metrics.json").read_text()


def test_the_ids_of_an_osmnx_graph_are_as_the_page_says(folder: Path) -> None:
    street_graph(folder / "my-city.graphml")
    block = next(b for b in blocks() if b.document.name == "own-city.md" and "segment_of" in b.text)
    names: dict[str, object] = {}
    exec(compile(block.text, str(block), "exec"), names)
    city = read_roads(folder / "my-city.graphml")
    ends = {(u, v): number for (u, v, _), number in names["segment_of"].items()}  # type: ignore[attr-defined]
    for row, number in enumerate(city.segment_ids.tolist()):
        assert ends[city.node_ids[city.from_node[row]], city.node_ids[city.to_node[row]]] == number


@pytest.mark.slow
def test_the_readme(folder: Path) -> None:
    run_document("README.md")
    city = load_city("la-serena")
    assert (folder / "map.html").exists()
    assert len(read_trips(folder / "trips.geojson", city)) == len(read_trips(folder / "detour.geojson", city)) > 0
    shut = {int(i) for b in blocks() for i in re.findall(r"--close (\d+) .*detour\.geojson", b.text)}
    assert shut
    used = read_trips(folder / "trips.geojson", city), read_trips(folder / "detour.geojson", city)
    busy, empty = (set(city.segment_ids[trips.segment].tolist()) & shut for trips in used)
    assert busy == shut, "the street that the example closes is one that the trips would use"
    assert not empty


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    sorted(
        {str(b.document.relative_to(ROOT)) for b in blocks() if b.info in ("sh", "python")}
        - {"README.md", "docs/trajectory/own-city.md"}
    ),
)
def test_the_other_documents(name: str) -> None:
    assert run_document(name) > 0


@pytest.mark.parametrize("block", [b for b in blocks() if b.info.startswith("sh")], ids=str)
def test_commands_have_the_options_that_are_shown(block: Block) -> None:
    for command in block.commands:
        words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\S+", word)]
        if words[0] == "suffuse" and words[1] in ("tasks", "--version"):
            continue
        if found := command_of(words):
            app, (verb, *arguments) = found
            get_command(app).commands[verb].make_context(verb, arguments)  # type: ignore[attr-defined]
        elif words[0] == "make":
            target = next(word for word in words[1:] if "=" not in word)
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        elif words[0] == "python":
            script = (ROOT / words[1]).read_text()
            assert all(f'"{word}"' in script for word in words[2:] if word.startswith("-"))
        elif words[:2] == ["pip", "install"]:
            for what in (word for word in words[2:] if word.startswith("./")):
                assert (ROOT / what.partition("[")[0] / "pyproject.toml").is_file(), what
        else:
            assert words[0] in (*SETTING_UP, "cat", "printf"), f"{block}: {command} is neither run nor checked"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target
