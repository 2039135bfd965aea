"""Measures against closed forms."""

import math

import pytest
import torch

from suffuse.backbone_cli.study.measures import frechet_distance, interval, jackknife, moments, psnr


def test_psnr_of_a_constant_error() -> None:
    truth = torch.zeros(3, 1, 32, 32)
    found = psnr(truth + torch.tensor([0.1, 0.02, 5.0]).view(3, 1, 1, 1), truth)
    torch.testing.assert_close(found, torch.tensor([10 * math.log10(4 / e**2) for e in (0.1, 0.02, 1.0)]))


def test_frechet_distance_of_gaussians_that_commute() -> None:
    """Diagonal covariances: the sum of squared differences of means and of standard deviations."""
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    mean = torch.tensor([1.0, -2.0, 0.0]).double()
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double())[0]
    found = frechet_distance(mean, turned @ a.diag() @ turned.T, 0 * mean, turned @ b.diag() @ turned.T)
    assert found == pytest.approx(5 + 1 + 0 + 4)


def test_frechet_distance_of_one_dimension_and_of_a_set_to_itself() -> None:
    one, two = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[1.0], [1.5], [2.0]])
    assert frechet_distance(*moments(one), *moments(two)) == pytest.approx(0.5**2 + (2 - 0.5) ** 2)
    rows = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    assert frechet_distance(*moments(rows), *moments(rows)) == pytest.approx(0, abs=1e-9)


def test_the_interval_of_a_mean() -> None:
    assert interval(torch.tensor([1.0, 3.0])) == (2.0, pytest.approx(1.96))


def test_the_jackknife_of_a_difference_of_means() -> None:
    """For means it is the usual interval of paired differences."""
    rows = torch.randn(20, 1, generator=torch.Generator().manual_seed(0))
    others = torch.randn(20, 1, generator=torch.Generator().manual_seed(1))
    found = jackknife(lambda a, b: float((a - b).mean()), rows, others)
    assert found == pytest.approx(interval((rows - others)[:, 0]), rel=1e-4)
