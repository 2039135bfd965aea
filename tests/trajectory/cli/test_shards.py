"""Trips in shards: the trips of one file, written once each, taken up again, and of one job only."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
from geopandas.testing import assert_geodataframe_equal

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
