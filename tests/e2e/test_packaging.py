"""What a stranger gets from pip: complete wheels, and commands that run without our sources."""

import configparser
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MEMBERS = {
    "suffuse-console": ROOT / "shared/console",
    "suffuse-backbone": ROOT / "shared/backbone",
    "suffuse-trajectory": ROOT / "packages/trajectory",
    "suffuse-policy": ROOT / "packages/policy",
    "suffuse-backbone-cli": ROOT / "apps/backbone",
    "suffuse": ROOT / "apps/cli",
}
NEITHER_OURS_NOR_PATHS = ("suffuse", "__pycache__")


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command away from our sources and gives its standard output; a failure shows its standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pip(*arguments: str | Path, cwd: Path, python: Path = Path(sys.executable)) -> None:
    run(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=cwd)


class Bare:
    """An environment with the libraries that the tests run with, but with nothing of ours until it is installed."""

    def __init__(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
        self.bin = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        self.cwd = folder / "elsewhere"
        self.cwd.mkdir()
        libraries = folder / "libraries"
        libraries.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.startswith(NEITHER_OURS_NOR_PATHS) and entry.suffix != ".pth":
                (libraries / entry.name).symlink_to(entry)
        site = run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
        (Path(site) / "libraries.pth").write_text(f"{libraries}\n")

    def install(self, *what: Path) -> None:
        pip("install", "--no-deps", "--no-index", "--no-build-isolation", *what, cwd=self.cwd, python=self.python)

    def __call__(self, command: str, *arguments: str) -> str:
        return run(self.bin / command, *arguments, cwd=self.cwd)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of every member, by its distribution's name."""
    folder = tmp_path_factory.mktemp("wheels")
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, *MEMBERS.values(), cwd=folder)
    return {path.name.split("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """An environment with the wheels of all members."""
    bare = Bare(tmp_path_factory.mktemp("installed"))
    bare.install(*wheels.values())
    return bare


def text_in(wheel: Path, name: str) -> str:
    """The content of the one file of a wheel whose path ends so."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (path for path in archive.namelist() if path.endswith(name))
        return archive.read(path).decode()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_wheel_holds_every_file_of_its_sources_and_the_licence(wheels: dict[str, Path], member: str) -> None:
    sources = MEMBERS[member] / "src"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=sources).splitlines()
    with zipfile.ZipFile(wheels[member]) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in files if (sources / name).exists()}
    assert any(name.endswith("/py.typed") for name in packed)
    assert "suffuse/__init__.py" not in packed, "suffuse is a namespace of several distributions"
    assert text_in(wheels[member], ".dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_wheel_names_its_siblings_by_version_not_by_path(wheels: dict[str, Path], member: str) -> None:
    metadata = HeaderParser().parsestr(text_in(wheels[member], ".dist-info/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    requirements = metadata.get_all("Requires-Dist") or []
    assert not [line for line in requirements if "file:" in line or "@" in line]
    ours = [line for line in requirements if line.startswith("suffuse")]
    assert all(">=0.1" in line and "<0.2" in line for line in ours)
    siblings = {line.split()[0] for line in ours}
    assert (
        siblings
        == {
            "suffuse-console": set(),
            "suffuse-backbone": set(),
            "suffuse-trajectory": {"suffuse-backbone", "suffuse-console"},
            "suffuse-policy": {"suffuse-backbone", "suffuse-console"},
            "suffuse-backbone-cli": {"suffuse-backbone", "suffuse-console"},
            "suffuse": {"suffuse-console", "suffuse-trajectory", "suffuse-policy", "suffuse-backbone-cli"},
        }[member]
    )


@pytest.mark.parametrize("member", [member for member in MEMBERS if member.startswith("suffuse-")])
def test_a_task_announces_itself(wheels: dict[str, Path], member: str) -> None:
    """Every package under packages/ is a task of its name, with a command of its own, and so is the backbone's command;
    what they share is none."""
    task = member.removeprefix("suffuse-").removesuffix("-cli")
    with zipfile.ZipFile(wheels[member]) as archive:
        announced = any(name.endswith("entry_points.txt") for name in archive.namelist())
    assert announced == (MEMBERS[member].parent.name in ("packages", "apps"))
    if announced:
        entry_points = configparser.ConfigParser()
        entry_points.read_string(text_in(wheels[member], "entry_points.txt"))
        assert entry_points["console_scripts"][f"suffuse-{task}"] == f"suffuse.commands.{task}:main"
        assert (
            entry_points["suffuse.tasks"][task]
            == f"suffuse.{member.removeprefix('suffuse-').replace('-', '_')}.cli:app"
        )


def test_the_umbrella_alone_says_how_to_get_a_task(wheels: dict[str, Path], tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    bare.install(wheels["suffuse-console"], wheels["suffuse"])
    assert "pip install suffuse-trajectory" in bare("suffuse")
    assert bare("suffuse", "--version") == "suffuse 0.1.0\nsuffuse-console 0.1.0\n"


def test_wheels_give_working_commands(installed: Bare) -> None:
    for verb in ("generate", "evaluate", "train", "prepare", "show", "roads", "info"):
        assert verb in installed("suffuse-trajectory", "--help")
    assert "Usage: suffuse trajectory generate" in installed("suffuse", "trajectory", "generate", "--help")
    for verb in ("run", "evaluate", "train", "prepare", "info"):
        assert verb in installed("suffuse-policy", "--help")
    assert "Usage: suffuse policy evaluate" in installed("suffuse", "policy", "evaluate", "--help")
    for verb in ("calibrate", "report", "benchmark", "train", "study"):
        assert verb in installed("suffuse-backbone", "--help")
    where = installed(
        "python", "-c", "import suffuse.trajectory as t, suffuse.backbone as b; print(*t.__path__, *b.__path__)"
    )
    assert str(ROOT) not in where


def test_the_shipped_city_and_model_come_with_the_wheel(installed: Bare) -> None:
    arguments = ["generate", "--city", "la-serena", "-n", "3", "--seed", "1", "--out", "trips.geojson"]
    installed("suffuse", "trajectory", *arguments)
    assert len(json.loads((installed.cwd / "trips.geojson").read_text())["features"]) == 3


def test_a_checkout_installs_with_pip(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    bare.install(MEMBERS["suffuse-console"], MEMBERS["suffuse-backbone"], MEMBERS["suffuse-trajectory"])
    assert "generate" in bare("suffuse-trajectory", "--help")
