"""AUC and interval against counting pairs and against what coverage promises; overlaps against the definition."""

from collections.abc import Callable

import numpy as np
import pytest

from suffuse.trajectory.metrics.overlap import overlaps
from suffuse.trajectory.privacy import attack, nearest_overlap
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.trips.table import Trips


def test_auc_is_the_share_of_pairs_in_order() -> None:
    members, others = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 0.0, 4.0])
    pairs = [1.0 if m > o else 0.5 if m == o else 0.0 for m in members for o in others]
    assert attack(members, others).auc == pytest.approx(np.mean(pairs))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Normals one standard deviation apart have an AUC of Phi(1 / sqrt 2) = 0.7602."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = attack(generator.normal(1, 1, 80), generator.normal(0, 1, 120))
        covered += found.low <= 0.7602 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_sure_members_are_caught_and_a_coin_catches_one_in_a_hundred() -> None:
    generator = np.random.default_rng(1)
    half = np.where(np.arange(1000) < 500, 10.0, generator.random(1000))
    found = attack(half, generator.random(1000))
    assert found.caught == pytest.approx(0.5 + 0.005, abs=0.01)
    assert found.tells
    coin = attack(generator.random(2000), generator.random(2000))
    assert coin.caught == pytest.approx(0.01, abs=0.01)
    assert not coin.tells


def test_one_trip_is_no_attack() -> None:
    with pytest.raises(ValueError, match=r"at least 2 members and 2 others, got 1 and 5"):
        attack(np.zeros(1), np.zeros(5))


def test_nearest_overlap_is_the_largest_of_all_pairs(grid: RoadNetwork, walks: Callable[[int, int], Trips]) -> None:
    first, second = walks(300, 4), walks(40, 5)  # more than are compared at a time
    pairs = np.stack(np.meshgrid(np.arange(300), np.arange(40), indexing="ij"), -1).reshape(-1, 2)
    every = overlaps(grid, first, second, pairs).reshape(300, 40)
    best_first, best_second = nearest_overlap(grid, first, second)
    np.testing.assert_allclose(best_first, every.max(axis=1))
    np.testing.assert_allclose(best_second, every.max(axis=0))
