"""Success against CPU time: each way to draw chunks is a point, with its 95 % intervals."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suffuse.console import because, replacing, shown
from suffuse.policy.errors import DataError, PolicyError
from suffuse.policy.show.pictures import STILL, check_picture_suffix

CONTROL_MS = 20.0
"""What a chunk may take."""

TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]
"""Milliseconds that are named below the curve, as far as it reaches."""

MARKERS = {"ddpm": "o", "ddim": "s", "dpm": "^", "flow": "D"}
BESIDE = {"ddim": (5, -10), "dpm": (5, 5)}
"""Where the label of a point goes, in points of the printer; that of others to the right."""

NAMES = {"ddpm": "DDPM", "ddim": "DDIM", "dpm": "DPM-Solver++", "flow": "flow matching"}
COLOURS = {None: "#333333", "bac": "#c0392b", "uniform": "#2471a3"}
LEFT_OUT = {None: "computed in full", "bac": "BAC", "uniform": "uniform caching"}
BASELINES = ("#7d3c98", "#1e8449", "#b9770e", "#566573")


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Figures of one way to draw chunks, or of a baseline, which has no `sampler`.

    Attributes:
        model: what acted.
        sampler: see `NoiseProcess`; None for an actor without chunks, `mean` for one without noise.
        steps: denoising steps.
        shortcut: what is left out, if anything.
        budget: share of the work that is done, in (0, 1].
        cpu_ms: median CPU milliseconds of a chunk; None where there are no chunks.
        figures: success rate and mean largest reward, each with the ends of its 95 % interval.
        episodes: how many.
    """

    model: str
    sampler: str | None
    steps: int | None
    shortcut: str | None
    budget: float
    cpu_ms: float | None
    figures: dict[str, tuple[float, float, float]]
    episodes: int

    @property
    def label(self) -> str:
        """Steps, or with a shortcut the share of the work."""
        return f"{self.steps}" if self.shortcut is None else f"{self.budget:g}"


def point(evaluation: Mapping[str, Any]) -> CurvePoint:
    """A point of what `evaluate` found, as plain values. Raises KeyError, TypeError or ValueError for anything else."""
    settings = evaluation["settings"]
    cpu_ms = evaluation["cpu_ms_per_chunk"]
    if cpu_ms is not None and not (math.isfinite(cpu_ms) and cpu_ms > 0):
        raise ValueError(f"cpu_ms_per_chunk is {cpu_ms}")
    if settings.get("shortcut") not in COLOURS:
        raise ValueError(f"shortcut is {settings['shortcut']!r}")
    found = CurvePoint(
        model=str(evaluation["model"]),
        sampler=settings.get("sampler"),
        steps=settings.get("steps"),
        shortcut=settings.get("shortcut"),
        budget=float(settings.get("budget", 1.0)),
        cpu_ms=cpu_ms,
        figures={
            name: (float(evaluation[name]), float(low), float(high))
            for name in ("success_rate", "mean_max_reward")
            for low, high in [evaluation["ci95"][name]]
        },
        episodes=int(evaluation["episodes"]),
    )
    if not all(math.isfinite(value) for three in found.figures.values() for value in three):
        raise ValueError("a figure is not finite")
    return found


def read_points(path: Path) -> list[CurvePoint]:
    """The points in a file of `evaluate --json`, or of several by name, as the benchmark of the curve keeps them.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {because(error)}") from error
    several = [found] if isinstance(found, dict) and "settings" in found else found
    try:
        return [point(one) for one in several.values()] if isinstance(several, dict) else [point(*several)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: holds no figures of evaluate --json: {shown(error)}") from error


def plot_curve(points: Sequence[CurvePoint], out: Path, *, title: str = "") -> None:
    """Draw success and reward against the CPU time of a chunk; baselines without chunks are lines across.

    Raises:
        PolicyError: the suffix is not `.png`, `out` cannot be written, or no point has a CPU time.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    check_picture_suffix(out, STILL)
    timed = [one for one in points if one.sampler in MARKERS and one.cpu_ms is not None]
    if not timed:
        raise PolicyError(f"there are {len(points)} evaluations, none of a diffusion policy: there is no curve")
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    names = {"success_rate": "success rate", "mean_max_reward": "mean over episodes of the largest reward"}
    for axes, (name, text) in zip(figure.subplots(1, 2), names.items(), strict=True):
        _draw(axes, timed, name)
        baselines = [one for one in points if one not in timed]
        for colour, one in zip(BASELINES, baselines, strict=False):
            level = one.figures[name][0]
            if level > 0.3:  # a line far below would leave no room for the rest
                axes.axhline(level, color=colour, linewidth=1, linestyle="--", label=Path(one.model).name)
        axes.axvline(CONTROL_MS, color="0.8", linewidth=1, zorder=0)
        axes.annotate(f"{CONTROL_MS:g} ms", (CONTROL_MS, 0.01), xycoords=("data", "axes fraction"), fontsize=8,
                      color="0.55", ha="left", textcoords="offset points", xytext=(3, 2))  # fmt: skip
        axes.set(xscale="log", xlabel="CPU milliseconds of a chunk, one robot, one thread", ylabel=text)
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    for sampler in dict.fromkeys(one.sampler for one in timed):
        axes.plot([], [], MARKERS[str(sampler)], color="0.3", markersize=5, label=NAMES[str(sampler)])
    for shortcut in dict.fromkeys(one.shortcut for one in timed):
        axes.plot([], [], color=COLOURS[shortcut], linewidth=3, label=LEFT_OUT[shortcut])
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=8, frameon=False)
    episodes = sorted({one.episodes for one in timed})
    counted = f"{episodes[0]}" if len(episodes) == 1 else f"{episodes[0]} to {episodes[-1]}"
    note = f"numbers: denoising steps, or the share of the work; bars: 95 % intervals over {counted} episodes"
    figure.suptitle(f"{title}\n{note}" if title else note, fontsize=9)
    with replacing(out, error=PolicyError) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw(axes: Any, timed: Sequence[CurvePoint], name: str) -> None:
    """One panel: points with intervals and labels; those of one sampler in full are joined."""
    for sampler in dict.fromkeys(one.sampler for one in timed):
        full = sorted((one.cpu_ms or 0.0, one.figures[name][0]) for one in timed
                      if one.sampler == sampler and one.shortcut is None)  # fmt: skip
        axes.plot(*zip(*full, strict=True), color="0.6", linewidth=0.8, zorder=1) if full else None
    for one in timed:
        middle, low, high = one.figures[name]
        axes.errorbar(
            one.cpu_ms, middle, yerr=[[max(0.0, middle - low)], [max(0.0, high - middle)]], markersize=5, capsize=2,
            fmt=MARKERS[str(one.sampler)], color=COLOURS[one.shortcut], elinewidth=0.8, zorder=3,
        )  # fmt: skip
        axes.annotate(one.label, (one.cpu_ms, middle), fontsize=7, textcoords="offset points",
                      xytext=BESIDE.get(str(one.sampler), (6, -2)), color=COLOURS[one.shortcut])  # fmt: skip
