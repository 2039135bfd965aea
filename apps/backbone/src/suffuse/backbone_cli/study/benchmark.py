"""The comparison: every method at every budget, on the same noise, interleaved."""

import math
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from suffuse.backbone_cli.study.measures import interval, jackknife, psnr
from suffuse.backbone_cli.study.methods import CannotRunError, Method, Trial
from suffuse.backbone_cli.study.progress import Progress, Tried
from suffuse.backbone_cli.study.rows import FLOOR, Row
from suffuse.backbone_cli.study.scene import STEPS, TUNING_SEED, Run, Scene, TooMuchWorkError
from suffuse.backbone_cli.study.shipped import Judge

TUNING_SAMPLES = 8
TOLERANCE = 1.05
"""A method may take this much of its budget."""

NEAR = 0.85
"""Settings that take less than this share of a budget are not the best for it, if there are others."""

Real = Callable[[int, int], Tensor]
"""Gives real images that the judge's moments know nothing of, by their number and a seed."""


def benchmark(
    model: nn.Module,
    judge: Judge,
    methods: Sequence[Method],
    *,
    budgets: Sequence[float],
    seeds: Iterable[int],
    count: int,
    guidance: float,
    real: Real | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
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
        real: Images for a row that says how far a set of `count` real images is from all of them.
        progress: Where rows are noted as they come; those that are there are not measured again.
        say: Gets a line now and then.
    """
    progress, every = progress or Progress(), list(seeds)
    there = {row.key for row in progress.rows}
    missing = [
        method
        for method in methods
        if any((method.name, budget, seed) not in there for budget in budgets for seed in every)
    ]
    tuning = Scene(model, TUNING_SEED, TUNING_SAMPLES, guidance)
    chosen: dict[tuple[str, float], Trial | str] = {}
    for method in missing:
        for budget, best in tune(method, tuning, budgets, progress.tried.setdefault(method.name, {})).items():
            chosen[method.name, budget] = best
            say(f"tuned {method.name} for {budget:g}: {best if isinstance(best, str) else best.settings}")
        progress.write()

    def add(row: Row) -> None:
        progress.add(row)
        say(str(row))

    for seed in every:
        scene = Scene(model, seed, count, guidance)
        if real is not None and (FLOOR, 1.0, seed) not in there:
            distance = round(judge.distance(real(count, seed)), 3)
            add(Row(method=FLOOR, budget=1.0, fd=distance, n=count, seed=seed, settings="of the training set"))
        if ("full", 1.0, seed) not in there:
            add(measured(scene, judge, scene.full(), method="full", budget=1.0, settings=f"{STEPS} steps"))
        for budget in budgets:
            for method in missing:
                best = chosen[method.name, budget]
                if (method.name, budget, seed) in there:
                    continue
                if isinstance(best, str):
                    add(Row(method=method.name, budget=budget, n=count, seed=seed, why_not=best))
                    continue
                run = best.run(scene)
                add(measured(scene, judge, run, method=method.name, budget=budget, settings=best.settings))
    return progress.rows


def tune(
    method: Method, tuning: Scene, budgets: Sequence[float], tried: dict[str, Tried] | None = None
) -> dict[float, Trial | str]:
    """For each budget the trial nearest to the truth among those that keep it, or the reason why there is none.

    What was tried is looked up in `tried` and noted there.
    """
    tried = {} if tried is None else tried
    full, truth = tuning.full().flops, tuning.truth
    found: dict[float, Trial | str] = {}
    for budget in budgets:
        try:
            fitting = []
            least = float("inf")
            trials = method.trials(tuning, budget)
            for trial in trials:
                key = trial.settings if len(trials) > 1 else f"{trial.settings} at {budget}"
                if key not in tried:
                    try:
                        with tuning.at_most(TOLERANCE * max(budgets) * full):
                            run = trial.run(tuning)
                        tried[key] = (run.flops / full, float(psnr(run.images, truth).mean()))
                    except TooMuchWorkError:
                        tried[key] = None
                if (result := tried[key]) is None:
                    continue
                fraction, nearness = result
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
    full = scene.full()
    over: tuple[float | None, float | None] = (None, None)
    if run is not full:
        over = jackknife(judge.compared, judge.features(run.images), judge.features(full.images))
    return Row(
        method=method,
        budget=budget,
        flops_fraction=round(run.flops / full.flops, 4),
        cpu_s=round(run.cpu_s, 2),
        psnr_db=round(nearness, 3),
        psnr_ci=_rounded(around),
        fd=round(judge.distance(run.images), 3),
        fd_over_full=_rounded(over[0]),
        fd_ci=_rounded(over[1]),
        accuracy=round(float(judge.recognised(run.images, scene.labels).mean()), 4),
        n=scene.count,
        seed=scene.seed,
        settings=settings,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 3)
