"""Mask ratios against the distributions they claim (scipy), strata, curriculum moments, and masks drawn from them."""

import pytest
import torch
from scipy import stats
from torch import Generator

from suffuse.backbone.discrete import (
    BetaCurriculum,
    LogLinearNoise,
    NoiseConfig,
    apply_mask,
    block_index,
    importance_weight,
    sample_mask_ratio,
)

UNIFORM = LogLinearNoise(t_min=0.0)


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def fixed_beta(alpha: float, beta: float) -> BetaCurriculum:
    """A curriculum that stays at one Beta(alpha, beta)."""
    c = alpha + beta
    return BetaCurriculum(mean_start=alpha / c, mean_end=alpha / c, concentration_start=c, concentration_end=c)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (2.0, 2.0), (2.8, 1.2), (17.5, 7.5), (35.0, 15.0), (1.0, 9.0)])
def test_beta_quantile_and_density_match_scipy(alpha: float, beta: float):
    noise, law = fixed_beta(alpha, beta), stats.beta(alpha, beta)
    u = torch.linspace(1e-4, 1 - 1e-4, 3001, dtype=torch.float64)
    torch.testing.assert_close(noise.quantile(u, 0.3), torch.from_numpy(law.ppf(u.numpy())), rtol=0, atol=1e-6)
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    torch.testing.assert_close(noise.density(t, 0.3), torch.from_numpy(law.pdf(t.numpy())), rtol=1e-9, atol=1e-12)


def test_beta_quantile_keeps_the_ends():
    assert fixed_beta(2.8, 1.2).quantile(torch.tensor([0.0, 1.0]), 0.0).tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(("progress", "mean", "concentration"), [(0.0, 0.5, 4.0), (0.5, 0.6, 14.5), (1.0, 0.7, 25.0)])
def test_curriculum_moves_mean_and_concentration_linearly(progress: float, mean: float, concentration: float):
    config = NoiseConfig(distribution=BetaCurriculum())
    t = sample_mask_ratio(config, block_index(20_000, 1).expand(2, -1), progress, seeded()).double()
    assert t.mean().item() == pytest.approx(mean, abs=1e-4)
    assert t.var().item() == pytest.approx(mean * (1 - mean) / (concentration + 1), rel=1e-3)


def test_clipped_uniform_noise_covers_its_interval():
    config = NoiseConfig(distribution=LogLinearNoise(t_min=0.3, t_max=0.8))
    t = sample_mask_ratio(config, block_index(5_000, 1).expand(1, -1), 0.0, seeded()).double()
    assert t.min() >= 0.3
    assert t.max() <= 0.8
    assert t.mean().item() == pytest.approx(0.55, abs=1e-4)
    assert t.var().item() == pytest.approx(0.25 / 12, rel=1e-3)


@pytest.mark.parametrize("per_block", [True, False])
def test_one_ratio_a_block_or_one_a_sequence(per_block: bool):
    blocks = block_index(11, 4, torch.tensor([0, 1, 3]))
    t = sample_mask_ratio(NoiseConfig(per_block=per_block), blocks, 0.0, seeded())
    for row, index in zip(t, blocks, strict=True):
        within = [row[index == block].unique() for block in index.unique()]
        assert all(len(values) == 1 for values in within)
        assert len(row.unique()) == (len(within) if per_block else 1)
    assert len(t[:, 0].unique()) == 3


def test_strata_hold_one_draw_each():
    blocks = block_index(24, 4).expand(5, -1)  # 30 draws
    t = sample_mask_ratio(NoiseConfig(distribution=UNIFORM), blocks, 0.0, seeded())[:, ::4]
    assert sorted((t.flatten() * 30).long().tolist()) == list(range(30))


def test_each_stratified_draw_is_uniform_and_neighbours_are_unordered():
    config, blocks = NoiseConfig(distribution=UNIFORM), block_index(3, 1).expand(2, -1)
    generator = seeded()
    draws = torch.stack([sample_mask_ratio(config, blocks, 0.0, generator) for _ in range(4000)]).view(4000, 6).double()
    for column in draws.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    # strata without replacement: correlation -1 / (count - 1) up to the width of a stratum, never positive
    expected = -(1 / 5) * (1 - 1 / 36)
    off_diagonal = torch.corrcoef(draws.T)[~torch.eye(6, dtype=torch.bool)]
    torch.testing.assert_close(off_diagonal, torch.full_like(off_diagonal, expected), rtol=0, atol=0.06)


def test_strata_lower_the_variance_of_the_mean_ratio():
    blocks = block_index(8, 1).expand(4, -1)

    def spread(stratified: bool) -> float:
        config, generator = NoiseConfig(distribution=UNIFORM, stratified=stratified), seeded()
        means = torch.stack([sample_mask_ratio(config, blocks, 0.0, generator).mean() for _ in range(2000)])
        return float(means.double().var())

    assert spread(False) == pytest.approx(1 / 12 / 32, rel=0.15)
    assert spread(True) == pytest.approx(1 / 12 / 32**3, rel=0.15)


def test_masked_share_is_the_ratio_and_nothing_else_is_masked():
    t = torch.tensor([0.0, 0.2, 0.7, 1.0]).expand(20_000, -1)
    maskable = torch.ones_like(t, dtype=torch.bool)
    maskable[::2] = False
    masked = apply_mask(t, maskable, seeded())
    assert not masked[::2].any()
    share = masked[1::2].double().mean(0)
    assert share[0] == 0
    assert share[3] == 1
    assert share[1:3].tolist() == pytest.approx([0.2, 0.7], abs=0.02)


def test_randomness_comes_from_the_generator_alone():
    blocks = block_index(9, 2).expand(4, -1)
    maskable = torch.ones(4, 9, dtype=torch.bool)
    before = torch.get_rng_state()

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = seeded(seed)
        t = sample_mask_ratio(NoiseConfig(), blocks, 0.0, generator)
        return t, apply_mask(t, maskable, generator)

    first, again, other = draw(1), draw(1), draw(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_importance_weights_are_one_over_the_density():
    t = torch.tensor([[0.35, 0.5, 0.75]])
    clipped = LogLinearNoise(t_min=0.3, t_max=0.8)
    corrected = NoiseConfig(distribution=clipped, importance_correct=True)
    assert importance_weight(NoiseConfig(distribution=clipped), t, 0.0).tolist() == [[1.0, 1.0, 1.0]]
    torch.testing.assert_close(importance_weight(corrected, t, 0.0), torch.full_like(t, 0.5))
    beta = NoiseConfig(distribution=fixed_beta(2.0, 2.0), importance_correct=True)
    torch.testing.assert_close(importance_weight(beta, t, 0.0), 1 / (6 * t * (1 - t)))


def test_extreme_draws_have_finite_weights():
    config = NoiseConfig(distribution=BetaCurriculum(), importance_correct=True)
    ends = torch.tensor([2.0**-24, 1 - 2.0**-24])
    for progress in (0.0, 1.0):
        t = config.distribution.quantile(ends, progress)
        weight = importance_weight(config, t.unsqueeze(0), progress)
        assert (t > 0).all()
        assert (t < 1).all()
        assert weight.isfinite().all()


def test_an_empty_batch_has_no_ratios():
    assert sample_mask_ratio(NoiseConfig(), torch.zeros(0, 4, dtype=torch.long), 0.0, seeded()).shape == (0, 4)
    assert sample_mask_ratio(NoiseConfig(), torch.zeros(2, 0, dtype=torch.long), 0.0, seeded()).shape == (2, 0)


def test_bad_settings_name_the_value():
    for limits in ({"t_min": -0.1}, {"t_max": 1.1}, {"t_min": 0.5, "t_max": 0.5}):
        with pytest.raises(ValueError, match="must hold 0 <= t_min < t_max <= 1"):
            LogLinearNoise(**limits)
    with pytest.raises(ValueError, match=r"mean is 1\.0, must lie in \(0, 1\)"):
        BetaCurriculum(mean_end=1.0)
    with pytest.raises(ValueError, match=r"concentration is 3\.0, must be at least 3\.333 for mean 0\.7"):
        BetaCurriculum(concentration_end=3.0)
    with pytest.raises(ValueError, match=r"progress is 1\.5, must lie in \[0, 1\]"):
        sample_mask_ratio(NoiseConfig(), block_index(4, 2).expand(1, -1), 1.5, seeded())
    with pytest.raises(ValueError, match=r"progress is -0\.1, must lie in \[0, 1\]"):
        BetaCurriculum().shape(-0.1)
