"""Shortcuts for policies: what is calibrated, kept and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from suffuse.backbone.engine import ShortcutError
from suffuse.policy import DiffusionPolicy, ModelError, task_by_name
from suffuse.policy.api import load_actor
from suffuse.policy.model.stepping import due_steps, part_names
from suffuse.policy.shortcuts import calibrate, calibration_path, moments_of, uniform, use_shortcut

TASK = "gym_pusht/PushT-v0"


@pytest.fixture
def policy(make_policy: Callable[..., DiffusionPolicy]) -> DiffusionPolicy:
    """Sees what PushT shows; weights large enough that every part counts."""
    made = make_policy(
        observations={"agent_pos": [2], "environment_state": [16]}, relative_to="agent_pos", task=TASK,
        action_low=[0.0, 0.0], action_high=[512.0, 512.0],
    )  # fmt: skip
    made.encoder.normalisers["agent_pos"].set_limits(torch.zeros(2), torch.full((2,), 512.0))
    made.encoder.normalisers["environment_state"].set_limits(torch.zeros(16), torch.full((16,), 512.0))
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    made.use_sampler("ddim", 10)
    return made


@pytest.fixture
def moments() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    sizes = {"agent_pos": 2, "environment_state": 16}
    return {name: torch.from_numpy(rng.uniform(100, 400, (3, 2, 2, size))) for name, size in sizes.items()}


def chunks(policy: DiffusionPolicy, moments: dict[str, torch.Tensor]) -> torch.Tensor:
    seen = {name: values[0].float() for name, values in moments.items()}
    return policy.sample(seen, [Generator().manual_seed(row) for row in range(2)])


def test_a_calibration_keeps_its_budget_and_says_how_sure_it_is(policy: DiffusionPolicy, moments: dict) -> None:
    full = chunks(policy, moments)
    found = calibrate(policy, moments, budget=0.6)
    assert policy.shortcut is None
    assert torch.equal(chunks(policy, moments), full)
    assert (found.model, found.episodes) == ("DenoisingStep", 3)
    assert found.fraction <= 0.6
    assert 0 < found.spread < 0.5
    assert found.error > 0
    tighter = calibrate(policy, moments, budget=0.45)
    assert tighter.fraction < found.fraction
    with pytest.raises(ShortcutError, match=r"budget 0\.05 cannot be reached"):
        calibrate(policy, moments, budget=0.05)
    whole = calibrate(policy, moments, budget=1.0)
    assert whole.error == 0


def test_a_uniform_shortcut_is_evenly_spread(policy: DiffusionPolicy) -> None:
    made = uniform(policy, budget=0.4)
    assert set(made.updates) == set(part_names(2))
    assert set(made.updates.values()) == {(0, 3, 6, 9)}
    assert np.mean(due_steps(2, made)) == 0.4
    with pytest.raises(ShortcutError, match=r"budget must be in \(0, 1\], got 0"):
        uniform(policy, budget=0.0)


def test_a_calibration_is_kept_beside_the_model(
    policy: DiffusionPolicy, moments: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made once, read from then on; one that does not fit is refused, one that cannot be kept is used all the same."""
    policy.save_pretrained(tmp_path / "model")
    monkeypatch.setattr("suffuse.policy.shortcuts.moments_of", lambda *_: moments)
    task = task_by_name(TASK)
    first = use_shortcut(policy, "bac", budget=0.5, model=tmp_path / "model", task=task)
    with_it = chunks(policy, moments)
    path = calibration_path(tmp_path / "model", policy, budget=0.5)
    assert path == tmp_path / "model" / "shortcuts" / "bac-ddim-10-0.5.json"
    monkeypatch.setattr("suffuse.policy.shortcuts.moments_of", lambda *_: pytest.fail("calibrated twice"))
    policy.use_shortcut(None)
    assert use_shortcut(policy, "bac", budget=0.5, model=tmp_path / "model", task=task) == first
    assert torch.equal(chunks(policy, moments), with_it)

    kept = json.loads(path.read_text())
    kept["settings"]["steps"] = 20
    path.write_text(json.dumps(kept))
    with pytest.raises(ModelError, match="the shortcut is for 20 steps; a chunk has 10; remove it"):
        use_shortcut(policy, "bac", budget=0.5, model=tmp_path / "model", task=task)
    path.write_text("{}")
    with pytest.raises(ModelError, match="holds no calibration"):
        use_shortcut(policy, "bac", budget=0.5, model=tmp_path / "model", task=task)


def test_moments_are_those_of_its_own_episodes(policy: DiffusionPolicy) -> None:
    pytest.importorskip("gym_pusht")
    task = task_by_name(TASK)
    policy.use_sampler("ddim", 1)
    seen = moments_of(policy, task, episodes=2, moments=3)
    assert {name: tuple(values.shape) for name, values in seen.items()} == {
        "agent_pos": (2, 3, 2, 2), "environment_state": (2, 3, 2, 16),
    }  # fmt: skip
    assert not torch.equal(seen["agent_pos"][0, 0], seen["agent_pos"][0, 2])
    assert not torch.equal(seen["agent_pos"][0, 0], seen["agent_pos"][1, 0])


def test_a_budget_goes_with_a_shortcut() -> None:
    task = task_by_name(TASK)
    for given in ({"shortcut": "bac"}, {"budget": 0.5}):
        with pytest.raises(ValueError, match="go together"):
            load_actor("random", task, **given)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="random draws no chunks"):
        load_actor("random", task, shortcut="bac", budget=0.5)
