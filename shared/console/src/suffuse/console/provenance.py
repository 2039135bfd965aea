"""`run.json`: what made a file, written beside it."""

import platform
import re
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from suffuse.console.files import write_json


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def versions(distribution: str) -> dict[str, str]:
    """Versions of Python, a distribution, and those of the distributions it asks for that are installed."""
    found = {"python": platform.python_version(), distribution: version(distribution)}
    for line in requires(distribution) or ():
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def write_run(out: Path, distribution: str, arguments: dict[str, Any], **facts: Any) -> Path:
    """Write `<out>.run.json`: the arguments, the versions of the distribution that made it, and `facts`.

    Returns its path. Raises UserError if it cannot be written.
    """
    path = out.with_name(f"{out.name}.run.json")
    record = {
        "made": out.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()},
        "versions": versions(distribution),
        **facts,
    }
    write_json(path, record)
    return path
