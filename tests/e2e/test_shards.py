"""A worker that is killed while shards are written: others take over, and what is there in the end is whole."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import geopandas
import pytest
from geopandas.testing import assert_geodataframe_equal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks at processes as Linux shows them"),
]
COMMAND = Path(sys.executable).parent / "suffuse-trajectory"
ASKED = ("generate", "--city", "la-serena", "--model", "dijkstra", "-n", "1200", "--seed", "5")


def descendants(pid: int) -> Iterator[int]:
    """Processes that a process has started, and those that they have."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


def writers(pid: int, engine: str) -> list[int]:
    """The processes under a command that write shards."""
    sign = {"process": "spawn_main", "ray": "ray::_ray_shard"}[engine]
    found = []
    for child in descendants(pid):
        try:
            if sign in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
        except OSError:
            continue
    return found


def kill_one_writer(run: subprocess.Popen[str], shards: Path, engine: str) -> int:
    """Wait for the first shard, then end one of the two processes as a lack of memory would."""
    until = time.monotonic() + 500
    while run.poll() is None and time.monotonic() < until:
        found = writers(run.pid, engine)
        if list(shards.glob("part-*.parquet")) and found:
            os.kill(found[0], signal.SIGKILL)
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no shard was written, or all were too soon: {run.poll()}")


@pytest.mark.parametrize("engine", ["process", "ray"])
def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path, engine: str) -> None:
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'suffuse-trajectory[ray]'")
    shards = tmp_path / "shards"
    asked = [COMMAND, *ASKED, "--shard-size", "20", "--engine", engine, "--workers", "2", "--out", shards]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    with subprocess.Popen(
        asked, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as run:  # fmt: skip
        killed = kill_one_writer(run, shards, engine)
        stdout, stderr = run.communicate(timeout=600)
    assert run.returncode == 0, stdout + stderr
    assert "1,200 trips written to" in stderr
    assert not Path(f"/proc/{killed}").exists()
    assert len(list(shards.glob("part-*.parquet"))) == 60
    subprocess.run([COMMAND, *ASKED, "--workers", "1", "--out", tmp_path / "whole.parquet"], check=True, timeout=600)
    whole, parts = geopandas.read_parquet(tmp_path / "whole.parquet"), geopandas.read_parquet(shards)
    assert_geodataframe_equal(whole, parts)
