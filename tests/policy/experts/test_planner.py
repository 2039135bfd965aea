"""The scripted expert: its simulator is the environment, its ways keep clear, and it solves the task."""

import heapq
import math
from itertools import pairwise

import numpy as np
import pytest

from suffuse.policy import DataError, PlannerActor, TaskError, demonstrate
from suffuse.policy.environments import PUSHT, Episode, roll_out
from suffuse.policy.environments.pusht_geometry import GOAL, RECTANGLES, keypoints, to_world
from suffuse.policy.experts import PlannerConfig, PushTPlanner
from suffuse.policy.experts.pusht_planner import pace
from suffuse.policy.experts.pusht_route import _cheapest, distance_to_t, route
from suffuse.policy.experts.pusht_simulator import PushSimulator, misplacement

QUICK = PlannerConfig(pushes=48, beam=3, next_pushes=16)


@pytest.fixture(scope="module")
def simulator() -> PushSimulator:
    return PushSimulator()


def test_a_push_in_the_simulator_is_a_push_in_the_environment(simulator: PushSimulator) -> None:
    """The same start and targets, stepped by the environment itself: the same least misplacement, pose and step."""
    environment = PUSHT.make()
    pose = np.array([250.0, 240.0, 1.2])
    start = to_world(np.array([[10.0, -22.0]]), pose)[0]
    direction = to_world(np.array([[0.1, 1.0]]), np.array([0.0, 0.0, pose[2]]))[0]
    direction /= np.linalg.norm(direction)
    cost, steps, after = simulator.push(pose, start, direction, speed=6.0, steps=8)

    environment.reset(seed=0)
    inner = environment.unwrapped
    inner.block.angle, inner.block.position = pose[2], tuple(pose[:2])
    inner.block.velocity, inner.block.angular_velocity = (0, 0), 0
    inner.agent.position, inner.agent.velocity = tuple(start), (0, 0)
    inner.space.reindex_shapes_for_body(inner.block)
    inner.space.reindex_shapes_for_body(inner.agent)
    best = (misplacement(pose), 0, pose)
    for number in range(1, 9):
        environment.step(start + 6.0 * number * direction)
        found = np.array([*inner.block.position, inner.block.angle])
        if misplacement(found) < best[0]:
            best = misplacement(found), number, found
    environment.close()
    assert (cost, steps) == (pytest.approx(best[0], abs=1e-6), best[1])
    np.testing.assert_allclose(after, best[2], atol=1e-6)


def test_misplacement_is_the_distance_of_corners() -> None:
    assert misplacement(GOAL) == 0
    assert misplacement(GOAL + np.array([3.0, 4.0, 0.0])) == pytest.approx(5)
    turned = GOAL + np.array([0.0, 0.0, np.pi])
    expected = np.linalg.norm(keypoints(turned) - keypoints(GOAL), axis=1).mean()
    assert misplacement(turned) == pytest.approx(expected)


def test_distance_to_the_t_against_dense_points() -> None:
    rng = np.random.default_rng(0)
    pose = np.array([260.0, 240.0, 0.7])
    dense = np.concatenate([
        np.stack(np.meshgrid(*(np.linspace(r[:, k].min(), r[:, k].max(), 61) for k in (0, 1))), axis=-1).reshape(-1, 2)
        for r in RECTANGLES
    ])  # fmt: skip
    world = to_world(dense, pose)
    points = rng.uniform(100, 400, (50, 2))
    expected = np.linalg.norm(points[:, None] - world[None], axis=-1).min(axis=1)
    np.testing.assert_allclose(distance_to_t(points, pose), expected, atol=1.5)


def test_the_cheapest_way_is_dijkstras() -> None:
    """A* over random prices against a plain Dijkstra: the same cost."""
    rng = np.random.default_rng(0)
    prices = rng.uniform(1, 9, (64, 64)).tolist()
    start, end = (5, 6), (30, 41)
    cells = _cheapest(start, end, prices)
    assert cells[0] == start
    assert cells[-1] == end
    cost = sum(math.dist(a, b) * prices[b[0]][b[1]] for a, b in pairwise(cells))
    spent, heap = {start: 0.0}, [(0.0, start)]
    while heap:
        so_far, (x, y) = heapq.heappop(heap)
        if so_far > spent[x, y]:
            continue
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                there = (x + dx, y + dy)
                if (dx or dy) and all(2 <= side < 62 for side in there):
                    further = so_far + math.hypot(dx, dy) * prices[there[0]][there[1]]
                    if further < spent.get(there, math.inf):
                        spent[there] = further
                        heapq.heappush(heap, (further, there))
    assert cost == pytest.approx(spent[end])


def test_a_way_goes_round_the_t() -> None:
    pose = np.array([256.0, 200.0, 0.0])
    start, end = np.array([256.0, 120.0]), np.array([256.0, 360.0])  # the T lies between them
    corners = route(start, end, pose)
    np.testing.assert_array_equal(corners[0], start)
    np.testing.assert_array_equal(corners[-1], end)
    assert len(corners) > 2
    ways = [a + (b - a) * np.linspace(0, 1, 100)[:, None] for a, b in pairwise(corners)]
    assert distance_to_t(np.concatenate(ways), pose).min() > 15
    free = route(np.array([60.0, 60.0]), np.array([60.0, 440.0]), pose)
    assert len(free) == 2, "where nothing is near, the way is straight"


def test_pushes_get_slower_near_the_goal() -> None:
    speeds = [pace(misplaced)[0] for misplaced in (100.0, 20.0, 5.0)]
    assert speeds == sorted(speeds, reverse=True)
    assert len(set(speeds)) == 3


def test_a_plan_leaves_less_misplacement() -> None:
    planner = PushTPlanner(QUICK)
    rng = np.random.default_rng(0)
    for pose in (np.array([300.0, 260.0, 1.0]), np.array([256.0, 262.0, np.pi / 4])):
        push = planner.plan(np.array([100.0, 100.0]), pose, rng)
        assert push is not None
        assert push.steps > 0
        assert push.leaves < misplacement(pose)
        assert np.linalg.norm(push.direction) == pytest.approx(1)
    with pytest.raises(ValueError, match="beam is 0; it must be at least 1"):
        PlannerConfig(beam=0)


@pytest.mark.slow
def test_the_planner_solves_the_task() -> None:
    outcomes = roll_out(PUSHT, PlannerActor(QUICK), range(2000, 2003), slots=3)
    assert [outcome.success for outcome in outcomes] == [True] * 3
    assert all(outcome.max_reward == 1.0 for outcome in outcomes)


def test_the_planner_does_the_same_again() -> None:
    done = []
    for slots in ((0,), (1, 0)):
        environments = [PUSHT.make() for _ in slots]
        actor = PlannerActor(QUICK)
        episodes = {slot: Episode(PUSHT, e, 5 + slot) for slot, e in zip(slots, environments, strict=True)}
        for slot, episode in episodes.items():
            actor.begin(slot, episode)
        steps = []
        for _ in range(12):
            actions = actor.act(episodes)
            steps.append(actions[0])
            for slot, action in actions.items():
                episodes[slot].step(action)
        done.append(np.stack(steps))
        for environment in environments:
            environment.close()
    np.testing.assert_array_equal(*done)


@pytest.mark.slow
def test_demonstrations_replay_to_success() -> None:
    """Recorded actions from the recorded seed end in success, and states are what the environment was in."""
    made = demonstrate(PUSHT.name, 1, first_seed=2001)
    assert made.columns["state"].shape[1:] == (5,)
    assert made.fps == 10
    assert made.lengths.max() <= 200
    environment = PUSHT.make()
    episode = Episode(PUSHT, environment, 2001)
    for state, action in zip(made.episode(0)["state"], made.episode(0)["action"], strict=True):
        np.testing.assert_allclose(state[:2], episode.observation["agent_pos"], atol=1e-3)
        np.testing.assert_allclose(
            keypoints(state[2:].astype(float)).ravel(), episode.observation["environment_state"], atol=1e-3
        )
        episode.step(action)
    assert episode.success
    environment.close()


def test_experts_there_are_not() -> None:
    with pytest.raises(TaskError, match="there is no task 'Lift'"):
        demonstrate("Lift", 1)
    with pytest.raises(DataError, match="seed 100000 is held out for evaluation"):
        demonstrate(PUSHT.name, 5, first_seed=99_999)
