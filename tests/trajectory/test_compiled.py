"""Compiled functions find a place to be kept, also where nothing may be written."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from suffuse.trajectory.compiled import VARIABLE, keep_compiled


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    monkeypatch.delenv(VARIABLE, raising=False)


def test_usual_places_are_left_alone(tmp_path: Path):
    keep_compiled([tmp_path / "made"])
    assert VARIABLE not in os.environ


def test_where_nothing_may_be_written_a_folder_is_made(tmp_path: Path):
    (tmp_path / "file").touch()
    keep_compiled([tmp_path / "file" / "in-it"])
    try:
        assert Path(os.environ[VARIABLE]).is_dir()
        assert os.environ[VARIABLE] == numba.config.CACHE_DIR
    finally:
        del os.environ[VARIABLE]


def test_what_the_user_says_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, "mine")
    keep_compiled([tmp_path / "file" / "in-it"])
    assert os.environ[VARIABLE] == "mine"


def test_the_folder_goes_with_the_process(tmp_path: Path):
    (tmp_path / "file").touch()
    code = (
        "import os, sys; from pathlib import Path; from suffuse.trajectory.compiled import keep_compiled; "
        "keep_compiled([Path(sys.argv[1]) / 'in-it']); print(os.environ['NUMBA_CACHE_DIR'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    assert not Path(done.stdout.strip()).exists()
