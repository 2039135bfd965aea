"""Calibration: from a budget and a few generations to settings, kept in a small JSON beside the model."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from suffuse.backbone.acceleration import accelerate, denoisers
from suffuse.backbone.engine.budget import check_budget
from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.session import Session
from suffuse.backbone.engine.shortcut import Shortcut
from suffuse.backbone.shortcuts.block_adaptive_cache import (
    LATE,
    BlockAdaptiveCache,
    counted_late,
    schedule_updates,
    shared_updates,
)
from suffuse.backbone.shortcuts.delta_cache import DeltaCache
from suffuse.backbone.shortcuts.feature_inheritance import FeatureInheritance
from suffuse.backbone.shortcuts.forecast_cache import MOST_MEMORY, DeltaRecorder, ForecastCache, schedule_runs
from suffuse.backbone.shortcuts.recorder import Recorder
from suffuse.backbone.shortcuts.registry import shortcut as by_name

Generate = Callable[[int], Tensor]
FORMAT = 1
TOLERANCE = 1.05
"""Settings may take this much of their budget."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Settings that calibration found, and how good they were.

    Attributes:
        shortcut: Name of the shortcut.
        model: Name of the denoiser's class.
        budget: The budget that was asked for.
        fraction: Share of the full work that was measured, or follows, with these settings.
        episodes: Generations that were looked at.
        error: Relative error of what was generated, mean over episodes; None where it was not measured.
        settings: Arguments of the shortcut.
        spread: For block-adaptive-cache, how much what it goes by differs between episodes: the standard deviation of
            the similarities of a part's outputs, mean over pairs of steps and parts; None where it was not measured.
    """

    shortcut: str
    model: str
    budget: float
    fraction: float
    episodes: int
    error: float | None
    settings: dict[str, Any]
    spread: float | None = None

    def make(self) -> Shortcut:
        """The shortcut with these settings."""
        return by_name(self.shortcut, **self.settings)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON; a file that is there is replaced only once the new one is complete."""
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")
        partial.replace(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Calibration":
        """Read what `save` wrote. Raises ShortcutError, naming the file, for anything else."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if data.pop("format") != FORMAT:
                raise ValueError(f"format must be {FORMAT}")
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ShortcutError(f"{path} holds no calibration: {error}") from None


def calibrate(
    target: Any,
    shortcut: str,
    generate: Generate,
    *,
    budget: float,
    episodes: int = 4,
    steps: int | None = None,
    calls_per_step: int = 1,
) -> Calibration:
    """Find the settings of a shortcut for a budget.

    For block-adaptive-cache and forecast-cache, what parts give is recorded in full generations. For all but the latter
    several settings of the same budget are tried, and the one whose samples stay nearest to the full ones wins.

    Args:
        target: A pipeline or a denoiser, as for `accelerate`.
        shortcut: Name of the shortcut.
        generate: Makes a sample with `target`: `generate(0)` to `generate(episodes - 1)`, each the same whenever it is
            called, so with a seed of its own.
        budget: Share of the full work, in (0, 1].
        episodes: Number of different samples.
        steps: As for `accelerate`.
        calls_per_step: As for `accelerate`.

    Raises ShortcutError for values outside their ranges, a name there is not, and a budget that cannot be kept.
    """
    check_budget(budget)
    if episodes < 1:
        raise ShortcutError(f"episodes must be at least 1, got {episodes}")

    def run(plugin: Shortcut, between: Callable[[int], None]) -> Session:
        with accelerate(target, plugin, steps=steps, calls_per_step=calls_per_step) as session:
            for episode in range(episodes):
                between(episode)
        return session

    def record(plugin: Shortcut) -> list[Tensor]:
        """Full generations, watched."""
        samples: list[Tensor] = []
        run(plugin, lambda episode: samples.append(generate(episode)))
        return samples

    def best_of(tried: Sequence[Shortcut], references: Sequence[Tensor]) -> tuple[float, float, Shortcut]:
        """The error of the settings with the smallest one, the share of the work that was done, and the settings."""
        trials, reason = [], ""
        for candidate in tried:
            errors: list[float] = []

            def compared(episode: int, errors: list[float] = errors) -> None:
                difference = generate(episode).double() - references[episode].double()
                errors.append(float(difference.norm() / references[episode].double().norm()))

            try:
                session = run(candidate, compared)
            except ShortcutError as why:
                reason = str(why)
                continue
            fraction = session.report().fraction
            if fraction > TOLERANCE * budget:
                reason = f"the work was {fraction:.2f} of the full one"
                continue
            trials.append((sum(errors) / episodes, fraction, candidate))
        if not trials:
            raise ShortcutError(f"{shortcut} cannot keep budget {budget} with any of its settings: {reason}")
        return min(trials, key=lambda trial: trial[0])

    error: float | None = None
    spread: float | None = None
    if shortcut == BlockAdaptiveCache.name:
        recorder = Recorder()
        references = record(recorder)
        parts, full = recorder.statistics()
        count = len(next(iter(parts.values())).similarity)
        plans = [
            schedule(counted_late(parts, power), full, budget)
            for schedule in (shared_updates, schedule_updates)
            for power in LATE
        ]
        tried = [BlockAdaptiveCache(steps=count, updates=updates) for updates, _ in plans]
        error, _, best = best_of(tried, references)
        updates, fraction = plans[next(number for number, one in enumerate(tried) if one is best)]
        settings: dict[str, Any] = {
            "steps": count,
            "updates": {name: list(chosen) for name, chosen in updates.items()},
        }
        spread = float(np.mean([part.spread for part in parts.values()]))
    elif shortcut == ForecastCache.name:
        deltas = DeltaRecorder()
        record(deltas)
        grams, costs = deltas.grams()
        schedule = schedule_runs(grams, costs, budget, memory=MOST_MEMORY)
        fraction = schedule.fraction
        settings = {
            "budget": budget,
            "memory": MOST_MEMORY,
            "steps": len(next(iter(grams.values()))),
            "runs": list(schedule.runs),
            "partial": schedule.partial,
            "weights": schedule.weights,
        }
    else:
        references = [generate(episode) for episode in range(episodes)]
        error, fraction, best = best_of(candidates(by_name(shortcut, budget=budget)), references)
        settings = asdict(best)
    return Calibration(
        shortcut=shortcut,
        model=type(denoisers(target)[0]).__name__,
        budget=budget,
        fraction=fraction,
        episodes=episodes,
        error=error,
        settings=settings,
        spread=spread,
    )


def candidates(start: Shortcut) -> list[Shortcut]:
    """Settings of one budget that are worth a trial, `start` first."""
    if isinstance(start, DeltaCache):
        return [
            start,
            *(replace(start, turn=turn, interval=every) for every in (None, 3, 4) for turn in (0.0, 0.4, 0.8)),
        ]
    if isinstance(start, FeatureInheritance):
        return [
            start,
            *(
                replace(start, keep=keep, interval=every, early=early, memory=memory)
                for keep in (1, 2)
                for every in (None, 3)
                for early in (1.0, 1.4)
                for memory in (1, 2)
            ),
        ]
    return [start]
