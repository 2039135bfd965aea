"""What a run tells: `log.jsonl` (the record), TensorBoard event files (made from it), and a progress display."""

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

Kind = Literal["train", "evaluation"]

PLAIN_INTERVAL_SECONDS = 30.0
"""Seconds between lines where there is no terminal to draw a bar on."""


class RunLog:
    """The metrics of a run, one JSON object a line: `{"step", "kind", "values", "time"}`.

    Opening it for a run resumed at `step` drops the lines after that step (they will be made again, equal) and
    writes the TensorBoard files anew from the rest, so that no step appears twice in either.
    """

    def __init__(self, directory: Path, *, step: int) -> None:
        """Open the log of a run in `directory` that goes on after `step` updates."""
        self.path = directory / "log.jsonl"
        events = directory / "tensorboard"
        kept = [record for record in read_log(directory) if record["step"] <= step]
        self._replace(kept)
        if events.exists():
            shutil.rmtree(events)
        self._file = self.path.open("a", encoding="utf-8")
        self._writer = SummaryWriter(log_dir=str(events))
        for record in kept:
            self._to_tensorboard(record)

    def add(self, step: int, kind: Kind, values: Mapping[str, float]) -> None:
        """Record `values` after `step` updates."""
        record = {"step": step, "kind": kind, "values": dict(values), "time": time.time()}
        self._file.write(_line(record))
        self._file.flush()
        self._to_tensorboard(record)

    def sync(self) -> None:
        """Flush to disk, so that a checkpoint never outlives the lines that led to it."""
        self._writer.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
        self._file.close()

    def _replace(self, records: list[dict[str, Any]]) -> None:
        replacement = self.path.with_name(f".{self.path.name}")
        with replacement.open("w", encoding="utf-8") as file:
            file.writelines(_line(record) for record in records)
            file.flush()
            os.fsync(file.fileno())
        replacement.replace(self.path)

    def _to_tensorboard(self, record: Mapping[str, Any]) -> None:
        for name, value in record["values"].items():
            self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"], walltime=record["time"])


def read_log(directory: Path) -> list[dict[str, Any]]:
    """The records of `log.jsonl` in a run directory, without a last line that was cut by a kill.

    A value that was not finite (null in the file) is given as NaN.

    Raises:
        ValueError: a line is not one of this log; the message has its number.
    """
    path = directory / "log.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
            record["values"] = {n: math.nan if v is None else v for n, v in record["values"].items()}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}, is not a line of this log: {error}") from error
        records.append(record)
    return records


def _line(record: Mapping[str, Any]) -> str:
    """One line of `log.jsonl`; JSON has no NaN and no infinity, they become null."""
    values = {name: value if math.isfinite(value) else None for name, value in record["values"].items()}
    return json.dumps({**record, "values": values}, allow_nan=False) + "\n"


class Display:
    """A rich progress bar on a terminal; elsewhere a line every `PLAIN_INTERVAL_SECONDS`."""

    def __init__(self, *, start: int, steps: int, console: Console) -> None:
        """A display on `console` of `steps` updates of which `start` are made."""
        self._start, self._steps, self._console = start, steps, console
        self._began = self._last_line = time.monotonic()
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._progress.add_task("training", total=steps, completed=start, status="")

    def __enter__(self) -> "Display":
        """Start drawing."""
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        if self._progress is not None:
            self._progress.stop()

    def update(self, step: int, *, loss: float, learning_rate: float) -> None:
        """Show the state after `step` updates."""
        now = time.monotonic()
        rate = (step - self._start) / max(now - self._began, 1e-9)
        status = f"loss {loss:.4g}  lr {learning_rate:.3g}  {rate:.2f} it/s"
        if self._progress is not None:
            self._progress.update(self._task, completed=step, status=status)
        elif now - self._last_line >= PLAIN_INTERVAL_SECONDS or step == self._steps:
            self._last_line = now
            left = timedelta(seconds=round((self._steps - step) / rate))
            self._console.print(f"step {step}/{self._steps}  {status}  left {left}", highlight=False, soft_wrap=True)

    def say(self, message: str) -> None:
        """Print a line of text above the bar."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)
