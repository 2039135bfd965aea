"""Trips in shards: the trips of one file, written once each, taken up again, and of one job only."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import torch
from geopandas.testing import assert_geodataframe_equal

from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.scale import facts
from suffuse.trajectory.scale.facts import facts_of_model
from suffuse.trajectory.trips.raw import ReadReport
from suffuse.trajectory.trips.read import read_trips

ASKED = ("generate", "--city", "grid", "--model", "dijkstra", "-n", "25", "--seed", "3")


def test_shards_hold_the_trips_of_one_file(command: Callable[..., object]) -> None:
    command(*ASKED, "--out", "whole.parquet")
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    names = sorted(path.name for path in Path("shards").iterdir())
    assert names == ["_job.json", "part-000000.parquet", "part-000001.parquet", "part-000002.parquet"]
    whole, parts = geopandas.read_parquet("whole.parquet"), geopandas.read_parquet("shards")
    assert_geodataframe_equal(whole, parts)
    assert [len(geopandas.read_parquet(Path("shards", name))) for name in names[1:]] == [10, 10, 5]
    assert json.loads(Path("shards.run.json").read_text())["trips"] == 25


def test_only_what_is_missing_is_written(command: Callable[..., object]) -> None:
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    second = Path("shards/part-000001.parquet")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path("shards").iterdir()}
    second.unlink()
    Path("shards/.part-000001.parquet-killed").mkdir()
    said = command(*ASKED, "--shard-size", "10", "--out", "shards")
    assert "25 trips written to shards" in said.stderr  # type: ignore[attr-defined]
    assert "15 of them there already" in said.stderr  # type: ignore[attr-defined]
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path("shards").iterdir()}
    assert {path for path in before if before[path][0] != after[path][0]} == {second}
    assert {path: content for path, (_, content) in before.items()} == {
        path: content for path, (_, content) in after.items()
    }


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (("--seed", "4"), "shards: holds shards of another job: seed is 3 there, 4 here"),
        (("-n", "30"), "shards: holds shards of another job: trips is 25 there, 30 here"),
        (("--model", "dijkstra-time"), "model is dijkstra there, dijkstra-time here"),
        (("--close", "150"), "shards: holds shards of another job: closed is"),
        (("--speed", "150=9"), "shards: holds shards of another job: speed_kmh is"),
        (("--depart", "09:00"), "shards: holds shards of another job: depart is None there, 2024-03-04T09:00:00 here"),
    ],
)
def test_shards_of_another_job_are_left_alone(
    command: Callable[..., object], refusal: Callable[..., str], other: tuple[str, ...], said: str
) -> None:
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    assert said in refusal(*ASKED, *other, "--shard-size", "10", "--out", "shards")


@pytest.mark.parametrize("breakage", ["empty", "truncated", "of other trips"])
def test_a_broken_shard_is_drawn_again(command: Callable[..., object], breakage: str) -> None:
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    broken = Path("shards/part-000001.parquet")
    whole = broken.read_bytes()
    last = Path("shards/part-000002.parquet").read_bytes()
    broken.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "of other trips": last}[breakage])
    said = command(*ASKED, "--shard-size", "10", "--out", "shards")
    assert "15 of them there already" in said.stderr  # type: ignore[attr-defined]
    assert broken.read_bytes() == whole


def test_a_city_prepared_anew_is_another_one(
    command: Callable[..., object], refusal: Callable[..., str], workplace: Path
) -> None:
    shutil.copytree(workplace / "grid", "town")
    asked = ("generate", "--city", "town", "--model", "dijkstra", "-n", "5", "--shard-size", "5", "--out", "shards")
    command(*asked)
    table = Path("town/edges.csv")
    table.write_text(table.read_text().replace(",residential", ",primary"))
    assert "shards: holds shards of another job: roads is" in refusal(*asked)


def test_a_changed_file_of_a_model_is_named(workplace: Path, tmp_path: Path) -> None:
    for name in ("model", "markov"):
        shutil.copytree(workplace / name, tmp_path / name)
        before = facts_of_model(str(tmp_path / name), "grid")
        for path in (tmp_path / name).iterdir():
            path.write_bytes(path.read_bytes() + b" ")
            after = facts_of_model(str(tmp_path / name), "grid")
            assert {key for key in after if after[key] != before[key]} == {f"model/{path.name}"}
            before = after
    (tmp_path / "model/route-choice").mkdir()
    (tmp_path / "model/route-choice/baseline.json").write_text("{}")
    assert "model/route-choice/baseline.json" in facts_of_model(str(tmp_path / "model"), "grid")


def test_machines_that_round_otherwise_do_not_mix(
    command: Callable[..., object], refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("generate", "--city", "grid", "--model", "model", "-n", "2", "--shard-size", "2", "--out", "shards")
    for here, other in ((torch.float32, "bfloat16"), (torch.bfloat16, "float32")):
        monkeypatch.setattr(facts, "dense_type", lambda dtype=here: dtype)
        if not Path("shards").exists():
            command(*asked)
        job = Path("shards/_job.json")
        said = json.loads(job.read_text())
        job.write_text(json.dumps(said | {"dense_layers": other}))
        mine = str(here).removeprefix("torch.")
        assert refusal(*asked) == (f"shards: holds shards of another job: dense_layers is {other} there, {mine} here")
    assert "dense_layers" not in facts_of_model("markov", "grid")


def test_jobs_from_before_modes_and_rounding_were_kept_are_of_drivers(
    command: Callable[..., object], refusal: Callable[..., str]
) -> None:
    asked = ("generate", "--city", "grid", "--model", "model", "-n", "2", "--shard-size", "2", "--out", "shards")
    command(*asked)
    job = Path("shards/_job.json")
    said = json.loads(job.read_text())
    job.write_text(json.dumps({name: value for name, value in said.items() if name not in ("mode", "dense_layers")}))
    assert "2 of them there already" in command(*asked).stderr  # type: ignore[attr-defined]
    walking = (*ASKED, "--mode", "walk", "--shard-size", "25", "--out", "walks")
    command(*walking)
    job = Path("walks/_job.json")
    job.write_text(json.dumps({name: value for name, value in json.loads(job.read_text()).items() if name != "mode"}))
    assert refusal(*walking) == "walks: holds shards of another job: mode is drive there, walk here"


def test_a_baseline_is_that_of_its_trips(workplace: Path, tmp_path: Path) -> None:
    shutil.copy(workplace / "trips.csv", tmp_path)
    before = facts_of_model("zone-path", str(tmp_path))
    assert before.keys() == {"model", "fitted_to"}
    with (tmp_path / "trips.csv").open("a") as file:
        file.write("\n")
    assert facts_of_model("zone-path", str(tmp_path)) != before
    assert facts_of_model("dijkstra", str(tmp_path)) == {"model": "dijkstra"}


def test_shards_are_read_as_one_file_is(command: Callable[..., object], workplace: Path) -> None:
    command(*ASKED, "--out", "whole.parquet")
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    city = load_city(workplace / "grid")
    whole, parts = read_trips("whole.parquet", city), read_trips("shards", city)
    assert len(parts) == 25
    for name in ("start", "segment", "enter_s", "duration_s", "depart", "trip_id"):
        assert getattr(whole, name).tolist() == getattr(parts, name).tolist()
    said = command("evaluate", "--city", "grid", "--real", "whole.parquet", "--generated", "shards")
    assert "25" in said.stdout  # type: ignore[attr-defined]


def test_lists_of_requests_are_repeated_alike(command: Callable[..., object], workplace: Path) -> None:
    asked = ("generate", "--city", "grid", "--model", "dijkstra", "--od", "trips.csv", "-n", "50")
    shutil.copy(workplace / "trips.csv", "asked.csv")
    command(*asked, "--out", "whole.parquet")
    command(*asked, "--shard-size", "15", "--out", "shards")
    whole = geopandas.read_parquet("whole.parquet")
    assert_geodataframe_equal(whole, geopandas.read_parquet("shards"))
    assert whole.trip_id.is_unique


def test_closed_streets_leave_no_request_without_a_way(command: Callable[..., object]) -> None:
    """Simulated requests are drawn until one can be met: in shards nobody knows how many were left out before."""
    for out in (("--out", "whole.parquet"), ("--shard-size", "10", "--out", "shards")):
        command(*ASKED, "--close", "100,101,102,103,180,181", *out)
    whole = geopandas.read_parquet("whole.parquet")
    assert len(whole) == 25
    assert_geodataframe_equal(whole, geopandas.read_parquet("shards"))


def test_folders_that_are_something_else(refusal: Callable[..., str], command: Callable[..., object]) -> None:
    Path("full").mkdir()
    Path("full/letter.txt").write_text("dear")
    Path("file").write_text("dear")
    Path("link").symlink_to("gone")
    assert refusal(*ASKED, "--shard-size", "10", "--out", "link") == "link: is a link to gone, which is not there"
    assert refusal(*ASKED, "--shard-size", "10", "--out", "full").startswith("full: is not empty and holds no shards")
    assert refusal(*ASKED, "--shard-size", "10", "--out", "file") == "file: is a file, but shards need a folder"
    for name, suffix in (("many.csv", ".csv"), ("many.ROU.xml", ".rou.xml")):
        assert refusal(*ASKED, "--shard-size", "10", "--out", name) == (
            f"--out {name} is named like a file, but --shard-size writes a folder: leave out {suffix}"
        )
        assert not Path(name).exists()
    assert (
        refusal(*ASKED, "--engine", "ray", "--out", "trips.csv") == "--engine ray writes shards: give --shard-size too"
    )
    assert "--engine is 'spark', but must be one of process, ray" in refusal(
        *ASKED, "--engine", "spark", "--shard-size", "10", "--out", "new"
    )


def test_two_commands_do_not_write_the_same_shards(command: Callable[..., object], refusal: Callable[..., str]) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no locks on files here")
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    with Path("shards/_job.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = refusal(*ASKED, "--shard-size", "10", "--out", "shards")
    assert said == "shards: another command is writing shards there"


def test_a_folder_of_shards_is_taken_where_a_file_of_trips_is(command: Callable[..., object]) -> None:
    command(*ASKED, "--out", "whole.parquet")
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    for name in ("whole.parquet", "shards"):
        out = f"fitted-{name.removesuffix('.parquet')}"
        command("train", "--city", "grid", "--trips", name, "--model", "markov", "--out", out)
        command("evaluate", "--city", "grid", "--real", name, "--generated", name, "--baselines", "none",
                "--json", f"{out}.json")  # fmt: skip
    assert Path("fitted-whole.json").read_text() == Path("fitted-shards.json").read_text()
    command("train", "--city", "grid", "--trips", "shards", "--recipe", "tiny", "--steps", "1", "--batch", "4",
            "--out", "small")  # fmt: skip


def test_shards_are_read_one_by_one_and_what_is_wrong_names_its_file(command: Callable[..., object]) -> None:
    command(*ASKED, "--out", "whole.parquet")
    command(*ASKED, "--shard-size", "10", "--out", "shards")
    city = load_city("grid")
    whole, parts = read_trips("whole.parquet", city), read_trips("shards", city)
    for name in ("start", "segment", "enter_s", "duration_s", "depart", "trip_id"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))

    shutil.copy("shards/part-000000.parquet", "shards/part-000001.parquet")
    with pytest.raises(TripError, match=r"part-000001\.parquet: row 1 .*has the trip_id of one in an earlier shard"):
        read_trips("shards", city)
    report = ReadReport()
    kept = read_trips("shards", city, on_error="skip", report=report)
    assert kept.trip_id.tolist() == [*whole.trip_id[:10], *whole.trip_id[20:]]
    assert report.records == 25
