"""`run.json`: what made a file, written beside it."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from suffuse.policy.atomic import replacing


def write_run(out: Path, arguments: dict[str, Any], **facts: Any) -> Path:
    """Write `<out>.run.json`: the arguments, the versions, and `facts`. Returns its path."""
    path = out.with_name(f"{out.name}.run.json")
    record = {
        "made": out.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("suffuse-policy", "suffuse-backbone", "torch", "diffusers", "numpy")},
        },
        **facts,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    return path
