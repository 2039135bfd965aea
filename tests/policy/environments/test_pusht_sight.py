"""Learning to see: pictures are of the states they are said to be of, and what acts behind the eyes stays as it was."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from typer.testing import CliRunner

from suffuse.policy import DataError, Demonstrations, DiffusionPolicy, ModelError, load_policy, recipe_by_name
from suffuse.policy import train_policy as train
from suffuse.policy import write_demonstrations as write
from suffuse.policy.cli import app
from suffuse.policy.environments import PUSHT, TASKS
from suffuse.policy.environments.pusht_geometry import SIDE
from suffuse.policy.environments.pusht_sight import PushTSights
from suffuse.policy.model.sight import keypoint_error, keypoint_loss, seeing

pytest.importorskip("gym_pusht", reason="PushT comes with the extra pusht")

SIGHT = recipe_by_name("pusht-sight").sight or pytest.fail("there is no sight")


def states(rows: int = 12) -> Demonstrations:
    rng = np.random.default_rng(0)
    state = np.concatenate([rng.uniform(150, 350, (rows, 4)), rng.uniform(0, 6, (rows, 1))], axis=1)
    return Demonstrations(
        columns={"state": state.astype(np.float32), "action": state[:, :2].astype(np.float32)},
        episode_ends=np.array([rows // 2, rows]),
    )


def blind(**changes: object) -> DiffusionPolicy:
    """A small policy of keypoints, of random weights."""
    torch.manual_seed(0)
    settings: dict[str, object] = {
        "observations": {"agent_pos": [2], "environment_state": [16]}, "action_size": 2, "horizon": 8,
        "action_steps": 4, "denoiser": {"type": "transformer", "width": 16, "depth": 2, "heads": 2},
        "relative_to": "agent_pos",
    }  # fmt: skip
    policy = DiffusionPolicy(**{**settings, **changes}).eval()  # type: ignore[arg-type]
    for name, normaliser in policy.encoder.normalisers.items():
        size = policy.shapes[name]
        normaliser.set_limits(torch.zeros(size), torch.full(size, SIDE))  # type: ignore[operator]
    return policy


class TrueEyes(torch.nn.Module):
    """Eyes that see what is there, whatever they are shown."""

    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.places = places

    def forward(self, images: Tensor) -> Tensor:
        return self.places[: len(images)]


def test_a_corner_is_where_the_picture_shows_the_t() -> None:
    """Just inside each corner of the bar there is the T's colour, and the same batch comes again."""
    source = PushTSights(states(), 6, 0)
    batch, again = source[3], source[3]
    assert torch.equal(batch.pixels, again.pixels)
    assert not torch.equal(batch.pixels, source[4].pixels)
    shown = source.demonstrated(states(), 12)
    source.close()
    places = shown.keypoints.reshape(12, 8, 2)
    middle = places[:, :4].mean(dim=1, keepdim=True)
    inside = ((0.8 * places[:, :4] + 0.2 * middle + 1) * 48).round().long().clamp(0, 95)
    colours = torch.stack([shown.pixels[n][:, inside[n, :, 1], inside[n, :, 0]].T for n in range(12)]).float()
    grey = torch.tensor([119.0, 136.0, 153.0])  # the block's, with its light edge, where the disc does not lie on it
    assert float(((colours - grey).abs().amax(dim=-1) < 40).float().mean()) > 0.8


def test_with_true_eyes_a_policy_acts_as_with_keypoints() -> None:
    known = blind()
    policy = seeing(known, SIGHT).eval()
    assert policy.shapes == {"agent_pos": (2,), "pixels": (96, 96, 3)}
    corners = torch.rand(3, 2, 16, generator=Generator().manual_seed(1)) * SIDE
    disc = torch.rand(3, 2, 2, generator=Generator().manual_seed(2)) * SIDE
    policy.encoder.images["pixels"] = TrueEyes((corners / (SIDE / 2) - 1).flatten(0, 1))
    generators = [[Generator().manual_seed(n) for n in range(3)] for _ in range(2)]
    expected = known.sample({"agent_pos": disc, "environment_state": corners}, generators[0])
    pixels = torch.zeros(3, 2, 96, 96, 3, dtype=torch.uint8)
    torch.testing.assert_close(policy.sample({"agent_pos": disc, "pixels": pixels}, generators[1]), expected)


def test_errors_are_in_pixels_of_the_arena() -> None:
    source = PushTSights(states(), 4, 0)
    shown = source[0]
    source.close()
    aside = shown.keypoints.clone()
    aside[:, ::2] += 3 / (SIDE / 2)  # three pixels to the right
    found = keypoint_error(TrueEyes(aside), shown, side=SIDE)
    assert found == pytest.approx({"keypoint_rms": 3.0, "keypoint_p95": 3.0}, rel=1e-4)
    loss = keypoint_loss(TrueEyes(aside), shown, Generator())["loss"]
    assert float(loss) == pytest.approx((3 / (SIDE / 2)) ** 2 / 2, rel=1e-3)


def test_policies_that_cannot_be_given_eyes() -> None:
    with pytest.raises(ModelError, match=r"observations agent_pos, state; it must be given environment_state"):
        seeing(blind(observations={"agent_pos": [2], "state": [16]}), SIGHT)
    with pytest.raises(ModelError, match="pixels would not stand where environment_state is among agent_pos, env"):
        seeing(blind(observations={"agent_pos": [2], "environment_state": [16], "load": [1]}), SIGHT)
    other = blind()
    other.encoder.normalisers["environment_state"].set_limits(torch.zeros(16), torch.ones(16))  # type: ignore[operator]
    with pytest.raises(ModelError, match=r"normalised from \[0, 512\]"):
        seeing(other, SIGHT)


def test_only_the_eyes_are_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(states(40), tmp_path / "states.zarr")
    known = blind()
    known.save_pretrained(tmp_path / "keypoints")
    command = "train --recipe pusht-sight --data states.zarr --steps 2 --batch 2 --init keypoints --out eyes"
    with pytest.raises(DataError, match="leaves none to train on"):
        train(states().take(np.array([0])), tmp_path / "none", recipe_by_name("pusht-sight", steps=1), init=known)
    metres = states().with_columns(state=states().columns["state"] / 512)
    with pytest.raises(DataError, match=r"places in state are about 0\.\d+; they must be pixels of an arena of 512"):
        train(metres, tmp_path / "none", recipe_by_name("pusht-sight", steps=1), init=known)
    monkeypatch.setattr("suffuse.policy.model.sight.MEASURED", 4)
    ends = np.arange(4, 41, 4)
    write(Demonstrations(columns=states(40).columns, episode_ends=ends), tmp_path / "more.zarr")
    done = CliRunner().invoke(app, command.replace("states.zarr", "more.zarr").split())
    assert done.exit_code == 0, done.output
    made = load_policy(tmp_path / "eyes")
    assert set(json.loads((tmp_path / "eyes/config.json.run.json").read_text())["held_out"]) == {
        "keypoint_rms", "keypoint_p95",
    }  # fmt: skip
    monkeypatch.setitem(TASKS, PUSHT.name, replace(PUSHT, max_steps=4))
    for picture in ("episodes --episodes 1 --out a.png", "chunk --chunks 2 --out b.png"):
        done = CliRunner().invoke(app, ["show", *picture.split(), "--model", "eyes"])
        assert done.exit_code == 0, done.output
    fresh = seeing(known, SIGHT).state_dict()
    changed = {name for name, value in made.state_dict().items() if not torch.equal(value, fresh[name])}
    assert changed
    assert all(name.startswith("encoder.images.pixels.") for name in changed)
