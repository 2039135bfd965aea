"""A command ends in one sentence where the input, a file or a disk is at fault, and shows defects of its own."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from safetensors import SafetensorError
from typer.testing import CliRunner, Result

from suffuse.console import number, one_sentence, progress, say, task_app, whole


def raising(error: BaseException) -> Callable[..., Result]:
    """A command whose verb raises."""
    app = task_app("made-up", "Made up.")

    @app.callback()
    def options() -> None: ...

    @app.command()
    def verb(
        n: Annotated[int, whole("-n", 1, 1000, "How many.")] = 10,
        share: Annotated[float, number("--share", 0.0, 1.0, "How much.", but=0.0)] = 0.5,
    ) -> None:
        typer.echo(f"{n} {share}")
        raise error

    return lambda *arguments: CliRunner().invoke(app, [*arguments], prog_name="made-up")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("file: field is 3, but must be 4"), 2, "file: field is 3, but must be 4"),
        (ValueError("two\nlines [/b]"), 2, "two lines [/b]"),
        (ImportError("get it with `pip install x`"), 2, "get it with `pip install x`"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 2, "a.csv: No such file or directory"),
        (SafetensorError("cut short"), 2, "cut short"),
        (MemoryError(), 2, "there is not enough memory"),
        (MemoryError("for 8 EiB"), 2, "there is not enough memory: for 8 EiB"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_of_input_files_and_disks(error: BaseException, code: int, said: str) -> None:
    done = raising(error)("verb")
    assert (done.exit_code, done.stdout, done.stderr) == (code, "10 0.5\n", f"Error: {said}\n")


@pytest.mark.parametrize("error", [KeyError("ours"), RuntimeError("ours"), AssertionError("ours")])
def test_a_defect_of_ours_is_not_hushed_up(error: Exception) -> None:
    assert raising(error)("verb").exception is error
    with pytest.raises(type(error)), one_sentence():
        raise error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--nonsense", "No such option: --nonsense (see made-up --help)"),
        ("nonsense", "No such command 'nonsense' (see made-up --help)"),
        ("verb --nonsense", "No such option: --nonsense (see made-up verb --help)"),
        ("verb -n", "Option '-n' requires an argument"),
        *[
            (f"verb -n {value}", f"Invalid value for '-n': '{value}' is no whole number from 1 to 1,000")
            for value in ("0", "1001", "-5", "x", "1.5", "nan", "9" * 30, "\u00b2")
        ],
        *[
            (f"verb --share {value}", f"Invalid value for '--share': '{value}' is no number from 0 to 1, 0 excluded")
            for value in ("0", "-1", "1.01", "x", "nan", "inf", "1e308")
        ],
    ],
)
def test_wrong_arguments(arguments: str, said: str) -> None:
    done = raising(ValueError("never"))(*arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {said}")
    assert done.stderr.count("\n") == 1


def test_the_help_is_no_error() -> None:
    call = raising(ValueError("never"))
    for arguments in ([], ["--help"], ["verb", "--help"]):
        assert "Usage: made-up" in call(*arguments).stdout
    assert call("--help").exit_code == call("verb", "--help").exit_code == 0
    assert "<int 1-1000>" in call("verb", "--help").stdout


def test_a_reader_who_has_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "dup2", lambda here, there: closed.append((here, there)))
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    with pytest.raises(typer.Exit) as end, one_sentence():
        raise BrokenPipeError
    assert end.value.exit_code == 0
    assert [there for _, there in closed] == [1]


def test_standard_output_that_is_full(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("a device of Linux")
    app = task_app("made-up", "Made up.")
    app.callback()(lambda: None)
    app.command("verb")(lambda: typer.echo("anything"))
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "argv", ["made-up", "verb"])
        with pytest.raises(SystemExit) as end:
            app()
    assert end.value.code == 2
    assert capfd.readouterr().err == "Error: what is printed, or a temporary file: No space left on device\n"


def test_what_is_said_is_said_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    long = "[/b] [red]" + "x" * 200
    say(long, style="yellow")
    with progress("Working", 3) as bar:
        bar.advance(bar.task_ids[0])
        assert bar.tasks[0].completed == 1
    assert said.getvalue() == f"{long}\n"
