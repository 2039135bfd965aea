"""`match` as a person runs it, and the whole way from recorded positions to judged trips."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from suffuse.trajectory.cli import app
from suffuse.trajectory.demand import DemandConfig, simulate
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.trips.read import read_trips


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def recorded(recorder, tmp_path_factory):
    """Sixty simulated trips of the shipped city as noisy fixes, and one trace far away."""
    folder = tmp_path_factory.mktemp("recorded")
    city = load_city("la-serena")
    points = recorder(simulate(city, DemandConfig(), 60, seed=2), city, 15, 5.0)
    owner = np.repeat(np.arange(len(points)), np.diff(points.start))
    table = pd.DataFrame({"trip_id": points.trip_id[owner], "lat": points.lonlat[:, 1], "lon": points.lonlat[:, 0]})
    table["time"] = points.time
    away = pd.DataFrame({"trip_id": "away", "lat": [-20.0, -20.1], "lon": [-70.0, -70.1], "time": [1.7e9, 1.7e9 + 9]})
    pd.concat([table, away]).to_csv(folder / "points.csv", index=False)
    return folder


def test_from_positions_to_judged_trips(recorded):
    said = run("match", recorded / "points.csv", "--out", recorded / "matched.csv", "--report", recorded / "why.json")
    report = json.loads((recorded / "why.json").read_text())
    assert report["summary"] in said
    assert (report["traces"], report["not_matched"]) == (61, 61 - report["matched_whole"])
    assert report["problems"][-1] == {
        "record": report["problems"][-1]["record"], "trip_id": "away", "kind": "off road",
        "why": "no road within 60 m of fix 1", "fix": 1, "lon": -70.0, "lat": -20.0,
    }  # fmt: skip
    matched = read_trips(recorded / "matched.csv", load_city("la-serena"))
    assert len(matched) == report["trips"] == json.loads((recorded / "matched.csv.run.json").read_text())["trips"] >= 55

    model, out, figures = recorded / "model", recorded / "generated.csv", recorded / "figures.json"
    run("train", "--trips", recorded / "matched.csv", "--recipe", "tiny", "--steps", 3, "--batch", 8, "--out", model)
    run("generate", "--model", model, "--od", recorded / "matched.csv", "--out", out)
    run("evaluate", "--real", recorded / "matched.csv", "--generated", out, "--baselines", "none", "--json", figures)
    generated = json.loads(figures.read_text())["generated"]
    assert (generated["valid"], generated["arrived"]) == (1.0, 1.0)


@pytest.mark.parametrize("suffix", ["geojson", "parquet", "gpx", "rou.xml"])
def test_every_format_trips_are_written_in(recorded, suffix):
    few = recorded / "few.csv"
    few.write_text("".join((recorded / "points.csv").read_text().splitlines(keepends=True)[:15]))
    run("match", few, "--out", recorded / f"few.{suffix}")
    assert (recorded / f"few.{suffix}").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("points.csv", "--out", "trips.xlsx"), "unknown suffix '.xlsx'"),
        (("gone.csv", "--out", "trips.csv"), "gone.csv: cannot be read: No such file or directory"),
        (("points.csv", "--out", "trips.csv", "--crs", "nowhere"), "crs 'nowhere' is none that is known"),
        (("points.csv", "--out", "trips.csv", "--radius", "0"), "'0' is no number from 0 to 10000, 0 excluded"),
        (("points.csv", "--out", "trips.csv", "--on-error", "fail"), "no road within 60 m of fix 1"),
        (("points.csv", "--out", "trips.csv", "--report", "no/where.json"), "there is no folder"),
        (("few.csv", "--out", "trips.csv", "--report", "/dev/full"), "/dev/full: cannot be written: No space left"),
        (("points.csv", "--out", "points.csv"), "--out points.csv would overwrite the points that are read"),
        ((".", "--out", "points.csv"), "--out points.csv would overwrite the points that are read"),
        (("points.csv", "--out", "trips.csv", "--report", "./points.csv"), "--report points.csv would overwrite"),
        (("points.csv", "--out", "trips.csv", "--report", "./trips.csv"), "is written by --out trips.csv already"),
        (("points.csv", "--out", "trips.csv", "--report", "trips.csv.run.json"), "is written by --out trips.csv"),
        (("untimed.geojson", "--out", "trips.csv"), "none of its 2 trips can be used; the first: "),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(recorded, monkeypatch, words, said):
    monkeypatch.chdir(recorded)
    points = (recorded / "points.csv").read_text()
    (recorded / "few.csv").write_text("".join(points.splitlines(keepends=True)[:15]))
    line = {"type": "LineString", "coordinates": [[-71.25, -29.9], [-71.24, -29.9], [-71.24, -29.91]]}
    feature = {"type": "Feature", "properties": {"times": [0, 9]}, "geometry": line}  # two times, three corners
    collection = {"type": "FeatureCollection", "features": [feature, feature]}
    (recorded / "untimed.geojson").write_text(json.dumps(collection))
    assert said in run("match", *words, code=2)
    assert not list(recorded.glob("trips.csv*"))
    assert (recorded / "points.csv").read_text() == points
