"""A workplace as a user has it: a city folder, trips on it, a trained model, a fitted baseline; and the command."""

from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from suffuse.trajectory.baselines import BASELINES
from suffuse.trajectory.cli import app
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.model.training import save_model
from suffuse.trajectory.model.trajectory_model import TrajectoryModel
from suffuse.trajectory.model.usage import count_usage
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.write import write_roads
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.trips.write import write_trips

SIDE = 10


def write_city(folder: Path) -> None:
    """Ten by ten crossings 150 m apart, every street two-way; segment ids count from 100."""
    folder.mkdir()
    places = [
        f"{c * SIDE + r},{-71.25 + c * 0.00156:.6f},{-29.9 + r * 0.00135:.6f}" for c in range(SIDE) for r in range(SIDE)
    ]
    links = [(c * SIDE + r, c * SIDE + r + step) for c in range(SIDE) for r in range(SIDE) for step in (SIDE, 1)
             if (c + 1 < SIDE if step == SIDE else r + 1 < SIDE)]  # fmt: skip
    both = [ends for a, b in links for ends in ((a, b), (b, a))]
    rows = [f"{100 + row},{a},{b},150,residential" for row, (a, b) in enumerate(both)]
    (folder / "nodes.csv").write_text("\n".join(["node_id,lon,lat", *places, ""]))
    (folder / "edges.csv").write_text("\n".join(["edge_id,u,v,length_m,road_class", *rows, ""]))


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `grid`, trips as `trips.csv`, `.geojson`, `.parquet`, `.gpx`, roads, `model` and `markov`."""
    folder = tmp_path_factory.mktemp("workplace")
    write_city(folder / "grid")
    city = load_city(folder / "grid")
    generator = np.random.default_rng(0)
    routes = []
    for _ in range(20):
        route = [int(generator.integers(len(city)))]
        for _ in range(int(generator.integers(1, 12))):
            onward = city.successors.indices[city.successors.indptr[route[-1]] : city.successors.indptr[route[-1] + 1]]
            route.append(int(generator.choice(onward)))
        routes.append(route)
    depart = np.full(20, np.datetime64("2024-03-04T08:00:00", "s"))
    times = [np.cumsum([0.0, *[18.0] * (len(route) - 1)]).tolist() for route in routes]
    trips = Trips.from_lists(routes, enter_s=times, duration_s=[18.0 * len(r) for r in routes], depart=depart)
    for suffix in ("csv", "geojson", "parquet", "gpx"):
        write_trips(trips, city, folder / f"trips.{suffix}")
    for suffix in ("geojson", "graphml", "gpkg", "parquet"):
        write_roads(city, folder / f"roads.{suffix}")
    torch.manual_seed(0)
    model = TrajectoryModel(width=16, depth=1, heads=2, road_width=8, road_depth=1, road_heads=2, scorer_width=8)
    save_model(model, CityFeatures(city, count_usage(city, trips)), folder / "model", trained={})
    BASELINES["markov"].fit(city, trips).save(folder / "markov")
    return folder


@pytest.fixture(autouse=True)
def here(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in; what `workplace` holds is linked into it."""
    monkeypatch.setenv("SUFFUSE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SUFFUSE_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "here"
    folder.mkdir()
    for path in workplace.iterdir():
        (folder / path.name).symlink_to(path)
    with chdir(folder):
        yield folder


@dataclass(frozen=True)
class Said:
    """What the command did."""

    code: int
    stdout: str
    stderr: str


def suffuse_trajectory(*arguments: str | Path) -> Said:
    """The command within this process; an exception that is not the command's own end is raised."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Said(done.exit_code, done.stdout, done.stderr)


def complaint(*arguments: str | Path) -> str:
    """The one sentence with which the command refuses: exit code 2, no file made, nothing on standard output."""
    before = set(Path().rglob("*"))
    said = suffuse_trajectory(*arguments)
    assert said.code == 2, said
    assert said.stdout == ""
    lines = said.stderr.splitlines()
    assert len(lines) == 1, said.stderr
    assert lines[0].startswith("Error: ")
    assert set(Path().rglob("*")) == before
    return lines[0].removeprefix("Error: ")


@pytest.fixture(scope="session")
def command() -> Callable[..., Said]:
    return suffuse_trajectory


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    return complaint
