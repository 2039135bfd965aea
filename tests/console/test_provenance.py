"""`run.json` says what made a file."""

import json
import platform
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

from suffuse.console import UserError, file_hash, versions, write_run


def test_a_record_beside_the_file(tmp_path: Path) -> None:
    out = tmp_path / "trips.csv"
    path = write_run(out, "suffuse-console", {"out": out, "n": 3, "closed": None}, trips=3, seeds=(1, 2))
    assert path == tmp_path / "trips.csv.run.json"
    record = json.loads(path.read_text())
    assert record.pop("at").endswith("+00:00")
    assert record == {
        "made": "trips.csv",
        "arguments": {"out": str(out), "n": 3, "closed": None},
        "versions": {
            "python": platform.python_version(),
            "suffuse-console": version("suffuse-console"),
            "rich": version("rich"),
            "safetensors": version("safetensors"),
            "typer": version("typer"),
        },
        "trips": 3,
        "seeds": [1, 2],
    }
    with pytest.raises(UserError, match="there is no folder"):
        write_run(tmp_path / "absent" / "out", "suffuse-console", {})


def test_versions_leave_out_extras_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "typer>=0.20",
        "no.such-library[extra]>=1; extra == 'more'",
        "rich (>=13)",
        "safetensors ; python_version>'3'",
    ]
    monkeypatch.setattr("suffuse.console.provenance.requires", lambda distribution: asked)
    assert set(versions("suffuse-console")) == {"python", "suffuse-console", "typer", "rich", "safetensors"}


def test_the_hash_is_of_all_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # more than two reads
    (tmp_path / "file").write_bytes(content)
    assert file_hash(tmp_path / "file") == sha256(content).hexdigest()
