"""What the comparison finds: one row for each method, budget and seed, and the table of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

FLOOR = "real images"
"""Name of the row with as many real images as samples: no set of samples of that size can be expected to do better."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method at a budget with one seed.

    Attributes:
        method: Its name.
        budget: Share of the work of a full generation that was asked for.
        flops_fraction: The share it took, in operations counted from outside; None if it could not run.
        cpu_s: CPU seconds of the process for `n` samples.
        psnr_db: To the samples of 200 steps from the same noise, mean over samples.
        psnr_ci: Half the width of its 95 % confidence interval.
        fd: FD-fashion-cnn to real images. It falls with `n`; only those of one `n` compare.
        fd_over_full: `fd` less that of the full generation from the same noise.
        fd_ci: Half the width of the 95 % confidence interval of that difference.
        accuracy: Share of samples that show what was asked for.
        n: Number of samples.
        seed: Of their noise.
        settings: The best settings for the budget.
        why_not: Why it could not run.
    """

    method: str
    budget: float
    flops_fraction: float | None = None
    cpu_s: float | None = None
    psnr_db: float | None = None
    psnr_ci: float | None = None
    fd: float | None = None
    fd_over_full: float | None = None
    fd_ci: float | None = None
    accuracy: float | None = None
    n: int
    seed: int
    settings: str = ""
    why_not: str = ""

    @property
    def key(self) -> tuple[str, float, int]:
        """What no two rows of a comparison share."""
        return self.method, self.budget, self.seed

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        """One line for whoever waits."""
        start = f"seed {self.seed}, budget {self.budget:g}, {self.method}: "
        if self.why_not:
            return start + self.why_not
        cells = _cells([self])
        return start + f"work {cells[0]}, {cells[1]} s CPU, PSNR {cells[2]} dB, FD {cells[3]}, accuracy {cells[5]}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown, mean over seeds with 95 % intervals, best PSNR of a budget first."""
    lines = [
        "| budget | method | work | CPU s | PSNR dB | FD-fashion-cnn | FD over full | accuracy | settings |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.budget, row.method), []).append(row)

    def order(item: tuple[tuple[float, str], list[Row]]) -> tuple[float, float]:
        nearness = _mean(item[1], "psnr_db")
        return -item[0][0], float("inf") if nearness is None else -nearness

    for (budget, method), some in sorted(groups.items(), key=order):
        cells = ["–"] * 6 if some[0].why_not else _cells(some)
        lines.append(f"| {budget:g} | {method} | {' | '.join(cells)} | {some[0].why_not or some[0].settings} |")
    return "\n".join(lines) + "\n"


def _cells(some: Sequence[Row]) -> list[str]:
    """Work, CPU seconds, PSNR, FD, FD over full and accuracy of the rows of one method at one budget."""
    accuracy = _mean(some, "accuracy")
    return [
        _number(_mean(some, "flops_fraction"), ".2f"),
        _number(_mean(some, "cpu_s"), ".1f"),
        _number(_mean(some, "psnr_db"), ".2f") + _around(some, "psnr_ci", ".2f"),
        _number(_mean(some, "fd"), ".2f"),
        _number(_mean(some, "fd_over_full"), "+.2f") + _around(some, "fd_ci", ".2f"),
        _number(None if accuracy is None else 100 * accuracy, ".1f") + ("" if accuracy is None else " %"),
    ]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _around(some: Sequence[Row], name: str, form: str) -> str:
    """Half the width of the interval of a mean over seeds, each with an interval of its own."""
    widths = [value for row in some if (value := getattr(row, name)) is not None]
    return f" ± {format(sum(width**2 for width in widths) ** 0.5 / len(widths), form)}" if widths else ""


def _mean(some: Sequence[Row], name: str) -> float | None:
    values = [value for row in some if (value := getattr(row, name)) is not None]
    return sum(values) / len(values) if values else None
