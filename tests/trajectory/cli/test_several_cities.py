"""Training on several cities from the command line, and answering on networks that no model has seen."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suffuse.trajectory.model.pretrained import FOR_ANY_CITY, load_network, usual_model
from suffuse.trajectory.model.training import BESIDE_CARS
from suffuse.trajectory.model.trajectory_model import TrajectoryModel

SEVERAL = ("train", "--out", "new", "--city", "grid", "--city", "roads.graphml")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trips", "trips.csv"), "--trips names 1 files for 2 cities, but must name one for each or none"),
        (("--held-out", "trips.csv"), "--held-out names 1 files for 2 cities, but must name one for each or none"),
        (
            ("--recipe", "city"),
            "--recipe city learns one city, but --city is given 2 times: several need --recipe tran",
        ),
        (
            ("--model", "markov"),
            "--model markov learns one city, but --city is given 2 times: several need --recipe tr",
        ),
        (("--start", "nowhere"), "no model 'nowhere'"),
        (
            ("--start", "la-serena"),
            "--start is 'la-serena', which reads what was counted in the one city it learned, but must be a model of s",
        ),
        (("--recipe", "huge"), "--recipe is 'huge', but must be one of la-serena, city, transfer, tiny"),
    ],
)
def test_what_several_cities_do_not_go_with(refusal: Callable[..., str], options: tuple[str, ...], said: str) -> None:
    assert said in refusal(*SEVERAL, *options)


def test_a_model_of_two_cities_answers_in_a_third(command: Callable[..., Any], here: Path) -> None:
    trips = ("--trips", "trips.csv", "--trips", "trips.csv", "--held-out", "trips.csv", "--held-out", "trips.csv")
    done = command(*SEVERAL, *trips, "--steps", "2", "--batch", "4", "--threads", "1")
    assert done.code == 0, done.stderr
    assert sorted(path.name for path in (here / "new").iterdir()) == [
        "city.json",
        "config.json",
        "config.json.run.json",
        "diffusion_pytorch_model.safetensors",
        "generation.json",
        "road-logit.json",
    ]
    assert [city["trips"] for city in json.loads((here / "new" / "city.json").read_text())["cities"]] == [20, 20]
    assert command("prepare", "third", "--source", "roads.gpkg", "--out", "third").code == 0
    asked = ("generate", "--city", "third", "-n", "2", "--model", "new", "--best-of", "2", "--out", "out.csv")
    done = command(*asked)
    assert done.code == 0, done.stderr
    assert json.loads((here / "out.csv.run.json").read_text())["sharpness"]["route_choice"] == 1


def test_going_on_from_another_model_is_for_several_cities(refusal: Callable[..., str]) -> None:
    said = refusal("train", "--out", "new", "--city", "grid", "--trips", "trips.csv", "--start", "base")
    assert "--start is 'base', but only --recipe transfer can go on from another model" in said


def test_each_city_has_its_own_mode(command: Callable[..., Any], here: Path) -> None:
    """Drivers of one town and walkers of another, from a model of two steps; cyclists are unknown to it."""
    cities = ("--city", "grid", "--city", "roads.graphml:walk", "--trips", "trips.csv", "--trips", "trips.csv")
    few = ("--batch", "4", "--threads", "1")
    assert command("train", "--out", "first", *cities, "--steps", "1", *few).code == 0
    done = command("train", "--out", "new", *cities, "--steps", "1", "--start", "first", *few)
    assert done.code == 0, done.stderr
    assert [city["mode"] for city in json.loads((here / "new" / "city.json").read_text())["cities"]] == [
        "drive",
        "walk",
    ]
    assert list(json.loads((here / "new" / "road-logit.json").read_text())) == ["drive", "walk"]
    asked = ("generate", "--city", "roads.gpkg", "-n", "2", "--model", "new", "--out", "out.csv")
    assert command(*asked, "--mode", "walk").code == 0
    done = command(*asked, "--mode", "bike")
    assert done.code == 2
    assert "the road logit knows trips of mode drive and walk, but road network" in done.stderr


def test_going_on_from_a_model_of_two_networks(
    command: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all walk, from the one for others than drivers, in a folder of its own; else from that of drivers."""
    few = ("--steps", "1", "--batch", "4", "--threads", "1")
    trips = ("--trips", "trips.csv", "--trips", "trips.csv")
    assert command(*SEVERAL[:2], "first", *SEVERAL[3:], *trips, *few).code == 0
    beside = here / "first" / BESIDE_CARS
    beside.mkdir()
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (beside / name).write_bytes((here / "first" / name).read_bytes())
    taken = list[Path]()

    def load(directory: Path) -> TrajectoryModel:
        taken.append(directory)
        return load_network(directory)

    monkeypatch.setattr(sys.modules["suffuse.trajectory.cli.train"], "load_network", load)
    for number, modes in enumerate([("walk", "walk"), ("walk", "bike"), ("drive", "walk")]):
        cities = [word for mode in modes for word in ("--city", f"roads.gpkg:{mode}")]
        done = command("train", "--out", f"new{number}", *cities, *trips, *few, "--start", "first")
        assert done.code == 0, done.stderr
    assert taken == [Path("first") / BESIDE_CARS, Path("first"), Path("first")]


@pytest.mark.parametrize(
    ("city", "said"),
    [
        ("la-serena:fly", "mode is 'fly', but must be drive, bike or walk"),
        ("grid:fly", "mode is 'fly', but must be drive, bike or walk"),
        ("grid:", "mode is '', but must be drive, bike or walk"),
        ("nowhere:fly", "nowhere:fly: no such city, folder or file"),
        ("nowhere:walk", "nowhere: no such city, folder or file"),
    ],
)
def test_a_city_that_is_there_with_a_mode_that_is_none(refusal: Callable[..., str], city: str, said: str) -> None:
    assert refusal("train", "--out", "new", "--city", city).startswith(said)


def test_a_folder_with_nothing_held_out_is_trained_on_without_measuring(command: Callable[..., Any]) -> None:
    shutil.copytree("grid", "town")
    shutil.copy("trips.csv", "town/train.csv")
    few = ("--recipe", "tiny", "--steps", "1", "--batch", "4")
    done = command("train", "--out", "new", "--city", "town", *few)
    assert done.code == 0, done.stderr
    assert json.loads(Path("new/city.json").read_text())["trained"] == {"trips": 20}


def test_without_a_name_the_model_is_the_citys_own_or_the_one_for_any(command: Callable[..., Any], here: Path) -> None:
    assert usual_model("la-serena") == "la-serena"
    assert usual_model("coquimbo-8km") == usual_model("grid") == FOR_ANY_CITY
    done = command("generate", "--city", "roads.graphml", "-n", "3", "--out", "out.geojson")
    assert done.code == 0, done.stderr
    said = json.loads((here / "out.geojson.run.json").read_text())
    assert said["arguments"]["model"] == FOR_ANY_CITY
    assert len(json.loads((here / "out.geojson").read_text())["features"]) == 3
