"""The comparison: every method at every budget, on the same noise, interleaved."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from suffuse.backbone_cli.study.measures import interval, psnr
from suffuse.backbone_cli.study.methods import CannotRunError, Method, Trial
from suffuse.backbone_cli.study.scene import TUNING_SEED, Run, Scene
from suffuse.backbone_cli.study.shipped import Judge

TUNING_SAMPLES = 10
TOLERANCE = 1.05
"""A method may take this much of its budget."""

NEAR = 0.85
"""Settings that take less than this share of a budget are not the best for it, if there are others."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method at a budget with one seed.

    Attributes:
        method: Its name.
        budget: Share of the work of a full generation that was asked for.
        flops_fraction: The share it took, in operations counted from outside; None if it could not run.
        cpu_s: CPU seconds for `n` samples.
        psnr_db: To the samples of 200 steps from the same noise, mean over samples.
        psnr_ci: Half the width of its 95 % confidence interval.
        fd: FD-fashion-cnn to real images.
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
    accuracy: float | None = None
    n: int
    seed: int
    settings: str = ""
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def benchmark(
    model: nn.Module,
    judge: Judge,
    methods: Sequence[Method],
    *,
    budgets: Sequence[float],
    seeds: Iterable[int],
    count: int,
    guidance: float,
    say: Callable[[str], None] = lambda line: None,
    keep: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Tune every method for every budget on noise of its own, then measure all on the same noise.

    Args:
        model: A study model.
        judge: Says how good samples are.
        methods: What to compare.
        budgets: Shares of the work of a full generation, each in (0, 1].
        seeds: One row for each.
        count: Samples of a seed.
        guidance: Scale of guidance.
        say: Gets a line now and then.
        keep: Gets each row as soon as it is measured.
    """
    tuning = Scene(model, TUNING_SEED, TUNING_SAMPLES, guidance)
    chosen: dict[tuple[str, float], Trial | str] = {}
    for method in methods:
        for budget, best in tune(method, tuning, budgets).items():
            chosen[method.name, budget] = best
            say(f"{method.name}, budget {budget}: {best if isinstance(best, str) else best.settings}")
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        keep(row)
        say(str(row))

    for seed in seeds:
        scene = Scene(model, seed, count, guidance)
        add(measured(scene, judge, scene.full(), method="full", budget=1.0, settings="30 steps"))
        for budget in budgets:
            for method in methods:
                best = chosen[method.name, budget]
                if isinstance(best, str):
                    add(Row(method=method.name, budget=budget, n=count, seed=seed, why_not=best))
                    continue
                run = best.run(scene)
                add(measured(scene, judge, run, method=method.name, budget=budget, settings=best.settings))
    return rows


def tune(method: Method, tuning: Scene, budgets: Sequence[float]) -> dict[float, Trial | str]:
    """For each budget the trial nearest to the truth among those that keep it, or the reason why there is none."""
    tried: dict[str, tuple[float, float]] = {}
    found: dict[float, Trial | str] = {}
    for budget in budgets:
        try:
            fitting = []
            least = float("inf")
            trials = method.trials(tuning, budget)
            for trial in trials:
                key = trial.settings if len(trials) > 1 else f"{trial.settings} at {budget}"
                if key not in tried:
                    run = trial.run(tuning)
                    tried[key] = (run.flops / tuning.full().flops, float(psnr(run.images, tuning.truth).mean()))
                fraction, nearness = tried[key]
                least = min(least, fraction)
                if fraction <= TOLERANCE * budget:
                    fitting.append((fraction >= NEAR * budget, nearness, trial))
            if not fitting:
                raise CannotRunError(f"no settings take so little; the least is {least:.2f}")
            found[budget] = max(fitting, key=lambda one: one[:2])[2]
        except CannotRunError as error:
            found[budget] = str(error)
    return found


def measured(scene: Scene, judge: Judge, run: Run, *, method: str, budget: float, settings: str) -> Row:
    """A row."""
    nearness, around = interval(psnr(run.images, scene.truth))
    return Row(
        method=method,
        budget=budget,
        flops_fraction=round(run.flops / scene.full().flops, 4),
        cpu_s=round(run.cpu_s, 2),
        psnr_db=round(nearness, 3),
        psnr_ci=round(around, 3),
        fd=round(judge.distance(run.images), 3),
        accuracy=round(float(judge.recognised(run.images, scene.labels).mean()), 4),
        n=scene.count,
        seed=scene.seed,
        settings=settings,
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown, mean over seeds with 95 % intervals, best of a budget first."""
    lines = [
        "| budget | method | work | CPU s | PSNR dB | FD-fashion-cnn | accuracy | settings |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.budget, row.method), []).append(row)

    def order(item: tuple[tuple[float, str], list[Row]]) -> tuple[float, float]:
        (budget, _), some = item
        return -budget, -_mean(some, "psnr_db") if not some[0].why_not else float("inf")

    for (budget, method), some in sorted(groups.items(), key=order):
        if some[0].why_not:
            lines.append(f"| {budget:g} | {method} | – | – | – | – | – | {some[0].why_not} |")
            continue
        around = _mean(some, "psnr_ci") / len(some) ** 0.5
        distances = torch.tensor([row.fd for row in some])
        spread = f" ± {interval(distances)[1]:.1f}" if len(some) > 1 else ""
        lines.append(
            f"| {budget:g} | {method} | {_mean(some, 'flops_fraction'):.2f} | {_mean(some, 'cpu_s'):.1f} "
            f"| {_mean(some, 'psnr_db'):.2f} ± {around:.2f} | {float(distances.mean()):.1f}{spread} "
            f"| {100 * _mean(some, 'accuracy'):.1f} % | {some[0].settings} |"
        )
    return "\n".join(lines) + "\n"


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(sum(getattr(row, name) for row in rows) / len(rows))
