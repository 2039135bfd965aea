"""The command line of `suffuse`, over real and made-up tasks."""

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import metadata, version
from pathlib import Path

import pytest

from suffuse.cli import installed_tasks, main
from suffuse.cli.tasks import KNOWN, distribution_of

Run = Callable[..., tuple[int, str, str]]

GREET = """
    import typer

    app = typer.Typer(help="Says hello.")

    @app.command()
    def hello(name: str, loud: bool = False) -> None:
        typer.echo(name.upper() if loud else name)

    @app.command()
    def fail() -> None:
        raise typer.Exit(7)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `suffuse` in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["suffuse", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a distribution with one task onto the import path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, source: str) -> None:
        module = f"made_up_{name}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-3.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: made-up-{name}\nVersion: 3.1\nSummary: Made up to {name}.\n"
        )
        (info / "entry_points.txt").write_text(f"[suffuse.tasks]\n{name} = {module}:app\n")

    yield install
    for module in [module for module in sys.modules if module.startswith("made_up_")]:
        del sys.modules[module]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An import path on which no distribution is to be found (what is imported stays so)."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])


def test_a_task_runs_with_its_own_arguments_and_exit_code(install: Callable[..., None], run: Run) -> None:
    install("greet", GREET)
    assert run("greet", "hello", "Ana", "--loud") == (0, "ANA\n", "")
    assert run("greet", "fail")[0] == 7


def test_a_task_prints_its_own_help_under_its_full_name(install: Callable[..., None], run: Run) -> None:
    install("greet", GREET)
    code, out, _ = run("greet", "--help")
    assert code == 0
    assert "Usage: suffuse greet" in out
    assert "Says hello." in out
    assert "Usage: suffuse greet hello" in run("greet", "hello", "--help")[1]


def test_wrong_arguments_of_a_task_are_one_sentence(install: Callable[..., None], run: Run) -> None:
    install("greet", GREET)
    code, out, err = run("greet", "hello")
    assert (code, out) == (2, "")
    assert err.startswith("Error: Missing argument ")
    assert err.endswith(" (see suffuse greet hello --help)\n")


def test_help_lists_tasks_without_importing_them(install: Callable[..., None], run: Run) -> None:
    install("explode", "raise RuntimeError('imported')")
    for arguments in ([], ["--help"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "Made up to explode." in out
        assert "trajectory" in out
    assert "made_up_explode" not in sys.modules


def test_one_task_is_called_without_importing_another(install: Callable[..., None], run: Run) -> None:
    install("explode", "raise RuntimeError('imported')")
    install("greet", GREET)
    assert run("greet", "hello", "Ana") == (0, "Ana\n", "")


def test_a_missing_package_is_named_with_its_remedy(install: Callable[..., None], run: Run) -> None:
    install("crawl", "import no_such_library.part")
    code, out, err = run("crawl", "anything")
    assert (code, out) == (2, "")
    assert err == (
        "Error: the task 'crawl' cannot start: the package 'no_such_library' is missing, "
        "and `pip install --upgrade made-up-crawl` should bring it\n"
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("app = 3", "must be a typer.Typer, but is of type int"),
        ("", "has no attribute 'app'"),
        ("from math import no_such_name", "cannot import name 'no_such_name'"),
    ],
)
def test_a_broken_task_is_one_sentence(install: Callable[..., None], run: Run, source: str, reason: str) -> None:
    install("stumble", source)
    code, out, err = run("stumble")
    assert (code, out) == (2, "")
    assert err.startswith("Error: the task 'stumble' cannot start: ")
    assert reason in err
    assert err.count("\n") == 1


def test_a_bug_in_a_task_is_not_hidden(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install("break", "raise RuntimeError('a bug')")
    monkeypatch.setattr(sys, "argv", ["suffuse", "break"])
    with pytest.raises(RuntimeError, match="a bug"):
        main()


def test_an_unknown_task_is_answered_with_those_there_are(install: Callable[..., None], run: Run) -> None:
    install("greet", GREET)
    code, out, err = run("great", "hello")
    assert (code, out) == (2, "")
    assert err == f"Error: there is no task 'great'; installed: {', '.join(installed_tasks())}.\n"


@pytest.mark.usefixtures("nothing_installed")
def test_with_no_task_it_says_how_to_get_one(run: Run) -> None:
    assert installed_tasks() == {}
    sentence = "No suffuse task is installed yet; get one with `pip install suffuse-trajectory`."
    assert run() == (0, sentence + "\n", "")
    assert sentence in " ".join(run("--help")[1].split())


@pytest.mark.usefixtures("nothing_installed")
def test_with_no_task_a_known_one_and_an_unknown_one_exit_with_2(run: Run) -> None:
    known = "Error: the task 'trajectory' is not installed; get it with `pip install suffuse-trajectory`.\n"
    assert run("trajectory", "generate") == (2, "", known)
    code, _, err = run("haircut")
    assert code == 2
    offers = ", ".join(f"{name} (`pip install {distribution_of(name)}`)" for name in KNOWN)
    assert err == f"Error: there is no task 'haircut'; installed: none; to be had: {offers}.\n"


def test_tasks_lists_what_is_installed(install: Callable[..., None], run: Run) -> None:
    install("greet", GREET)
    rows = [line.split(maxsplit=2) for line in run("tasks")[1].splitlines()]
    assert ["greet", "3.1", "Made up to greet."] in rows
    assert ["trajectory", version("suffuse-trajectory")] in [row[:2] for row in rows]


@pytest.mark.usefixtures("nothing_installed")
def test_tasks_lists_what_could_be_installed(run: Run) -> None:
    expected = [[name, "pip", "install", distribution_of(name), *does.split()] for name, does in KNOWN.items()]
    assert [line.split() for line in run("tasks")[1].splitlines()] == expected


def test_a_task_cannot_take_the_place_of_our_own_command(install: Callable[..., None], run: Run) -> None:
    install("tasks", "raise RuntimeError('imported')")
    code, out, _ = run("tasks")
    assert code == 0
    assert "trajectory" in out


def test_versions_of_all_members(install: Callable[..., None], run: Run) -> None:
    install("greet", GREET)
    members = [
        "suffuse",
        "suffuse-console",
        "suffuse-backbone",
        *(task.distribution for task in installed_tasks().values()),
    ]
    assert {"made-up-greet", "suffuse-trajectory"} < set(members)
    assert run("--version") == (0, "".join(f"{member} {version(member)}\n" for member in members), "")


def test_help_is_fast_because_it_imports_no_heavy_library() -> None:
    code = """if True:
        import sys
        from suffuse.cli import main
        sys.argv = ["suffuse", "--help"]
        try:
            main()
        finally:
            print(sorted({"torch", "numpy", "pandas", "suffuse.trajectory"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Synthetic trips" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "suffuse.cli", "tasks"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["backbone", "policy", "trajectory"]


def test_every_known_task_is_an_extra_of_this_package() -> None:
    assert set(metadata("suffuse").get_all("Provides-Extra") or ()) == {*KNOWN, "all"}
