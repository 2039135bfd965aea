"""Pictures of PushT: those of recorded states are the simulator's own, and a policy can be trained on them and run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from suffuse.policy import DataError, Demonstrations, api, load_policy, read_demonstrations, write_demonstrations
from suffuse.policy.cli import app
from suffuse.policy.environments import PUSHT, TASKS, Episode, PushTCamera, seen_pictures, with_pictures

pytest.importorskip("gym_pusht", reason="PushT comes with the extra pusht")


def test_the_picture_of_a_state_is_what_the_simulator_showed() -> None:
    """Pixel by pixel, from states of single precision, whatever was drawn before."""
    environment = PUSHT.showing(["pixels"]).make()
    episode = Episode(PUSHT, environment, 5)
    states, shown = [], []
    for action in np.random.default_rng(0).uniform(100, 400, (8, 2)).astype(np.float32):
        episode.step(action)
        world = environment.unwrapped
        states.append([*world.agent.position, *world.block.position, world.block.angle])
        shown.append(episode.observation["pixels"])
    environment.close()
    state = np.array(states, dtype=np.float32)
    given = Demonstrations(columns={"state": state, "action": state[:, :2]}, episode_ends=np.array([8]))
    rows: list[None] = []
    made = with_pictures(given, on_row=lambda: rows.append(None))
    np.testing.assert_array_equal(made.columns["pixels"], shown)
    assert len(rows) == 8
    camera = PushTCamera()
    np.testing.assert_array_equal(camera(state[2]), shown[2])
    camera.close()


def test_what_a_policy_sees_of_them(make_pictures: Demonstrations) -> None:
    found = seen_pictures(make_pictures)
    assert set(found.columns) == {"agent_pos", "pixels", "action"}
    np.testing.assert_array_equal(found.columns["agent_pos"], make_pictures.columns["state"][:, :2])


@pytest.fixture
def make_pictures() -> Demonstrations:
    rng = np.random.default_rng(0)
    state = np.concatenate([rng.uniform(100, 400, (12, 4)), rng.uniform(0, 6, (12, 1))], axis=1).astype(np.float32)
    pixels = rng.integers(0, 256, (12, 96, 96, 3), dtype=np.uint8)
    return Demonstrations(
        columns={"state": state, "pixels": pixels, "action": state[:, :2]}, episode_ends=np.array([5, 12])
    )


def test_columns_that_do_not_fit(make_pictures: Demonstrations) -> None:
    for changes, said in (
        ({"pixels": make_pictures.columns["pixels"].astype(np.float32)}, r"it is of shape \(96, 96, 3\), float32"),
        ({"pixels": make_pictures.columns["pixels"][..., 0]}, r"it is of shape \(96, 96\), uint8"),
        ({"state": make_pictures.columns["state"][:, 0]}, "needs a column state"),
    ):
        with pytest.raises(DataError, match=said):
            seen_pictures(make_pictures.with_columns(**changes))
    with pytest.raises(DataError, match=r"a column pixels of .* it is missing"):
        seen_pictures(make_pictures.only(["state"]))
    with pytest.raises(DataError, match=r"need a column state of 5 numbers; it is of shape \(2,\)"):
        with_pictures(make_pictures.with_columns(state=make_pictures.columns["state"][:, :2]))


def test_from_states_to_a_policy_that_looks(
    make_pictures: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`prepare --pixels`, `train --recipe pusht-image`, `evaluate`, `run`, end to end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TASKS, PUSHT.name, replace(PUSHT, max_steps=9))
    monkeypatch.setattr(api, "TIMED_CHUNKS", 1)
    write_demonstrations(make_pictures.only(["state"]), tmp_path / "states.zarr")
    for command in (
        "prepare --source states.zarr --pixels --out pictures.zarr",
        "train --recipe pusht-image --data pictures.zarr --steps 1 --batch 2 --out model",
        f"evaluate --model model --env {PUSHT.name} --episodes 2",
        f"run --model model --env {PUSHT.name} --out a.mp4",
    ):
        done = CliRunner().invoke(app, command.split())
        assert done.exit_code == 0, done.output
    assert read_demonstrations(tmp_path / "pictures.zarr").columns["pixels"].shape == (12, 96, 96, 3)
    policy = load_policy(tmp_path / "model")
    assert policy.shapes == {"agent_pos": (2,), "pixels": (96, 96, 3)}
    done = CliRunner().invoke(app, ["train", "--recipe", "pusht-image", "--data", "states.zarr", "--out", "other"])
    assert done.exit_code == 2
    assert "there is no data/pixels" in done.stderr
