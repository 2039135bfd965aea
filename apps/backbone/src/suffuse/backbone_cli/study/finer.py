"""More steps than a full generation has, most of them light: the same work on a finer path.

A sampler errs by the length of its steps, a cache by what it foretells. Where foretelling is good, it pays to take more
steps of which a smaller share runs in full. To be fair, the caches of others may do so too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from suffuse.backbone import accelerate, calibrate
from suffuse.backbone.engine import Shortcut, ShortcutError
from suffuse.backbone_cli.study.methods import CannotRunError, Method, Trial
from suffuse.backbone_cli.study.peers import peer_methods
from suffuse.backbone_cli.study.scene import STEPS, Run, Scene

FINER = (60,)
"""Numbers of steps that are tried."""


@dataclass(frozen=True)
class FinerShortcut:
    """A shortcut, calibrated for samplers of more steps."""

    name: str
    shortcut: str

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """One for each number of steps with which the budget can be kept."""
        found = []
        for steps in FINER:

            def generate(episode: int, steps: int = steps) -> Tensor:
                return tuning.run(tuning.model, steps).images

            share = budget * STEPS / steps
            try:
                made = calibrate(tuning.model, self.shortcut, generate, budget=share, episodes=1, steps=steps).make()
            except ShortcutError as error:
                reason = str(error)
                continue
            found.append(_trial(made, steps, budget))
        if not found:
            raise CannotRunError(reason)
        return found


def _trial(shortcut: Shortcut, steps: int, budget: float) -> Trial:
    def run(scene: Scene) -> Run:
        try:
            with accelerate(scene.model, shortcut, steps=steps):
                return scene.run(scene.model, steps)
        except ShortcutError as error:
            raise CannotRunError(str(error)) from error

    return Trial(f"{steps} steps, calibrated for {budget:g}", run)


def finer_methods(study: str) -> list[Method]:
    """Ours and those of others."""
    if study != "dit":
        return []
    return [FinerShortcut("forecast-cache, finer", "forecast-cache"), *peer_methods(steps=FINER, suffix=", finer")]
