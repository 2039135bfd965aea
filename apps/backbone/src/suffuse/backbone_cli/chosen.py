"""What `--shortcut` of `report` names: a shortcut, a file of `calibrate`, or a file of `train`."""

from pathlib import Path
from typing import Any

from suffuse.backbone import Calibration
from suffuse.backbone.acceleration import denoisers
from suffuse.backbone.engine import Shortcut, ShortcutError
from suffuse.backbone.shortcuts import ElasticRouting, Feedback, InnerLoopFeedback, Routers
from suffuse.backbone.shortcuts import shortcut as by_name
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.methods import FEEDBACK, ROUTERS
from suffuse.backbone_cli.study.recipes import RECIPES

BUDGET = 0.6
"""Where none is given."""

TRAINED = {InnerLoopFeedback.name: ("ilf", FEEDBACK), ElasticRouting.name: ("elastic-routing", ROUTERS)}
"""By name: the word that `train` takes, and the file for the study's transformer."""


def chosen(name: str, *, model: str, accelerated: Any, budget: float | None) -> Shortcut:
    """The shortcut of a name or file.

    Raises StudyError for a budget beside a file that has one, and a trained shortcut without its file; ShortcutError
    for names that there are not, and files that are damaged or made for another model.
    """
    path = Path(name)
    if path.suffix == ".json":
        found = Calibration.load(path)
        if budget is not None:
            raise StudyError(f"--budget goes with a name: {path} was calibrated for budget {found.budget:g}")
        return found.make()
    if name in TRAINED:
        word, path = TRAINED[name]
        if model not in RECIPES:
            raise StudyError(
                f"{name} has a trained part: name its file by --shortcut, as `suffuse backbone train {word}` writes it"
            )
    elif path.suffix != ".safetensors":
        return by_name(name, budget=BUDGET if budget is None else budget)
    return _trained(path, accelerated, BUDGET if budget is None else budget)


def _trained(path: Path, accelerated: Any, budget: float) -> Shortcut:
    denoiser = denoisers(accelerated)[0]
    try:
        return InnerLoopFeedback(feedback=Feedback.load(path, denoiser), budget=budget)
    except ShortcutError as error:
        no_feedback = error
    try:
        return ElasticRouting(routers=Routers.load(path, denoiser), budget=budget)
    except ShortcutError as error:
        raise ShortcutError(f"{no_feedback}; and {error}") from None
