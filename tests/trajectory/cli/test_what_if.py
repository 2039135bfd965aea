"""Closed and slow streets, the map of what they change, and the audit, as commands."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips


@pytest.mark.parametrize("model", ["model", "dijkstra-time"])
def test_slower_streets_take_longer(command: Callable[..., object], model: str) -> None:
    """Every street at a tenth of its speed: the mean street takes about ten times as long."""
    city = load_city("grid")
    speeds = Path("speeds.csv")
    rows = [f"{name},{speed / 10}" for name, speed in zip(city.segment_ids, city.speed_kmh, strict=True)]
    speeds.write_text("\n".join(["segment,speed_kmh", *rows, ""]))
    asked = ("generate", "--city", "grid", "--model", model, "-n", "12")
    command(*asked, "--out", "before.csv")
    command(*asked, "--speed", speeds, "--out", "after.csv")
    before, after = (read_trips(Path(name), city) for name in ("before.csv", "after.csv"))
    pace = [trips.duration_s.sum() / len(trips.segment) for trips in (before, after)]
    assert 5 < pace[1] / pace[0] < 20


def test_compared_maps_mark_what_the_record_says(command: Callable[..., object], refusal: Callable[..., str]) -> None:
    asked = ("generate", "--city", "grid", "--model", "dijkstra-time", "-n", "30")
    command(*asked, "--out", "before.csv")
    command(*asked, "--close", "150,151", "--speed", "160=5", "--speed", "161=5", "--out", "after.csv")
    command("show", "before.csv", "--compare", "after.csv", "--city", "grid", "--out", "map.html")
    data = json.loads(Path("map.html").read_text().split('id="data">')[1].split("</script>")[0])
    city = load_city("grid")
    assert data["segments"]["closed"] == [city.index_of[150], city.index_of[151]]
    assert data["slowed"] == [city.index_of[160], city.index_of[161]]
    change = np.array(data["flow"]) - np.array(data["before"])
    assert change[city.index_of[150]] <= 0
    command("show", "before.csv", "--compare", "after.csv", "--city", "grid", "--close", "170", "--out", "map.html")
    data = json.loads(Path("map.html").read_text().split('id="data">')[1].split("</script>")[0])
    assert data["segments"]["closed"] == [city.index_of[170]]
    said = refusal("show", "before.csv", "--city", "grid", "--close", "7", "--out", "no.html")
    assert said == "--close: segment '7' is not in road network 'grid'"


def test_changed_roads_are_simulated_again(command: Callable[..., object], refusal: Callable[..., str]) -> None:
    said = refusal("simulate", "--city", "grid", "--speed", "150=5", "--out", "new.csv")
    assert said == "--speed needs --again: changed roads change how requests are met"
    command("generate", "--city", "grid", "--model", "dijkstra", "-n", "5", "--out", "asked.csv")
    command("simulate", "--city", "grid", "--again", "asked.csv", "--speed", "150=5,151=5", "--out", "again.csv")
    assert len(read_trips(Path("again.csv"), load_city("grid"))) == 5


def test_audit_says_and_writes_what_it_finds(command: Callable[..., object], refusal: Callable[..., str]) -> None:
    asked = ("generate", "--city", "grid", "--model", "markov", "-n", "60")
    for seed, name in enumerate(("train", "held", "new")):
        command(*asked, "--seed", seed, "--out", f"{name}.csv")
    sets = ("--city", "grid", "--train", "train.csv", "--holdout", "held.csv")
    said = command("audit", *sets, "--generated", "train.csv", "--model", "model", "--json", "found.json")
    assert "exact copies" in said.stdout  # type: ignore[attr-defined]
    found = json.loads(Path("found.json").read_text())
    assert found["generated"]["copies"] == 1
    assert set(found["attacks"]) == {"nearest", "likelihood", "likelihood_gain"}
    assert found["attacks"]["nearest"]["auc"] > 0.9
    assert refusal("audit", *sets, "--generated", "new.csv", "--model", "markov") == (
        "markov is a baseline, which gives trips no likelihood: leave --model out"
    )
