"""Every verb from the command line: what it writes, and one sentence with exit code 2 for what it cannot use."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from suffuse.policy import Demonstrations, DiffusionPolicy, load_policy, read_demonstrations, write_demonstrations
from suffuse.policy.cli import app
from suffuse.policy.data import read_video
from suffuse.policy.environments import PUSHT, TASKS
from suffuse.policy.experts import EXPERTS, PlannerActor, PlannerConfig


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in an empty folder, with episodes of at most twelve steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TASKS, PUSHT.name, replace(PUSHT, max_steps=12))
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """The one sentence of a refusal."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A replay buffer of PushT states, as the original has them."""
    rng = np.random.default_rng(0)
    state = np.concatenate([rng.uniform(100, 400, (60, 4)), rng.uniform(0, 6, (60, 1))], axis=1).astype(np.float32)
    action = state[:, :2] + rng.normal(0, 5, (60, 2)).astype(np.float32)
    made = Demonstrations(columns={"state": state, "action": action}, episode_ends=np.array([25, 60]))
    write_demonstrations(made, tmp_path / "pusht.zarr")
    return tmp_path / "pusht.zarr"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    policy = DiffusionPolicy(
        observations={"agent_pos": [2], "environment_state": [16]}, action_size=2, horizon=9, sampling_steps=2,
        denoiser={"width": 8, "depth": 1, "heads": 2}, noise={"prediction": "sample"}, relative_to="agent_pos",
        action_low=[0.0, 0.0], action_high=[512.0, 512.0], task=PUSHT.name,
    )  # fmt: skip
    policy.action_normaliser.scale.fill_(20.0)
    policy.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_train_writes_a_model(call: Callable[..., Result], recording: Path, tmp_path: Path) -> None:
    done = call("train", "--data", recording, "--out", "new", "--steps", 2, "--batch", 4, "--seed", 5)
    assert done.exit_code == 0, done.output
    assert "2 episodes, 60 rows" in done.stderr
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "config.json", "config.json.run.json", "diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    record = json.loads((tmp_path / "new/config.json.run.json").read_text())
    assert (record["recipe"]["train"]["steps"], record["recipe"]["train"]["seed"], record["rows"]) == (2, 5, 60)
    policy = load_policy(tmp_path / "new")
    assert policy.config["task"] == PUSHT.name
    assert "holds a model already" in refused(call("train", "--data", recording, "--out", "new"))


def test_train_refuses_what_it_cannot_use(call: Callable[..., Result], recording: Path, tmp_path: Path) -> None:
    assert "there is no such file" in refused(call("train", "--data", "nowhere", "--out", "new"))
    assert "--recipe is 'lift'" in refused(call("train", "--data", recording, "--out", "new", "--recipe", "lift"))
    bad = read_demonstrations(recording)
    bad.columns["state"][7, 1] = np.nan
    write_demonstrations(bad, tmp_path / "bad.zarr")
    sentence = refused(call("train", "--data", "bad.zarr", "--out", "new"))
    assert "state is not finite in 1 rows, of episode 0; nothing is trained on that" in sentence
    (tmp_path / "file").write_text("")
    assert "is a file, but must be a folder" in refused(call("train", "--data", recording, "--out", "file"))
    assert not (tmp_path / "new").exists()


def test_evaluate_writes_the_figures(call: Callable[..., Result], model: Path, tmp_path: Path) -> None:
    done = call(
        "evaluate", "--model", model, "--env", PUSHT.name, "--episodes", 3, "--first-seed", 100_000,
        "--scheduler", "dpm", "--steps", 3, "--json", "out.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "mean max reward" in done.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["episodes"], found["first_seed"], found["settings"]["sampler"]) == (3, 100_000, "dpm")
    assert found["ci95"]["success_rate"][0] == 0
    assert found["cpu_ms_per_chunk"] > 0
    assert [outcome["seed"] for outcome in found["outcomes"]] == [100_000, 100_001, 100_002]
    again = call("evaluate", "--model", model, "--episodes", 3, "--scheduler", "dpm", "--steps", 3, "--json", "b.json")
    assert again.exit_code == 0
    assert json.loads((tmp_path / "b.json").read_text())["outcomes"] == found["outcomes"]


def test_evaluate_refuses_what_it_cannot_use(call: Callable[..., Result], model: Path) -> None:
    for arguments, said in {
        ("--model", "nowhere"): "there is no model 'nowhere'",
        ("--model", model, "--scheduler", "euler"): "--scheduler is 'euler', but must be one of ddpm, ddim, dpm, flow",
        ("--model", model, "--scheduler", "flow"): "a diffusion model is sampled by ddpm, ddim, dpm",
        ("--model", model, "--steps", 101): "steps is 101; it must be in [1, 100]",
        ("--model", model, "--env", "Ant-v5"): "there is no task 'Ant-v5'",
        ("--model", "random", "--steps", 4): "random draws no chunks",
        ("--model", "random", "--episodes", 1, "--json", "no/out.json"): "there is no folder no",
    }.items():
        assert said in refused(call("evaluate", *arguments)), arguments


def test_run_leaves_a_video_and_its_record(call: Callable[..., Result], model: Path, tmp_path: Path) -> None:
    done = call("run", "--model", model, "--seed", 7, "--out", "a.mp4")
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"no success after 12 steps, max reward 0\.\d{3}, seed 7\n", done.stdout)
    assert len(read_video(tmp_path / "a.mp4")) == 12
    assert json.loads((tmp_path / "a.mp4.run.json").read_text())["success"] is False
    assert call("run", "--model", "random").exit_code == 0
    assert "must end in .mp4" in refused(call("run", "--model", "random", "--out", "a.gif"))


def test_info_describes_and_validates(
    call: Callable[..., Result], recording: Path, model: Path, tmp_path: Path
) -> None:
    done = call("info", "--data", recording)
    assert done.exit_code == 0, done.output
    assert "2 episodes, 60 rows" in done.stdout
    assert "Nothing is wrong with them." in done.stdout
    facts = json.loads(call("info", "--data", recording, "--model", model, "--json").stdout)
    assert facts["data"]["format"] == "zarr"
    assert facts["model"]["parameters"] == sum(p.numel() for p in load_policy(model).state_dict().values())
    bad = read_demonstrations(recording)
    bad.columns["action"][30] = np.inf
    write_demonstrations(bad, tmp_path / "bad.hdf5")
    done = call("info", "--data", "bad.hdf5")
    assert done.exit_code == 1
    assert "Error: action is not finite in 1 rows, of episode 1" in done.stdout
    assert "say what to describe" in refused(call("info"))


def test_prepare_converts(call: Callable[..., Result], recording: Path, tmp_path: Path) -> None:
    done = call("prepare", "--source", recording, "--out", "pusht.hdf5")
    assert done.exit_code == 0, done.output
    found, given = read_demonstrations(tmp_path / "pusht.hdf5"), read_demonstrations(recording)
    np.testing.assert_array_equal(found.columns["state"], given.columns["state"])
    assert "give fps" in refused(call("prepare", "--source", recording, "--out", "lerobot"))
    assert call("prepare", "--source", recording, "--fps", 10, "--out", "lerobot").exit_code == 0
    assert read_demonstrations(tmp_path / "lerobot").fps == 10
    homeless = given.with_columns(n_contacts=np.ones((60, 1), np.float32))
    write_demonstrations(homeless, tmp_path / "all.zarr")
    assert "no place for the column n_contacts" in refused(call("prepare", "--source", "all.zarr", "--out", "b.hdf5"))
    assert call("prepare", "--source", "all.zarr", "--columns", "state", "--out", "b.hdf5").exit_code == 0
    assert set(read_demonstrations(tmp_path / "b.hdf5").columns) == {"state", "action"}


def test_serve_does_not_calibrate_where_the_model_sees_nothing(call: Callable[..., Result], tmp_path: Path) -> None:
    pytest.importorskip("grpc")
    policy = DiffusionPolicy(
        observations={"force": [3]}, action_size=2, horizon=9, denoiser={"width": 8, "depth": 1, "heads": 2}
    )
    policy.save_pretrained(tmp_path / "blind")
    done = call("serve", "--model", "blind", "--shortcut", "bac", "--budget", 0.5)
    assert "the policy sees force of shape (3,), which in gym_pusht/PushT-v0 is not shown there" in refused(done)


@pytest.mark.slow
def test_prepare_asks_the_expert(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(TASKS, PUSHT.name, PUSHT)
    quick = PlannerConfig(pushes=48, beam=3, next_pushes=16)
    monkeypatch.setitem(EXPERTS, PUSHT.name, replace(EXPERTS[PUSHT.name], make=lambda task: PlannerActor(quick)))
    done = call("prepare", "--episodes", 1, "--first-seed", 2001, "--out", "expert.zarr.zip")
    assert done.exit_code == 0, done.output
    made = read_demonstrations(tmp_path / "expert.zarr.zip")
    assert len(made) == 1
    assert set(made.columns) == {"state", "action"}
    assert "held out" in refused(call("prepare", "--episodes", 2, "--first-seed", 99_999, "--out", "b.zarr"))
