"""A file appears whole or not at all: wrong paths are refused at once, full disks and Ctrl-C leave nothing behind."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suffuse.trajectory.cli import generate as generate_verb
from suffuse.trajectory.cli import train as train_verb
from suffuse.trajectory.cli.app import main

WRITERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "generate": (
        ("generate", "--city", "grid", "--model", "dijkstra", "-n", "5", "--out"),
        ("csv", "geojson", "parquet", "gpx", "rou.xml"),
    ),
    "simulate": (("simulate", "--city", "grid", "-n", "2", "--out"), ("csv",)),
    "roads": (("roads", "--city", "grid", "--out"), ("geojson", "graphml", "gpkg", "parquet")),
    "show": (("show", "trips.csv", "--city", "grid", "--out"), ("html", "png")),
    "evaluate": (
        (
            "evaluate",
            "--city",
            "grid",
            "--generated",
            "trips.csv",
            "--real",
            "trips.csv",
            "--baselines",
            "none",
            "--json",
        ),
        ("json",),
    ),
}
EVERY = [(verb, suffix) for verb, (_, suffixes) in WRITERS.items() for suffix in suffixes]


@pytest.mark.parametrize(("verb", "suffix"), EVERY)
def test_paths_that_no_file_can_have(refusal: Callable[..., str], verb: str, suffix: str) -> None:
    write = WRITERS[verb][0]
    absent = f"absent/new.{suffix}"
    assert refusal(*write, absent) == f"{absent}: cannot be written: there is no folder absent"
    inside = f"trips.csv/new.{suffix}"
    assert refusal(*write, inside) == f"{inside}: cannot be written: there is no folder trips.csv"
    folder = Path(f"there.{suffix}")
    folder.mkdir()
    assert refusal(*write, folder) == f"{folder}: cannot be written: it is a folder"


@pytest.mark.parametrize("verb", [verb for verb in WRITERS if verb != "evaluate"])
def test_suffixes_that_nobody_knows(refusal: Callable[..., str], verb: str) -> None:
    for name in ("new.xyz", "new", "/dev/full", "."):
        said = refusal(*WRITERS[verb][0], name)
        assert "suffix" in said
        assert said.startswith(name)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="a device of Linux")
@pytest.mark.parametrize(("verb", "suffix"), EVERY)
def test_a_full_device(refusal: Callable[..., str], verb: str, suffix: str) -> None:
    link = Path(f"full.{suffix}")
    link.symlink_to("/dev/full")
    assert refusal(*WRITERS[verb][0], link) == f"{link}: cannot be written: No space left on device"
    assert Path("/dev/full").is_char_device()
    assert link.is_symlink()


@contextlib.contextmanager
def small_files(most: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk that is almost full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("verb", "suffix"), [(verb, suffix) for verb, suffix in EVERY if suffix != "rou.xml"])
def test_a_disk_that_fills_up(refusal: Callable[..., str], verb: str, suffix: str) -> None:
    with small_files(100):
        assert f"new.{suffix}: cannot be written: " in refusal(*WRITERS[verb][0], f"new.{suffix}")


def test_a_disk_that_fills_up_under_a_folder(refusal: Callable[..., str]) -> None:
    with small_files(1000):
        assert "cannot be written" in refusal("prepare", "mine", "--source", "roads.geojson", "--out", "mine")


def test_a_folder_that_nobody_may_write_in(refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    for verb in WRITERS:
        new = f"new.{WRITERS[verb][1][0]}"
        assert refusal(*WRITERS[verb][0], new) == f"{new}: cannot be written: nobody may write in the folder ."
    assert "is no folder that may be written in" in refusal(
        "train", "--city", "grid", "--trips", "trips.csv", "--out", "new"
    )


def test_a_folder_that_takes_no_file_after_all(refusal: Callable[..., str]) -> None:
    if not Path("/sys/kernel").is_dir():
        pytest.skip("a file system of Linux")
    assert "/sys/new.csv: cannot be written: " in refusal(*WRITERS["generate"][0], "/sys/new.csv")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("trips.csv", "--out trips.csv is a file, but must be a folder"),
        ("/dev/null", "--out /dev/null is a file, but must be a folder"),
        ("trips.csv/new", "is no folder that may be written in"),
        ("model", "--out model holds a model already: choose another folder"),
        ("markov", "--out markov holds a model already: choose another folder"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--resume",), ("--model", "markov")], ids=["new", "resumed", "baseline"])
def test_folders_that_no_model_is_written_to(
    refusal: Callable[..., str], out: str, said: str, more: tuple[str, ...]
) -> None:
    assert said in refusal("train", "--city", "grid", "--trips", "trips.csv", "--out", out, *more)


@pytest.mark.parametrize("out", ["trips.csv", "grid", "trips.csv/new"])
def test_folders_that_no_city_is_written_to(refusal: Callable[..., str], out: str) -> None:
    assert refusal("prepare", "mine", "--source", "roads.gpkg", "--out", out).startswith(out)


def test_links_are_followed(command: Callable[..., Any]) -> None:
    Path("kept").mkdir()
    Path("kept/goal.csv").write_text("old")
    Path("link.csv").symlink_to("kept/goal.csv")
    assert command(*WRITERS["generate"][0], "link.csv").code == 0
    assert Path("link.csv").is_symlink()
    assert Path("kept/goal.csv").read_text().startswith("trip_id,")
    assert [path.name for path in Path("kept").iterdir()] == ["goal.csv"]


def interrupted(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["answer", "write_trips"])
def test_ctrl_c_while_generating(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    monkeypatch.setattr(
        sys.modules[generate_verb.__module__] if callable(generate_verb) else generate_verb, at, interrupted
    )
    before = set(Path().iterdir())
    done = command(*WRITERS["generate"][0], "new.csv")
    assert (done.code, done.stderr) == (130, "Error: interrupted\n")
    assert set(Path().iterdir()) == before


def test_ctrl_c_while_a_model_is_saved(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def half(network: object, table: object, out: Path, *arguments: object, **more: object) -> None:
        out.mkdir()
        (out / "run").mkdir()
        (out / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(train_verb, "train_model", half)
    done = command("train", "--city", "grid", "--trips", "trips.csv", "--recipe", "tiny", "--out", "new")
    assert done.code == 130
    assert [path.name for path in Path("new").iterdir()] == ["run"]


def test_a_model_whose_disk_fills_up(command: Callable[..., Any]) -> None:
    with small_files(3000):
        done = command("train", "--city", "grid", "--trips", "trips.csv", "--model", "markov", "--out", "new")
    assert done.code == 2
    assert "new/baseline.safetensors: cannot be written: " in done.stderr
    assert not list(Path("new").iterdir())


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="a device of Linux")
def test_standard_output_that_is_full(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "argv", ["suffuse-trajectory", "info", "--city", "grid", "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
    assert capfd.readouterr().err.splitlines() == [
        "Error: what is printed, or a temporary file: No space left on device"
    ]


def test_json_goes_to_standard_output_alone(command: Callable[..., Any]) -> None:
    done = command("info", "--city", "grid", "--trips", "trips.csv", "--json")
    assert json.loads(done.stdout)["trips"]["trips"] == 20
