"""The book of work: what was done, what was left out, what that cost."""

import time
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Entry:
    """Floating-point operations and calls; `calls` and `ran` in calls of a site, where rows left out are fractions."""

    full: float = 0.0
    run: float = 0.0
    overhead: float = 0.0
    calls: int = 0
    ran: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, other: "Entry") -> None:
        """Add each number of another entry to one's own."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Ledger:
    """Entries by step and by site, and those of calls in which everything had to run."""

    steps: dict[int, Entry] = field(default_factory=lambda: defaultdict(Entry))
    sites: dict[str, Entry] = field(default_factory=lambda: defaultdict(Entry))
    plain: Entry = field(default_factory=Entry)
    generations: set[int] = field(default_factory=set)

    def site(self, name: str, *, full: float, run: float, overhead: float, ran: float) -> None:
        """A call of a site: what it costs in full, what was spent on it, and which share of its rows ran."""
        entry = self.sites[name]
        entry.full += full
        entry.run += run
        entry.overhead += overhead
        entry.calls += 1
        entry.ran += ran

    def call(self, step: int, *, full: float, run: float, overhead: float, clock: "Stopwatch", plain: bool) -> None:
        """A call of the denoiser; `plain` if all of it ran and nothing was measured on the way."""
        for entry in (self.steps[step], self.plain) if plain else (self.steps[step],):
            entry.full += full
            entry.run += run
            entry.overhead += overhead
            entry.calls += 1
            entry.wall_s += clock.wall_s
            entry.cpu_s += clock.cpu_s


class Stopwatch:
    """Wall time and this process's CPU time from its making to `stop`, in seconds."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self.wall_s = self.cpu_s = 0.0

    def stop(self) -> None:
        """Read both clocks."""
        self.wall_s, self.cpu_s = time.perf_counter() - self._wall, time.process_time() - self._cpu
