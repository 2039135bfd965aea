"""The geometry of PushT against gym-pusht itself, and the mirror against its physics."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from suffuse.policy import DataError, Demonstrations, read_demonstrations
from suffuse.policy.data import write_zarr
from suffuse.policy.environments import PUSHT
from suffuse.policy.environments.pusht_geometry import (
    GOAL,
    OUTLINE,
    keypoints,
    mirrored,
    mirrored_points,
    observed,
    to_block,
    to_world,
    turn,
    with_mirror_images,
)
from suffuse.policy.experts.pusht_planner import contacts, pose_of


@pytest.fixture(scope="module")
def environment() -> gymnasium.Env:
    made = PUSHT.make()
    yield made
    made.close()


def set_state(environment: gymnasium.Env, state: np.ndarray) -> None:
    """Put disc and block where a state says, angle first, at rest."""
    inner = environment.unwrapped
    inner.block.angle = float(state[4])
    inner.block.position = tuple(state[2:4].tolist())
    inner.agent.position = tuple(state[:2].tolist())
    for body in (inner.block, inner.agent):
        body.velocity = (0.0, 0.0)
        inner.space.reindex_shapes_for_body(body)
    inner.block.angular_velocity = 0.0


def state_of(environment: gymnasium.Env) -> np.ndarray:
    inner = environment.unwrapped
    return np.array([*inner.agent.position, *inner.block.position, inner.block.angle % (2 * np.pi)])


def test_keypoints_are_those_of_the_environment(environment: gymnasium.Env) -> None:
    for seed in range(20):
        seen, info = environment.reset(seed=seed)
        np.testing.assert_allclose(keypoints(info["block_pose"]).ravel(), seen["environment_state"], atol=1e-9)
        pose = pose_of(seen["environment_state"])
        np.testing.assert_allclose(pose[:2], info["block_pose"][:2], atol=1e-9)
        assert np.cos(pose[2] - info["block_pose"][2]) == pytest.approx(1)


def test_the_goal_is_its_own_mirror_image(environment: gymnasium.Env) -> None:
    environment.reset(seed=0)
    np.testing.assert_array_equal(environment.unwrapped.goal_pose, GOAL)
    state = np.array([10.0, 20.0, *GOAL])
    np.testing.assert_allclose(mirrored(state), [492.0, 502.0, *GOAL])


def test_the_mirror_maps_corners_to_corners() -> None:
    rng = np.random.default_rng(0)
    swap = [1, 0, 3, 2, 5, 4, 7, 6]  # left and right of bar and stem
    for _ in range(20):
        state = np.concatenate([rng.uniform(0, 512, 4), rng.uniform(0, 2 * np.pi, 1)])
        image = mirrored(state)
        np.testing.assert_allclose(keypoints(image[2:])[swap], mirrored_points(keypoints(state[2:])), atol=1e-9)
        np.testing.assert_allclose(mirrored(image), state, atol=1e-9)


def test_physics_in_the_mirror_is_the_mirror_of_physics(environment: gymnasium.Env) -> None:
    """Push from a state, and from its mirror image with mirrored actions: the outcomes are mirror images."""
    environment.reset(seed=0)
    rng = np.random.default_rng(1)
    moved = 0.0
    for _ in range(5):
        start = np.array([0.0, 0.0, *rng.uniform(200, 312, 2), rng.uniform(0, 2 * np.pi)])
        edge = to_world(np.array([[0.0, -25.0], [5.0, 15.0]]), start[2:])
        start[:2] = edge[0]
        targets = [edge[0] + share * (edge[1] - edge[0]) for share in (0.5, 1.0, 1.5)]
        ends = []
        for image in (False, True):
            set_state(environment, mirrored(start) if image else start)
            for target in targets:
                environment.step(mirrored_points(target) if image else target)
            ends.append(state_of(environment))
        moved = max(moved, float(np.abs(ends[0] - start)[2:4].max()))
        expected = mirrored(ends[0])
        np.testing.assert_allclose(ends[1][:4], expected[:4], atol=0.5)
        assert np.cos(ends[1][4] - expected[4]) > 0.9999
    assert moved > 5, "something has been pushed"


def test_frames_undo_each_other() -> None:
    pose, points = np.array([100.0, 300.0, 2.0]), np.random.default_rng(0).normal(size=(7, 2))
    np.testing.assert_allclose(to_block(to_world(points, pose), pose), points, atol=1e-9)
    np.testing.assert_allclose(turn(np.array(np.pi / 2)) @ [1, 0], [0, 1], atol=1e-12)


def test_normals_point_outward() -> None:
    """A step along each normal leaves the T, a step against it enters it: counted by ray casting."""

    def inside(point: np.ndarray) -> bool:
        (x, y), crossings = point, 0
        for (ax, ay), (bx, by) in zip(OUTLINE, np.roll(OUTLINE, -1, axis=0), strict=True):
            if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                crossings += 1
        return crossings % 2 == 1

    points, normals = contacts()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    for point, normal in zip(points, normals, strict=True):
        assert inside(point - 0.1 * normal)
        assert not inside(point + 0.1 * normal)


# --- demonstrations


def recorded(rows: int = 6) -> Demonstrations:
    rng = np.random.default_rng(0)
    state = np.concatenate([rng.uniform(50, 450, (rows, 4)), rng.uniform(0, 6, (rows, 1))], axis=1).astype(np.float32)
    action = rng.uniform(50, 450, (rows, 2)).astype(np.float32)
    keys = rng.normal(size=(rows, 9, 2)).astype(np.float32)
    return Demonstrations(
        columns={"state": state, "action": action, "keypoint": keys}, episode_ends=np.array([2, rows])
    )


def test_what_is_observed_is_made_from_the_state(tmp_path: Path) -> None:
    given = recorded()
    write_zarr(given, tmp_path / "pusht.zarr")
    found = observed(read_demonstrations(tmp_path / "pusht.zarr"))
    assert set(found.columns) == {"agent_pos", "environment_state", "action"}
    state = given.columns["state"]
    np.testing.assert_array_equal(found.columns["agent_pos"], state[:, :2])
    np.testing.assert_allclose(
        found.columns["environment_state"][3], keypoints(state[3, 2:].astype(float)).ravel(), rtol=1e-6
    )


def test_mirror_images_follow_the_originals() -> None:
    given = recorded()
    both = with_mirror_images(given)
    assert both.lengths.tolist() == [2, 4, 2, 4]
    plain = observed(given)
    for name, values in plain.columns.items():
        np.testing.assert_array_equal(both.columns[name][:6], values)
    np.testing.assert_allclose(both.columns["action"][6:], mirrored_points(given.columns["action"]))
    twice = mirrored_points(both.columns["environment_state"][6:].reshape(-1, 8, 2))[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    np.testing.assert_allclose(twice.reshape(-1, 16), plain.columns["environment_state"], atol=1e-3)


def test_sets_as_lerobot_has_them_are_observed_as_they_are() -> None:
    keys = np.arange(32, dtype=np.float32).reshape(2, 16)
    columns = {"state": np.ones((2, 2), np.float32), "environment_state": keys, "action": np.zeros((2, 2), np.float32)}
    found = observed(Demonstrations(columns=columns, episode_ends=np.array([2])))
    np.testing.assert_array_equal(found.columns["environment_state"], keys)
    np.testing.assert_array_equal(found.columns["agent_pos"], columns["state"])


def test_sets_of_another_task_are_refused() -> None:
    columns = {"state": np.ones((2, 7), np.float32), "action": np.zeros((2, 2), np.float32)}
    other = Demonstrations(columns=columns, episode_ends=np.array([2]))
    with pytest.raises(DataError, match="PushT needs a column agent_pos of 2 numbers, or a state of 5"):
        observed(other)
    with pytest.raises(DataError, match="mirror images need a column state of 5 numbers"):
        with_mirror_images(other)
