"""What a comparison has found so far, in a file, so that one that was stopped goes on."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.rows import Row
from suffuse.console import write_json

Tried = tuple[float, float] | None
"""Share of the full work and PSNR of settings on the tuning noise; None for settings that take too much."""


@dataclass
class Progress:
    """Rows, and settings that were tried.

    Attributes:
        path: File that holds them; None keeps them in memory only.
        about: What has to be the same for rows to go together.
        rows: In the order in which they were measured.
        tried: By method and settings.
    """

    path: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    tried: dict[str, dict[str, Tried]] = field(default_factory=dict)

    @classmethod
    def resume(cls, path: Path, about: dict[str, Any]) -> "Progress":
        """What is in the file, or nothing yet. Raises StudyError if it is of another comparison, or damaged."""
        if not path.is_file():
            return cls(path, about)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found, rows = data["about"], [Row(**row) for row in data["rows"]]
            tried = {
                method: {settings: None if pair is None else (pair[0], pair[1]) for settings, pair in pairs.items()}
                for method, pairs in data["tried"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StudyError(f"{path} holds no comparison to go on with ({error}); remove it") from None
        if found != about:
            raise StudyError(f"{path} is of a stopped comparison with {found}, and this is one with {about}; remove it")
        return cls(path, about, rows, tried)

    def add(self, row: Row) -> None:
        """Note a row, and write."""
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Write the file, if there is one."""
        if self.path is not None:
            rows = [row.to_dict() for row in self.rows]
            write_json(self.path, {"about": self.about, "tried": self.tried, "rows": rows})

    def done(self) -> None:
        """Remove the file, once the rows are where they belong."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
