"""A run killed by SIGKILL at any moment and resumed ends with the same bits as one never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")


def experiment(name: str, directory: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("killed_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), name, str(directory)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_killed_before_each_file_operation(tmp_path: Path) -> None:
    """Every way to leave files half-done: in starting, logging, writing a checkpoint and deleting an old one."""
    seen = experiment("operations", tmp_path)
    assert seen["kills"] > 50
    assert seen["wrong"] == []


def test_killed_again_and_again_at_random_moments(tmp_path: Path) -> None:
    seen = experiment("moments", tmp_path)
    assert seen["kills"] >= 5
    assert seen["places"] == seen["kills"]
    assert not seen["wrong"]
