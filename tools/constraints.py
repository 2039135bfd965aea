"""Print poetry.lock as pip constraints: `python tools/constraints.py > constraints.txt`."""

import tomllib
from pathlib import Path

LOCK = Path(__file__).parents[1] / "poetry.lock"


def constraint(package: dict) -> str:
    """One line `name==version ; markers` for a package of the lock."""
    markers = package.get("markers", "")
    if isinstance(markers, dict):  # one marker for each dependency group
        markers = " or ".join(f"({marker})" for marker in markers.values())
    return f"{package['name']}=={package['version']}" + (f" ; {markers}" if markers else "")


if __name__ == "__main__":
    for locked in tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]:
        if "source" not in locked:  # those with one are our own members, installed from their folders
            print(constraint(locked))
