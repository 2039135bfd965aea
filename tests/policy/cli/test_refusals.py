"""Wrong arguments, paths that cannot be written, full disks and Ctrl-C: one sentence, and nothing left behind."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from suffuse.policy.cli import app
from suffuse.policy.cli import evaluate as evaluate_verb
from suffuse.policy.cli import prepare as prepare_verb
from suffuse.policy.cli import run as run_verb
from suffuse.policy.cli.app import main
from suffuse.policy.data import Demonstrations, write_demonstrations


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Demonstrations]) -> Callable[..., Result]:
    """Runs a command in a folder with the demonstrations `d.zarr` and a link to a full device."""
    monkeypatch.chdir(tmp_path)
    write_demonstrations(make(), tmp_path / "d.zarr")
    for suffix in ("hdf5", "json"):
        (tmp_path / f"full.{suffix}").symlink_to("/dev/full")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nonsense", "No such command 'nonsense' (see "),
        ("prepare", "Missing option '--out' (see "),
        ("evaluate --nonsense", "No such option: --nonsense"),
        ("evaluate --model random --first-seed -1", "'-1' is no whole number from 0 to"),
        ("evaluate --model random --steps x", "'x' is no whole number from 1 to"),
        ("evaluate --model random --threads 0", "'0' is no whole number from 1 to 1,024"),
        ("run --model random --out absent/a.mp4", "absent/a.mp4: cannot be written: there is no folder absent"),
        (
            "evaluate --model random --episodes 99999 --json absent/a.json",
            "absent/a.json: cannot be written: there",
        ),
        ("prepare --episodes 99999 --out absent/a.zarr", "absent/a.zarr: cannot be written: there is no folder absent"),
        ("prepare --episodes 99999 --out a.txt", "a.txt: the suffix .txt says no format"),
        ("prepare --source d.zarr --fps nan --out a.zarr", "'nan' is no number from 0.001 to 1e+06"),
        ("prepare --source d.zarr --out d.zarr", "d.zarr: cannot be written: it is a folder"),
        ("prepare --source d.zarr --out d.zarr/x/y.hdf5", "cannot be written: there is no folder d.zarr/x"),
        ("prepare --source d.zarr --out full.hdf5", "full.hdf5: cannot be written: No space left on device"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(call: Callable[..., Result], arguments: str, said: str) -> None:
    if "full" in arguments and not Path("/dev/full").is_char_device():
        pytest.skip("a device of Linux")
    before = set(Path().iterdir())
    done = call(*arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(Path().iterdir()) == before


def interrupted(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("verb", "name", "arguments"),
    [
        (evaluate_verb, "evaluate_model", "evaluate --model random --json new.json"),
        (run_verb, "run_episode", "run --model random --out new.mp4"),
        (prepare_verb, "write_demonstrations", "prepare --source d.zarr --out new.zarr"),
    ],
)
def test_ctrl_c(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, verb: Any, name: str, arguments: str
) -> None:
    monkeypatch.setattr(sys.modules[verb.__module__] if callable(verb) else verb, name, interrupted)
    before = set(Path().iterdir())
    done = call(*arguments.split())
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "Error: interrupted\n")
    assert set(Path().iterdir()) == before


def test_a_reader_who_has_enough(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        monkeypatch.setattr(sys, "argv", ["suffuse-policy", "info", "--data", "d.zarr", "--json"])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0
    assert capfd.readouterr().err == ""
