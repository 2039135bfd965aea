"""What is compared: fewer steps and our shortcuts; the libraries of others are in `peers.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from suffuse.backbone import accelerate, calibrate
from suffuse.backbone.engine import Shortcut, ShortcutError
from suffuse.backbone.shortcuts import (
    ElasticRouting,
    FeatureInheritance,
    Feedback,
    ForecastCache,
    InnerLoopFeedback,
    Routers,
)
from suffuse.backbone.shortcuts.feature_inheritance import Level
from suffuse.backbone_cli.study.scene import STEPS, Run, Scene
from suffuse.backbone_cli.study.shipped import FOLDER

FEEDBACK = FOLDER / "study-dit" / "feedback.safetensors"
ROUTERS = FOLDER / "study-dit" / "routers.safetensors"


class CannotRunError(Exception):
    """A method that cannot run on a model or for a budget; the message is the reason."""


@dataclass(frozen=True)
class Trial:
    """A method with settings.

    Attributes:
        settings: The settings in words.
        run: Samples of a scene with them.
    """

    settings: str
    run: Callable[[Scene], Run]


@runtime_checkable
class Method(Protocol):
    """A way to spend less on a generation."""

    @property
    def name(self) -> str:
        """Its name in the table."""
        ...

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """Settings worth a trial for a budget; `tuning` may be sampled to find them. Raises CannotRunError."""
        ...


@dataclass(frozen=True)
class FewerSteps:
    """The model as it is, in as many steps as the budget pays for."""

    name: str = "fewer steps"

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """One."""
        steps = max(1, round(budget * STEPS))
        return [Trial(f"{steps} steps", lambda scene: scene.full(steps))]


@dataclass(frozen=True)
class OwnShortcut:
    """A shortcut with settings that need no calibration."""

    name: str
    make: Callable[[float], Shortcut]

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """One."""
        return [shortcut_trial(self.make(budget), "defaults")]


@dataclass(frozen=True)
class CalibratedShortcut:
    """A shortcut calibrated on the tuning scene."""

    name: str
    shortcut: str

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """One, the best that calibration found."""

        def generate(episode: int) -> Tensor:
            return tuning.run(tuning.model, STEPS).images

        try:
            found = calibrate(tuning.model, self.shortcut, generate, budget=budget, episodes=1, steps=STEPS)
        except ShortcutError as error:
            raise CannotRunError(str(error)) from error
        return [shortcut_trial(found.make(), "calibrated")]


@dataclass(frozen=True)
class TrainedFeedback:
    """Inner loop feedback with the shipped module."""

    name: str = "inner-loop-feedback"

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """One."""
        if not FEEDBACK.is_file():
            raise CannotRunError("not trained: `suffuse backbone train ilf`")
        feedback = Feedback.load(FEEDBACK, tuning.model)
        return [shortcut_trial(InnerLoopFeedback(feedback=feedback, budget=budget), "trained")]


@dataclass(frozen=True)
class TrainedRouting:
    """Elastic routing with the shipped routers."""

    name: str = "elastic-routing"

    def trials(self, tuning: Scene, budget: float) -> Sequence[Trial]:
        """One."""
        if not ROUTERS.is_file():
            raise CannotRunError("not trained: `suffuse backbone train elastic-routing`")
        routers = Routers.load(ROUTERS, tuning.model)
        return [shortcut_trial(ElasticRouting(routers=routers, budget=budget), "trained")]


def shortcut_trial(shortcut: Shortcut, settings: str) -> Trial:
    """A trial of one of our shortcuts."""

    def run(scene: Scene) -> Run:
        try:
            with accelerate(scene.model, shortcut, steps=STEPS):
                return scene.run(scene.model, STEPS)
        except ShortcutError as error:
            raise CannotRunError(str(error)) from error

    return Trial(settings, run)


def own_methods(study: str) -> list[Method]:
    """Fewer steps and all of ours that act on the model of a study."""
    methods: list[Method] = [FewerSteps()]
    if study == "dit":
        methods += [
            CalibratedShortcut("delta-cache", "delta-cache"),
            OwnShortcut("forecast-cache, defaults", lambda budget: ForecastCache(budget=budget)),
            CalibratedShortcut("forecast-cache", "forecast-cache"),
        ]
    else:
        methods += [
            CalibratedShortcut("feature-inheritance", "feature-inheritance"),
            OwnShortcut("feature-inheritance, layers", lambda budget: inheriting(budget, "layer")),
            OwnShortcut("feature-inheritance, units", lambda budget: inheriting(budget, "unit")),
        ]
    methods.append(CalibratedShortcut("block-adaptive-cache", "block-adaptive-cache"))
    return [*methods, TrainedFeedback(), TrainedRouting()] if study == "dit" else methods


def inheriting(budget: float, level: Level) -> FeatureInheritance:
    """Feature inheritance at a finer level than stages, foretold by a line."""
    return FeatureInheritance(budget=budget, level=level, memory=2)
