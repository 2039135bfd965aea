"""Options that name a wrong value and the range that is allowed."""

import math
import re
from typing import Annotated, Any

import typer

from suffuse.console.errors import shown

MOST_PROCESSES = 1024


def whole(flag: str, low: int, high: int, about: str) -> Any:
    """An option that takes a whole number; unlike typer's own it says value and range of one that is wrong."""

    def parse(given: str | int) -> int:  # a default comes as it is
        text = str(given)
        value = int(text) if re.fullmatch(r"[-+]?[0-9]{1,19}", text.strip()) else None
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"{shown(text)} is no whole number from {low:,} to {high:,}")
        return value

    allowed = f"{low}-{high}" if high < 10_000 else f"from {low}"
    return typer.Option(flag, parser=parse, metavar=f"<int {allowed}>", help=about)


def number(flag: str, low: float, high: float, about: str, *, but: float | None = None) -> Any:
    """An option that takes a number from `low` to `high` other than `but`."""
    allowed = f"{low:g} to {high:g}" if but is None else f"{low:g} to {high:g}, {but:g} excluded"

    def parse(given: str | float) -> float:
        text = str(given)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or value == but:
            raise typer.BadParameter(f"{shown(text)} is no number from {allowed}")
        return value

    return typer.Option(flag, parser=parse, metavar=f"<float {low:g}-{high:g}>", help=about)


Threads = Annotated[
    int | None, whole("--threads", 1, MOST_PROCESSES, "Threads of each process. Default: what PyTorch takes.")
]
