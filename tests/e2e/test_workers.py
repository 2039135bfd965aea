"""Several processes answer like one, say what is wrong like one, and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from suffuse.trajectory.cli import app

pytestmark = pytest.mark.slow

ASKED = ("generate", "--city", "la-serena", "-n", "8", "--batch-size", "4", "--seed", "5")


def test_two_processes_give_the_file_of_one(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        done = CliRunner().invoke(app, [*ASKED, "--workers", workers, "--out", str(tmp_path / f"{workers}.geojson")])
        assert done.exit_code == 0, done.output
    one, two = ((tmp_path / f"{workers}.geojson").read_bytes() for workers in ("1", "2"))
    assert one == two
    assert one.count(b'"trip_id"') == 8


def test_what_is_wrong_in_a_process_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ("generate", "-n", "1", "--model", "nowhere", "--workers", "2", "--out", str(tmp_path / "trips.csv"))
    done = CliRunner().invoke(app, asked)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: there is no model 'nowhere'")
    assert len(done.stderr.splitlines()) == 1
    assert capfd.readouterr() == ("", ""), "the process itself says nothing"
    assert not list(tmp_path.iterdir())


def children(pid: int) -> list[str]:
    """Processes that a process has started and that are still there."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks at processes as Linux shows them")
def test_ctrl_c_ends_all_processes_and_leaves_nothing(tmp_path: Path) -> None:
    """As a terminal does it: every process of the group is told, even those that are only about to begin."""
    command = Path(sys.executable).parent / "suffuse-trajectory"
    with subprocess.Popen(
        [command, *ASKED, "--model", "dijkstra", "--workers", "2", "--out", "trips.csv"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as run:  # fmt: skip
        while run.poll() is None and len(children(run.pid)) < 3:  # two that work, one that keeps track of them
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)
        stdout, stderr = run.communicate(timeout=120)
    assert (run.returncode, stdout, stderr) == (130, "", "Error: interrupted\n")
    assert not list(tmp_path.iterdir())
