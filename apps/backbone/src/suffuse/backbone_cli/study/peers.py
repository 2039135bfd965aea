"""The caches of diffusers and cache-dit, each with the settings that may be its best at some amount of work."""

import contextlib
import copy
import io
import itertools
import logging
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
THRESHOLDS = (0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class DiffusersHook:
    """A cache of diffusers on a copy of the model.

    Attributes:
        name: Its name in the table.
        configs: Gives settings in words, and how to attach them.
        steps: Of the sampler.
    """

    name: str
    configs: Callable[[Scene], Sequence[tuple[str, Attach]]]
    steps: int = STEPS

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """All settings, whatever the budget: which of them fits is seen from the work that they take."""
        if not hasattr(tuning.model, "transformer_blocks"):
            raise CannotRunError("diffusers' caches act on transformer blocks; a UNet2DModel has none")
        prefix = "" if self.steps == STEPS else f"{self.steps} steps, "
        return [Trial(prefix + settings, _hooked(attach, self.steps)) for settings, attach in self.configs(tuning)]


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


def first_block_cache(tuning: Scene) -> list[tuple[str, Attach]]:
    """Thresholds."""

    def attach(threshold: float) -> Attach:
        return lambda model: hooks.apply_first_block_cache(model, hooks.FirstBlockCacheConfig(threshold=threshold))

    return [(f"threshold {threshold}", attach(threshold)) for threshold in THRESHOLDS]


def mag_cache(tuning: Scene) -> list[tuple[str, Attach]]:
    """Thresholds, and how many steps in a row may be left out; ratios from its own calibration."""
    model = copy.deepcopy(tuning.model)
    hooks.apply_mag_cache(model, hooks.MagCacheConfig(calibrate=True, num_inference_steps=STEPS))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tuning.run(model, STEPS)
    line = next(line for line in printed.getvalue().splitlines() if line.startswith("[1.0"))
    ratios = [float(number) for number in line.strip("[]").split(",")]

    def attach(threshold: float, most: int) -> Attach:
        config = {"threshold": threshold, "max_skip_steps": most, "retention_ratio": 0.1}
        return lambda model: hooks.apply_mag_cache(
            model, hooks.MagCacheConfig(mag_ratios=ratios, num_inference_steps=STEPS, **config)
        )

    chosen = itertools.product((0.03, 0.06, 0.12, 0.25, 0.5), (1, 2, 4))
    return [(f"threshold {threshold}, skips {most}", attach(threshold, most)) for threshold, most in chosen]


def taylor_seer(tuning: Scene) -> list[tuple[str, Attach]]:
    """Intervals and orders, on attention and feed-forward parts or on the last block with all others at rest.

    Its own patterns match nothing in a DiT, so that these have to be given.
    """
    parts = {"cache_identifiers": [r"transformer_blocks\.\d+\.(attn1|ff)"]}
    last = {
        "cache_identifiers": [rf"transformer_blocks\.{BLOCKS - 1}"],
        "skip_predict_identifiers": [rf"transformer_blocks\.[0-{BLOCKS - 2}]"],
    }

    def attach(interval: int, order: int, where: dict[str, list[str]]) -> Attach:
        config: dict[str, Any] = {"cache_interval": interval, "max_order": order, "disable_cache_before_step": 2}
        return lambda model: hooks.apply_taylorseer_cache(
            model, hooks.TaylorSeerCacheConfig(taylor_factors_dtype=None, **config, **where)
        )

    return [
        (f"{word}, interval {interval}, order {order}", attach(interval, order, where))
        for word, where in (("parts", parts), ("last block", last))
        for interval in (2, 3, 4, 5, 6, 8)
        for order in (1, 2)
    ]


@dataclass(frozen=True)
class CacheDit:
    """cache-dit, where it is installed.

    Attributes:
        name: Its name in the table.
        steps: Of the sampler.
    """

    name: str = "cache-dit"
    steps: int = STEPS

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """Thresholds, and orders of its Taylor expansion; without one it is behind by some dB."""
        if not hasattr(tuning.model, "transformer_blocks"):
            raise CannotRunError("cache-dit has nothing for UNets")
        try:
            cache_dit: Any = import_module("cache_dit")
        except ImportError:
            raise CannotRunError("not installed: pip install cache-dit transformers") from None
        logging.getLogger("CACHE_DIT").setLevel(logging.ERROR)  # it says a dozen lines at each use

        def trial(threshold: float, order: int) -> Trial:
            def run(scene: Scene) -> Run:
                model = copy.deepcopy(scene.model)
                cache_dit.enable_cache(
                    model,
                    cache_config=cache_dit.DBCacheConfig(
                        Fn_compute_blocks=1,
                        Bn_compute_blocks=0,
                        residual_diff_threshold=threshold,
                        max_warmup_steps=2,
                        num_inference_steps=self.steps,
                    ),
                    calibrator_config=cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=order),
                )

                def before(step: int) -> None:
                    if step == 0:
                        cache_dit.refresh_context(model, num_inference_steps=self.steps)

                return scene.run(model, self.steps, before)

            prefix = "" if self.steps == STEPS else f"{self.steps} steps, "
            return Trial(f"{prefix}threshold {threshold}, order {order}", run)

        return [trial(threshold, order) for threshold in THRESHOLDS[:10] for order in (1, 2)]


def peer_methods() -> list[Method]:
    """All of them."""
    return [
        DiffusersHook("diffusers FirstBlockCache", first_block_cache),
        DiffusersHook("diffusers MagCache", mag_cache),
        DiffusersHook("diffusers TaylorSeer", taylor_seer),
        CacheDit(),
    ]
