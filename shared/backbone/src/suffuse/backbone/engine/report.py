"""What a session saved, for people and for machines."""

from dataclasses import asdict, dataclass
from typing import Any

from suffuse.backbone.engine.ledger import Entry, Ledger

COLUMNS = ("", "calls", "ran", "GFLOP full", "GFLOP run", "saved")


@dataclass(frozen=True)
class Row:
    """One step or one site.

    Attributes:
        name: Number of the step, or name of the site.
        calls: Calls of the denoiser or of the site.
        ran: How many of them ran; a call that ran for half of its rows counts a half. For a step all of them.
        flops_full: Floating-point operations had everything run.
        flops_run: Those that were spent, overhead included.
        wall_s: Time on the clock; 0 for sites, which are not timed.
        cpu_s: CPU time of the process; 0 for sites.
    """

    name: str
    calls: int
    ran: float
    flops_full: float
    flops_run: float
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Report:
    """What a session did.

    Operations are products, convolutions and attention. Times cover the calls of the denoiser; on a GPU, which works on
    its own, they mean little without synchronisation.

    Attributes:
        shortcuts: Names of the shortcuts, outermost first; none if all were idle.
        generations: Generations that were begun.
        flops_full: Operations had everything run.
        flops_run: Operations spent, overhead included.
        flops_overhead: Operations of the shortcuts themselves.
        wall_s: Time on the clock.
        cpu_s: CPU time of the process.
        cpu_s_full: CPU time had everything run, estimated from the calls in which everything did; None without such.
        steps: By step, all generations together.
        sites: By site, those the shortcuts act on.
        warning: One sentence if nothing was saved, else None.
    """

    shortcuts: tuple[str, ...]
    generations: int
    flops_full: float
    flops_run: float
    flops_overhead: float
    wall_s: float
    cpu_s: float
    cpu_s_full: float | None
    steps: tuple[Row, ...]
    sites: tuple[Row, ...]
    warning: str | None

    @property
    def fraction(self) -> float:
        """Share of the full operations that was spent; 1 before the first call."""
        return self.flops_run / self.flops_full if self.flops_full else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data for JSON."""
        return asdict(self) | {"fraction": self.fraction}

    def __str__(self) -> str:
        """A table of steps and sites, the sums on top."""
        names = ", ".join(self.shortcuts) or "no shortcut"
        share = f" (about {self.cpu_s / self.cpu_s_full:.0%} of all in full)" if self.cpu_s_full else ""
        time = f"{self.cpu_s:.2f} s CPU{share}, {self.wall_s:.2f} s wall"
        generations = f"{self.generations} generation" + ("s" if self.generations != 1 else "")
        lines = [
            f"{names}: {self.fraction:.1%} of {self.flops_full / 1e9:.4g} GFLOP"
            f" (overhead {self.flops_overhead / max(self.flops_full, 1):.2%}) in {generations}, {time}"
        ]
        width = max([len("step 000"), *(len(row.name) for row in self.sites)])
        lines.append(f"{COLUMNS[0]:{width}}" + "".join(f"{title:>12}" for title in COLUMNS[1:]))
        for row in [*self.steps, *self.sites]:
            saved = 1 - row.flops_run / row.flops_full if row.flops_full else 0.0
            lines.append(
                f"{row.name:{width}}{row.calls:12d}{row.ran:12.4g}{row.flops_full / 1e9:12.4g}"
                f"{row.flops_run / 1e9:12.4g}{saved:12.1%}"
            )
        return "\n".join(lines + ([f"Warning: {self.warning}"] if self.warning else []))


def make_report(ledger: Ledger, shortcuts: tuple[str, ...], *, saves: bool) -> Report:
    """Close the books for a look at them; they go on afterwards. `saves` says whether anything should be saved."""
    total = Entry()
    for entry in ledger.steps.values():
        total.add(entry)
    full, run, overhead, cpu, calls = total.full, total.run, total.overhead, total.cpu_s, total.calls
    plain = ledger.plain
    return Report(
        shortcuts,
        len(ledger.generations),
        full,
        run + overhead,
        overhead,
        total.wall_s,
        cpu,
        plain.cpu_s / plain.calls * calls if plain.calls else None,
        tuple(
            Row(f"step {step}", e.calls, float(e.calls), e.full, e.run + e.overhead, e.wall_s, e.cpu_s)
            for step, e in sorted(ledger.steps.items())
        ),
        tuple(
            Row(name, e.calls, e.ran, e.full, e.run + e.overhead, e.wall_s, e.cpu_s) for name, e in ledger.sites.items()
        ),
        _warning(full, run + overhead, calls) if saves else None,
    )


def _warning(full: float, run: float, calls: int) -> str | None:
    if not calls:
        return "the denoiser was not called inside this session; a session holds for the thread that opened it"
    if run >= full:
        return f"nothing was saved in {calls} calls of the denoiser"
    return None
