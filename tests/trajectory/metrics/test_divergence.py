import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from suffuse.trajectory.metrics.divergence import BINS, histogram_divergence, jensen_shannon


def test_alike_is_nought_and_disjoint_is_log_two():
    assert jensen_shannon(np.array([1.0, 2, 3]), np.array([2.0, 4, 6])) == pytest.approx(0, abs=1e-15)
    assert jensen_shannon(np.array([1.0, 0, 3]), np.array([0.0, 4, 0])) == pytest.approx(math.log(2))


def test_parity_with_the_distance_of_scipy():
    p, q = np.random.default_rng(0).uniform(0, 5, (2, 40))
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2)


def test_the_largest_real_value_and_all_above_share_the_last_bin():
    real = np.array([0.5, 99.0])  # bins of width 1
    assert histogram_divergence(real, np.array([0.1, 1e6])) == pytest.approx(0, abs=1e-15)
    assert histogram_divergence(real, np.array([0.99, 99.0])) == pytest.approx(0, abs=1e-15)
    assert histogram_divergence(real, np.array([1.01, 98.99])) == pytest.approx(math.log(2))


def test_there_are_99_equal_bins_and_one_open_one():
    real = np.append(np.arange(99) + 0.5, 99.0)
    by_hand = np.histogram(np.array([10.5, 10.6, 200.0]), [*range(100), np.inf])[0] / 3
    assert BINS == 99
    assert histogram_divergence(real, np.array([10.5, 10.6, 200.0])) == pytest.approx(
        jensenshannon(np.full(100, 0.01), by_hand) ** 2
    )


def test_two_samples_of_one_distribution_differ_by_about_bins_over_eight_n():
    rng = np.random.default_rng(1)
    found = [histogram_divergence(np.append(rng.uniform(0, 99, 5000), 99), rng.uniform(0, 99, 5000)) for _ in range(40)]
    assert np.mean(found) == pytest.approx(98 / 8 * (2 / 5000), rel=0.1)


@pytest.mark.parametrize(("real", "other"), [([], [1.0]), ([1.0], []), ([0.0, 0.0], [0.0])])
def test_no_values_and_no_times_give_no_figure(real, other):
    assert math.isnan(histogram_divergence(np.array(real, float), np.array(other, float)))
