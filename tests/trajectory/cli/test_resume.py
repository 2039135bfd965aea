"""A training that was stopped goes on with what it was begun with, or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suffuse.trajectory.model import training

FEW = ("--steps", "1", "--batch", "4", "--threads", "1")
ONE = ("train", "--out", "new", "--city", "grid", "--trips", "trips.csv", "--recipe", "tiny", *FEW)
TWO = (
    "train",
    "--out",
    "new",
    "--city",
    "grid",
    "--city",
    "roads.gpkg",
    "--trips",
    "trips.csv",
    "--trips",
    "trips.csv",
)
"""The trips of both cities are the same: ids are kept in a file of roads."""


@pytest.fixture
def stopped(command: Callable[..., Any]) -> Callable[..., None]:
    """A training that is interrupted when all of its steps are made."""

    def interrupted(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    def stop(*words: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "delay_correlation", interrupted)
            assert command(*words).code == 130
        assert [path.name for path in Path("new").iterdir()] == ["run"]

    return stop


@pytest.fixture
def refused(command: Callable[..., Any]) -> Callable[..., str]:
    """The sentence that a command ends with, after it has said which trips it read."""

    def sentence(*words: str) -> str:
        done = command(*words, "--resume")
        assert done.code == 2, done.stderr
        assert [path.name for path in Path("new").iterdir()] == ["run"]
        said: str = done.stderr.splitlines()[-1]
        assert said.startswith("Error: ")
        assert said.endswith("; a resumed run must keep it")
        return said.removeprefix("Error: ")

    return sentence


def other(words: tuple[str, ...], before: str, after: str) -> tuple[str, ...]:
    """The same command with one word for another."""
    return tuple(after if word == before else word for word in words)


def test_one_city(stopped: Callable[..., None], refused: Callable[..., str], command: Callable[..., Any]) -> None:
    stopped(*ONE)
    lines = Path("trips.csv").read_text().splitlines(keepends=True)
    Path("fewer.csv").write_text("".join(line for line in lines if not line.startswith("7,")))
    for asked, name in [
        ((*ONE, "--mode", "walk"), "mode is 'walk', but the run in new/run has 'drive'"),
        (other(ONE, "trips.csv", "fewer.csv"), "training trips is '"),
        (other(ONE, "4", "5"), "batch.trips is '5', but the run in new/run has '4'"),
    ]:
        assert refused(*asked).startswith(name)
    assert command(*ONE, "--resume").code == 0
    assert Path("new/city.json").is_file()


def test_another_city(stopped: Callable[..., None], refused: Callable[..., str]) -> None:
    """Of streets one metre longer, on which the same trips fit."""
    Path("longer").mkdir()
    for name in ("nodes.csv", "edges.csv"):
        Path("longer", name).write_text(Path("grid", name).read_text().replace(",150,", ",151,"))
    stopped(*ONE)
    assert refused(*other(ONE, "grid", "longer")).startswith("road network is '")


def test_another_start(stopped: Callable[..., None], refused: Callable[..., str], command: Callable[..., Any]) -> None:
    for name, seed in (("first", "0"), ("second", "1")):
        assert command(*other(TWO, "new", name), *FEW, "--seed", seed).code == 0
    stopped(*TWO, *FEW, "--start", "first")
    assert refused(*TWO, *FEW, "--start", "second").startswith("start is '")
    assert refused(*TWO, *FEW).startswith("start is 'a new network', but the run in new/run has '")
    assert command(*TWO, *FEW, "--start", "first", "--resume").code == 0
