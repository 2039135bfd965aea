"""Walkers and cyclists on the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from suffuse.trajectory.model.pretrained import usual_model
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips

ASKED = ("generate", "--city", "grid", "--model", "dijkstra", "--od", "trips.csv")


@pytest.mark.parametrize(
    "words",
    [
        ("roads", "--out", "x.geojson"),
        ("info",),
        ("prepare", "town", "--source", "roads.graphml"),
        ("generate", "--out", "x.csv"),
        ("match", "trips.gpx", "--out", "x.csv"),
        ("show", "trips.csv", "--out", "x.png"),
        ("simulate", "--out", "x.csv"),
        ("evaluate", "--generated", "trips.csv"),
        ("train", "--out", "new"),
        ("audit", "--train", "trips.csv", "--holdout", "trips.csv", "--generated", "trips.csv"),
    ],
)
def test_every_verb_knows_modes(refusal: Callable[..., str], words: tuple[str, ...]) -> None:
    assert refusal(*words, "--mode", "fly") == "mode is 'fly', but must be drive, bike or walk"


def test_trips_of_walkers(command: Callable[..., object]) -> None:
    command(*ASKED, "--mode", "walk", "--out", "walks.csv")
    city = load_city("grid", "walk")
    trips = read_trips("walks.csv", city)
    metres = np.add.reduceat(city.length_m[trips.segment], trips.start[:-1])
    assert trips.duration_s == pytest.approx(metres / (4.8 / 3.6), rel=0.02, abs=1)
    assert json.loads(Path("walks.csv.run.json").read_text())["arguments"]["mode"] == "walk"


def test_processes_and_shards_know_the_mode(command: Callable[..., object], refusal: Callable[..., str]) -> None:
    asked = (*ASKED, "--mode", "bike", "-n", "30")
    command(*asked, "--out", "one.csv")
    command(*asked, "--workers", "2", "--out", "two.csv")
    assert Path("one.csv").read_text() == Path("two.csv").read_text()
    command(*asked, "--shard-size", "10", "--out", "shards")
    city = load_city("grid", "bike")
    assert np.array_equal(read_trips("shards", city).duration_s, read_trips("one.csv", city).duration_s)
    for mode in ("drive", "walk"):
        said = refusal(*ASKED, "--mode", mode, "-n", "30", "--shard-size", "10", "--out", "shards")
        assert said == f"shards: holds shards of another job: mode is bike there, {mode} here"


@pytest.mark.parametrize("suffix", ["graphml", "gpkg", "parquet", "geojson"])
def test_a_file_of_roads_says_its_mode(
    command: Callable[..., object], refusal: Callable[..., str], suffix: str
) -> None:
    command("roads", "--city", "grid", "--mode", "walk", "--out", f"feet.{suffix}")
    said = command("info", "--city", f"feet.{suffix}", "--json")
    assert json.loads(said.stdout)["city"]["mode"] == "walk"  # type: ignore[attr-defined]
    assert "(mode walk) and has lost what cars need" in refusal("info", "--city", f"feet.{suffix}", "--mode", "drive")


def test_a_town_prepared_for_walkers(command: Callable[..., object]) -> None:
    said = command("prepare", "town", "--source", "roads.graphml", "--mode", "walk")
    assert ", walk) written to" in said.stderr  # type: ignore[attr-defined]
    facts = json.loads(command("info", "--city", "town", "--json").stdout)["city"]  # type: ignore[attr-defined]
    assert (facts["mode"], facts["name"]) == ("walk", "town")


def test_models_of_drivers_are_not_for_walkers(refusal: Callable[..., str]) -> None:
    said = refusal("generate", "--city", "grid", "--mode", "walk", "--model", "model", "--out", "x.csv")
    assert "model learned from trips of mode drive, but road network 'grid' is for mode walk" in said
    assert "take the model base" in said
    said = refusal("generate", "--city", "grid", "--mode", "walk", "--model", "markov", "--out", "x.csv")
    assert "markov was fitted on a network other than 'grid'" in said
    assert [usual_model("la-serena", mode) for mode in (None, "drive", "bike", "walk")] == [
        "la-serena", "la-serena", "base", "base",
    ]  # fmt: skip


def test_trips_in_a_folder_are_of_its_mode(refusal: Callable[..., str], workplace: Path) -> None:
    shutil.copytree(workplace / "grid", "town")
    shutil.copy(workplace / "trips.csv", "town/train.csv")
    said = refusal("generate", "--city", "town", "--mode", "walk", "--model", "zone-path", "--out", "x.csv")
    assert said.startswith("town: its trips are of mode drive, but its roads are asked for in mode walk")


def test_traces_of_walkers_go_against_the_traffic(command: Callable[..., object], workplace: Path) -> None:
    """A street that cars drive one way only, walked in the other."""
    Path("town").mkdir()
    (Path("town") / "nodes.csv").write_text("node_id,lon,lat\n0,0,0\n1,0.004,0\n2,0.004,0.004\n")
    (Path("town") / "edges.csv").write_text(
        "edge_id,u,v,road_class\n0,0,1,residential\n1,1,2,residential\n2,2,0,residential\n"
    )
    rows = "\n".join(f"a,{0.004 - 0.0004 * i:.6f},0,2024-03-04T08:{i:02}:00Z" for i in range(10))
    Path("walk.csv").write_text("trip_id,lon,lat,time\n" + rows + "\n")
    command("match", "walk.csv", "--city", "town", "--mode", "walk", "--out", "walked.csv")
    city = load_city("town", "walk")
    trips = read_trips("walked.csv", city)
    assert city.segment_ids[trips.segment].tolist() == [3]
    command("show", "walked.csv", "--city", "town", "--mode", "walk", "--out", "walked.png")
    assert Path("walked.png").stat().st_size > 1000
