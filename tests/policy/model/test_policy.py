"""A policy: what it draws depends on its seed and observations alone, is kept within bounds, and survives a disk."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Generator

from suffuse.console import CONFIG_FILE, WEIGHTS_FILE
from suffuse.policy import ActionError, DiffusionPolicy, ModelError, ObservationError, load_policy

Make = Callable[..., DiffusionPolicy]


def seen(rows: int = 0, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    lead = (rows,) if rows else ()
    return {"state": rng.normal(size=(*lead, 2, 3)), "keypoint": rng.normal(size=(*lead, 2, 4, 2))}


def generators(rows: int) -> list[Generator]:
    return [Generator().manual_seed(row) for row in range(rows)]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
@pytest.mark.parametrize("kind", ["transformer", "unet"])
def test_a_sample_does_not_depend_on_its_batch_mates(make_policy: Make, sampler: str, kind: str) -> None:
    changes = {"sampler": sampler, "sampling_steps": 5, "noise": {"prediction": "sample"}}
    if kind == "unet":
        changes["denoiser"] = {"type": "unet", "widths": [16, 32], "groups": 4, "time_size": 8}
    policy = make_policy(**changes)
    together = policy.predict_action_chunk(seen(4), generators=generators(4)).actions
    assert together.shape == (4, 4, 2)
    for row in range(4):
        alone = policy.predict_action_chunk(
            {name: values[row] for name, values in seen(4).items()}, generators=[Generator().manual_seed(row)]
        )
        np.testing.assert_allclose(alone.actions, together[row], rtol=1e-4, atol=1e-4)
    order = [2, 0, 3, 1]
    shuffled = policy.predict_action_chunk(
        {name: values[order] for name, values in seen(4).items()}, generators=[generators(4)[i] for i in order]
    )
    np.testing.assert_allclose(shuffled.actions, together[order], rtol=1e-4, atol=1e-4)


def test_a_flow_draws_too(make_policy: Make) -> None:
    policy = make_policy(noise={"process": "flow"}, sampler="flow", sampling_steps=4)
    first, again = (policy.predict_action_chunk(seen(2), generators=generators(2)).actions for _ in range(2))
    np.testing.assert_array_equal(first, again)
    with pytest.raises(ValueError, match="a flow model is sampled by flow"):
        policy.use_sampler("ddim", 5)


def test_select_action_is_a_chunk_at_a_time(make_policy: Make) -> None:
    """Four actions of a chunk, then a new one from the last two observations; the first stands for those before it."""
    policy = make_policy()
    rng = np.random.default_rng(0)
    moments = [{"state": rng.normal(size=3), "keypoint": rng.normal(size=(4, 2))} for _ in range(6)]
    policy.reset(seed=7)
    done = [policy.select_action(moment) for moment in moments]

    own = Generator().manual_seed(7)
    first = {name: np.stack([moments[0][name]] * 2) for name in moments[0]}
    later = {name: np.stack([moments[3][name], moments[4][name]]) for name in moments[0]}
    expected = [policy.predict_action_chunk(part, generators=[own]).actions for part in (first, later)]
    np.testing.assert_array_equal(done, np.concatenate(expected)[:6])
    policy.reset(seed=7)
    np.testing.assert_array_equal(policy.select_action(moments[0]), done[0])
    policy.reset()
    assert not np.array_equal(policy.select_action(moments[0]), done[0])


def test_fewer_actions_of_a_chunk_can_be_carried_out(make_policy: Make, tmp_path: Path) -> None:
    policy = make_policy()
    seen = {"state": np.ones((2, 3)), "keypoint": np.ones((2, 4, 2))}
    whole = policy.predict_action_chunk(seen, generators=[Generator().manual_seed(1)]).actions
    policy.use_action_steps(3)
    policy.save_pretrained(tmp_path / "model")
    for one in (policy, load_policy(tmp_path / "model")):
        fewer = one.predict_action_chunk(seen, generators=[Generator().manual_seed(1)]).actions
        np.testing.assert_array_equal(fewer, whole[:3])
    for count in (0, 8):
        with pytest.raises(ValueError, match=rf"action_steps is {count}; it must be in \[1, 7\]"):
            policy.use_action_steps(count)


def test_what_is_watched_ends_with_the_sample(make_policy: Make) -> None:
    policy, moments = make_policy(sampling_steps=4), []
    seen = {"state": torch.ones(1, 2, 3), "keypoint": torch.ones(1, 2, 4, 2)}
    drawn = policy.sample(seen, [Generator().manual_seed(1)], watch=moments.append)
    assert len(moments) == 5
    assert torch.equal(moments[-1], drawn)
    noise = torch.randn((8, 2), generator=Generator().manual_seed(1))[None]
    assert torch.equal(moments[0], policy.action_normaliser.invert(noise))


def test_a_bad_observation_is_refused_at_once_and_forgotten(make_policy: Make) -> None:
    """In the middle of a chunk too; the episode goes on as if it had not been."""
    policy, other = make_policy(), make_policy()
    rng = np.random.default_rng(0)
    moments = [{"state": rng.normal(size=3), "keypoint": rng.normal(size=(4, 2)), "more": 0} for _ in range(6)]
    bad = [
        ({"state": np.zeros(4)}, r"state has shape \(4,\); it must be \(3,\)"),
        ({"keypoint": np.full((4, 2), np.nan)}, "keypoint has a value that is not finite"),
        ({"state": "far"}, "state cannot be read as numbers"),
    ]
    for robot in (policy, other):
        robot.reset(seed=1)
    with pytest.raises(ObservationError, match="there is no observation"):
        policy.select_action({"more": 1})
    for number, moment in enumerate(moments):
        change, said = bad[number % 3]
        with pytest.raises(ObservationError, match=said):
            policy.select_action(moment | change)
        np.testing.assert_array_equal(policy.select_action(moment), other.select_action(moment))


def test_relative_actions_move_with_what_they_are_relative_to(make_policy: Make) -> None:
    """With weights that do not look, the drawn actions move exactly as the latest observation does."""
    policy = make_policy(observations={"place": [2]}, relative_to="place")
    torch.nn.init.zeros_(policy.network.action_out.weight)
    places = np.array([[[0.0, 0.0], [1.0, 2.0]], [[5.0, 5.0], [4.0, -3.0]]])
    drawn = policy.predict_action_chunk({"place": places}, generators=[Generator().manual_seed(0) for _ in range(2)])
    np.testing.assert_allclose(drawn.actions[1] - drawn.actions[0], np.tile([3.0, -5.0], (4, 1)), atol=1e-5)


def test_training_wants_the_noise_of_normalised_relative_actions(make_policy: Make) -> None:
    """The loss against one put together by hand."""
    policy = make_policy(observations={"place": [2]}, relative_to="place")
    policy.action_normaliser.set_moments(torch.full((8, 2), 3.0), torch.full((8, 2), 2.0))
    place, actions = torch.randn(5, 2, 2), torch.randn(5, 8, 2)
    with torch.no_grad():
        found = policy({"place": place}, actions, Generator().manual_seed(1))
        own = Generator().manual_seed(1)
        times = torch.randint(100, (5,), generator=own)
        noise = torch.randn(5, 8, 2, generator=own)
        clean = (actions - place[:, 1:] - 3) / 2
        noisy, _ = policy.process.add_noise(clean, noise, times)
        expected = (policy.network(noisy, times, policy.encoder({"place": place})) - noise) ** 2
    torch.testing.assert_close(found, expected)


def test_actions_are_kept_within_bounds_and_flagged(make_policy: Make) -> None:
    free = make_policy()
    policy = make_policy(action_low=[-0.1, -5.0], action_high=[0.1, 5.0])
    plain = free.predict_action_chunk(seen(3), generators=generators(3))
    kept = policy.predict_action_chunk(seen(3), generators=generators(3))
    low, high = np.array([-0.1, -5.0], np.float32), np.array([0.1, 5.0], np.float32)
    np.testing.assert_array_equal(kept.actions, np.clip(plain.actions, low, high))
    np.testing.assert_array_equal(kept.clamped, (plain.actions < low) | (plain.actions > high))
    assert kept.clamped.any()
    assert not plain.clamped.any()
    with pytest.raises(ActionError, match=r"number 0 of action \d is -?\d.*; it must be in \[-0.1, 0.1\]"):
        policy.predict_action_chunk(seen(3), generators=generators(3), out_of_bounds="refuse")


def test_a_robot_never_receives_nan(make_policy: Make) -> None:
    policy = make_policy(action_low=[-1.0, -1.0], action_high=[1.0, 1.0])
    torch.nn.init.constant_(policy.network.action_out.bias, torch.nan)
    with pytest.raises(ActionError, match="not finite; nothing is sent to the robot"):
        policy.predict_action_chunk(seen())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: o.pop("state"), "there is no observation 'state'"),
        (lambda o: o.update(state=np.zeros((2, 4))), r"state has shape \(2, 4\); it must be \(2, 3\)"),
        (lambda o: o.update(state=np.zeros((3,))), r"state has shape \(3,\)"),
        (lambda o: o.update(state=np.zeros((1, 1, 2, 3))), r"state has shape \(1, 1, 2, 3\)"),
        (lambda o: o["state"].__setitem__((1, 2), np.nan), "state has a value that is not finite"),
        (lambda o: o["keypoint"].__setitem__((0, 0, 0), -np.inf), "keypoint has a value that is not finite"),
        (lambda o: o.update(state=np.zeros((4, 2, 3))), "different numbers of robots"),
    ],
)
def test_observations_that_do_not_fit(make_policy: Make, change: Callable, said: str) -> None:
    observation = seen()
    change(observation)
    with pytest.raises(ObservationError, match=said):
        make_policy().predict_action_chunk(observation)


def test_images_are_seen(make_policy: Make) -> None:
    policy = make_policy(observations={"image": [48, 64, 3], "state": [3]})
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    first = policy.predict_action_chunk({"image": pictures, "state": np.zeros((2, 3))}, generators=generators(1))
    other = policy.predict_action_chunk({"image": 255 - pictures, "state": np.zeros((2, 3))}, generators=generators(1))
    assert not np.array_equal(first.actions, other.actions)
    with pytest.raises(ObservationError, match=r"image is torch\.float64; an image must be uint8"):
        policy.predict_action_chunk({"image": pictures / 255, "state": np.zeros((2, 3))})


def test_images_are_cropped_at_random_in_training_only(make_policy: Make) -> None:
    encoder = make_policy(observations={"image": [48, 64, 3]}).encoder
    image = torch.arange(48 * 64, dtype=torch.float32).view(1, 1, 48, 64)
    middle = encoder._cropped(image)
    torch.testing.assert_close(middle, image[..., 3:45, 4:60])
    encoder.train()
    torch.manual_seed(0)
    corners = {int(encoder._cropped(image)[0, 0, 0, 0]) for _ in range(200)}
    assert len(corners) > 30
    assert max(corners) <= 6 * 64 + 8


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"horizon": 4}, "horizon is 4; it must be at least .* = 5"),
        ({"relative_to": "state"}, r"relative_to is 'state'; it must name an observation of shape \(2,\)"),
        ({"action_low": [0.0]}, "action_low has 1 numbers, an action has 2"),
        ({"denoiser": {"type": "tree"}}, "denoiser type is 'tree'"),
        ({"sampling_steps": 101}, r"steps is 101; it must be in \[1, 100\]"),
        ({"crop": 0.0}, r"crop is 0.0; it must be in \(0, 1\]"),
        ({"observations": {"state": []}}, r"state has shape \(\); it must have one to three axes"),
    ],
)
def test_settings_that_do_not_fit(make_policy: Make, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_policy(**changes)


# --- model directories


@pytest.fixture
def saved(make_policy: Make, tmp_path: Path) -> Path:
    policy = make_policy(action_low=[-1.0, -1.0], action_high=[1.0, 1.0])
    policy.action_normaliser.set_limits(torch.full((8, 2), -3.0), torch.full((8, 2), 5.0))
    policy.encoder.normalisers["state"].set_limits(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 9.0]))
    policy.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_policy_draws_the_same(saved: Path, make_policy: Make) -> None:
    loaded = load_policy(saved)
    again = DiffusionPolicy.from_pretrained(saved).eval()
    assert float(loaded.action_normaliser.offset[0, 0]) == 1.0
    assert float(loaded.action_normaliser.scale[0, 0]) == 4.0
    drawn = [policy.predict_action_chunk(seen(2), generators=generators(2)).actions for policy in (loaded, again)]
    np.testing.assert_array_equal(*drawn)
    fresh = make_policy(action_low=[-1.0, -1.0], action_high=[1.0, 1.0])
    assert not np.array_equal(fresh.predict_action_chunk(seen(2), generators=generators(2)).actions, drawn[0])


def sentence(path: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        load_policy(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_missing_files_are_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert f"is not a model directory: it has no {name}" in sentence(saved)


@pytest.mark.parametrize("keep", [0, 7, 300])
def test_truncated_weights_are_named(saved: Path, keep: int) -> None:
    path = saved / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:keep])
    assert WEIGHTS_FILE in sentence(saved)


def test_weights_of_another_network_are_named(saved: Path) -> None:
    path = saved / WEIGHTS_FILE
    tensors = load_file(path)
    save_file({name: tensor for name, tensor in tensors.items() if name != "network.norm.weight"}, path)
    assert "network.norm.weight" in sentence(saved)
    save_file({**tensors, "surprise": torch.zeros(2)}, path)
    assert "surprise" in sentence(saved)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"_class_name": "UNet2DModel"}'])
def test_broken_configs_are_named(saved: Path, content: str) -> None:
    (saved / CONFIG_FILE).write_text(content)
    assert CONFIG_FILE in sentence(saved)


@pytest.mark.parametrize(
    "change", [{"horizon": 3}, {"horizon": "long"}, {"denoiser": {"type": "tree"}}, {"observations": 3}]
)
def test_configs_that_make_no_policy_are_named(saved: Path, change: dict[str, object]) -> None:
    config = json.loads((saved / CONFIG_FILE).read_text())
    (saved / CONFIG_FILE).write_text(json.dumps({**config, **change}))
    assert CONFIG_FILE in sentence(saved)


def test_a_pickle_is_never_read(saved: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return open, (str(tmp_path / "trapped"), "w")

    (saved / WEIGHTS_FILE).write_bytes(pickle.dumps(Trap()))
    assert WEIGHTS_FILE in sentence(saved)
    assert not (tmp_path / "trapped").exists()


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    assert "there is no model 'nowhere'" in sentence("nowhere")
    assert CONFIG_FILE in sentence(tmp_path)
