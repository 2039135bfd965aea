"""What every benchmark prints first: the machine, the versions, the commit; and how times are taken."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

DATA = Path(os.environ.get("SUFFUSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""Where data sets that are not part of the product are looked for."""


def describe() -> str:
    """One line: processor, cores, threads, versions, commit."""
    model = next((line.split(":")[1].strip() for line in cpu_lines() if line.startswith("model name")), "unknown CPU")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    ).stdout.strip()
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, commit {commit or 'unknown'}"
    )


def begin(data: Path, trips: str) -> None:
    """Print `describe`, or end with a sentence where the data set is absent; `trips` says what it holds."""
    if not data.is_dir():
        sys.exit(f"{data} is absent: the {trips} are not part of the product (set SUFFUSE_DATA)")
    print(describe())


def cpu_lines() -> list[str]:
    """Lines of /proc/cpuinfo, none where there is no such file."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
