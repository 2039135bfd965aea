"""The caches of diffusers and cache-dit, each with the settings that may be its best at some amount of work."""

import contextlib
import copy
import io
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import diffusers.hooks
import diffusers.hooks.hooks
from torch import nn

from suffuse.backbone_cli.study.methods import CannotRunError, Method, Trial
from suffuse.backbone_cli.study.scene import STEPS, Run, Scene

hooks: Any = diffusers.hooks  # has no types
registry: Any = diffusers.hooks.hooks

Attach = Callable[[nn.Module], None]
BLOCKS = 8
THRESHOLDS = (0.04, 0.045, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.55, 0.75)
MAGNITUDES = (
    *itertools.product((0.01, 0.03, 0.06, 0.12, 0.25), (1, 2, 4), (0.1,)),
    *itertools.product((0.03, 0.12), (1, 2), (0.4, 0.6)),
    *itertools.product((0.25, 0.5), (8,), (0.1,)),
)
"""Of MagCache: threshold, most steps in a row that may be left out, share of steps at the start in which none is."""

INTERVALS = (2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class DiffusersHook:
    """A cache of diffusers on a copy of the model.

    Attributes:
        name: Its name in the table.
        configs: Gives settings in words, and how to attach them, for a number of steps.
        steps: Of the sampler, each number a set of trials.
    """

    name: str
    configs: Callable[[Scene, int], Sequence[tuple[str, Attach]]]
    steps: tuple[int, ...] = (STEPS,)

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """All settings, whatever the budget: which of them fits is seen from the work that they take."""
        if not hasattr(tuning.model, "transformer_blocks"):
            raise CannotRunError("diffusers' caches act on transformer blocks; a UNet2DModel has none")
        return [
            Trial(_prefix(steps) + settings, _hooked(attach, steps))
            for steps in self.steps
            for settings, attach in self.configs(tuning, steps)
        ]


def _prefix(steps: int) -> str:
    return "" if steps == STEPS else f"{steps} steps, "


def _hooked(attach: Attach, steps: int) -> Callable[[Scene], Run]:
    def run(scene: Scene) -> Run:
        model = copy.deepcopy(scene.model)
        attach(model)

        def before(step: int) -> None:
            if step == 0:
                registry.HookRegistry.check_if_exists_or_initialize(model).reset_stateful_hooks(recurse=True)
                registry._set_cache_context(model, registry.CacheContext("all"))

        return scene.run(model, steps, before)

    return run


def first_block_cache(tuning: Scene, steps: int) -> list[tuple[str, Attach]]:
    """Thresholds."""

    def attach(threshold: float) -> Attach:
        return lambda model: hooks.apply_first_block_cache(model, hooks.FirstBlockCacheConfig(threshold=threshold))

    return [(f"threshold {threshold}", attach(threshold)) for threshold in THRESHOLDS]


def mag_cache(tuning: Scene, steps: int) -> list[tuple[str, Attach]]:
    """Thresholds, how many steps in a row may be left out, and the share of steps at the start in which none is.

    Ratios come from its own calibration.
    """
    model = copy.deepcopy(tuning.model)
    hooks.apply_mag_cache(model, hooks.MagCacheConfig(calibrate=True, num_inference_steps=steps))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tuning.run(model, steps)
    line = next(line for line in printed.getvalue().splitlines() if line.startswith("[1.0"))
    ratios = [float(number) for number in line.strip("[]").split(",")]

    def attach(threshold: float, most: int, kept: float) -> Attach:
        config = {"threshold": threshold, "max_skip_steps": most, "retention_ratio": kept}
        return lambda model: hooks.apply_mag_cache(
            model, hooks.MagCacheConfig(mag_ratios=ratios, num_inference_steps=steps, **config)
        )

    return [
        (f"threshold {threshold}, skips {most}, first {kept:.0%} in full", attach(threshold, most, kept))
        for threshold, most, kept in MAGNITUDES
    ]


def taylor_seer(tuning: Scene, steps: int) -> list[tuple[str, Attach]]:
    """Intervals, orders and full steps at the start, on attention and feed-forward parts or with all blocks at rest.

    Its own patterns match nothing in a DiT, so that these have to be given.
    """
    parts = {"cache_identifiers": [r"transformer_blocks\.\d+\.(attn1|ff)"]}
    last = {
        "cache_identifiers": [rf"transformer_blocks\.{BLOCKS - 1}"],
        "skip_predict_identifiers": [rf"transformer_blocks\.[0-{BLOCKS - 2}]"],
    }

    def attach(interval: int, order: int, begin: int, where: dict[str, list[str]]) -> Attach:
        config: dict[str, Any] = {"cache_interval": interval, "max_order": order, "disable_cache_before_step": begin}
        return lambda model: hooks.apply_taylorseer_cache(
            model, hooks.TaylorSeerCacheConfig(taylor_factors_dtype=None, **config, **where)
        )

    begins = [(every, 2) for every in INTERVALS]
    if steps == STEPS:  # of more steps, so many are too many
        begins += [(2, round(0.27 * steps)), (2, round(0.6 * steps))]
    return [
        (f"{word}, interval {interval} from step {begin}, order {order}", attach(interval, order, begin, where))
        for word, where in (("parts", parts), ("last block", last))
        for interval, begin in begins
        for order in (1, 2)
    ]


@dataclass(frozen=True)
class CacheDit:
    """cache-dit, where it is installed.

    Attributes:
        name: Its name in the table.
        steps: Of the sampler, each number a set of trials.
    """

    name: str = "cache-dit"
    steps: tuple[int, ...] = (STEPS,)

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """Thresholds, and orders of its Taylor expansion; without one it is behind by some dB."""
        if not hasattr(tuning.model, "transformer_blocks"):
            raise CannotRunError("cache-dit has nothing for UNets")
        os.environ.setdefault("CACHE_DIT_LOG_LEVEL", "error")  # else it says a dozen lines at each use
        try:
            cache_dit: Any = import_module("cache_dit")
        except ImportError:
            raise CannotRunError("not installed: pip install cache-dit transformers") from None

        def trial(threshold: float, order: int, steps: int) -> Trial:
            def run(scene: Scene) -> Run:
                model = copy.deepcopy(scene.model)
                cache_dit.enable_cache(
                    model,
                    cache_config=cache_dit.DBCacheConfig(
                        Fn_compute_blocks=1,
                        Bn_compute_blocks=0,
                        residual_diff_threshold=threshold,
                        max_warmup_steps=2,
                        num_inference_steps=steps,
                    ),
                    calibrator_config=cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=order),
                )

                def before(step: int) -> None:
                    if step == 0:
                        cache_dit.refresh_context(model, num_inference_steps=steps)

                return scene.run(model, steps, before)

            return Trial(f"{_prefix(steps)}threshold {threshold}, order {order}", run)

        return [trial(threshold, order, steps) for steps in self.steps for threshold in THRESHOLDS for order in (1, 2)]


def peer_methods(*, steps: tuple[int, ...] = (STEPS,), suffix: str = "") -> list[Method]:
    """All of them, on samplers of these numbers of steps."""
    return [
        DiffusersHook(f"diffusers FirstBlockCache{suffix}", first_block_cache, steps),
        DiffusersHook(f"diffusers MagCache{suffix}", mag_cache, steps),
        DiffusersHook(f"diffusers TaylorSeer{suffix}", taylor_seer, steps),
        CacheDit(f"cache-dit{suffix}", steps),
    ]
