"""The loss against enumeration of all masks, exact posteriors of a small joint law, and independent formulas.

A "denoiser" here is a table: the nll of every token for every mask of its own block, arbitrary or exact. So the
expected loss is a finite sum over masks and an integral of a polynomial over t, which Gauss-Legendre nodes integrate
exactly.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from suffuse.backbone.discrete import (
    BetaCurriculum,
    LogLinearNoise,
    NoiseConfig,
    apply_mask,
    block_diffusion_loss,
    block_diffusion_weights,
    block_index,
    importance_weight,
    sample_mask_ratio,
    substitution_nll,
)
from suffuse.backbone.discrete.loss import MaskScaling

SCALINGS: tuple[MaskScaling, ...] = ("nominal", "effective", "posterior")
UNIFORM = LogLinearNoise(t_min=0.0)


def all_masks(n: int) -> Tensor:
    """Every mask of n tokens, (2^n n); row number = the mask read as binary digits, first token highest."""
    return torch.tensor(list(itertools.product([False, True], repeat=n)))


def legendre(low: float = 0.0, high: float = 1.0, nodes: int = 24) -> tuple[Tensor, Tensor]:
    """Nodes and weights of Gauss-Legendre quadrature on [low, high], float64."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy(low + (high - low) * (x + 1) / 2), torch.from_numpy(w * (high - low) / 2)


def table_for(blocks: Tensor, seed: int) -> Tensor:
    """Arbitrary nll (2^n n) of every token given the mask of its own block, and only of that."""
    masks, n = all_masks(len(blocks)), len(blocks)
    generator = torch.Generator().manual_seed(seed)
    table = torch.zeros(2**n, n, dtype=torch.float64)
    for block in range(int(blocks.max()) + 1):
        inside = blocks == block
        code = (masks * inside * 2 ** torch.arange(n)).sum(-1)
        own = 3 * torch.rand(2**n, n, generator=generator, dtype=torch.float64)
        table[:, inside] = own[code][:, inside]
    return table


def ideal_bound(blocks: Tensor, table: Tensor) -> dict[int, float]:
    """NELBO of every block in nats: the sum of S(mask) / (k C(L, k)) over its masks of k tokens, by plain loops."""
    bound = {}
    for block in range(int(blocks.max()) + 1):
        own = [i for i, b in enumerate(blocks.tolist()) if b == block]
        total = 0.0
        for k in range(1, len(own) + 1):
            for chosen in itertools.combinations(own, k):
                code = sum(2 ** (len(blocks) - 1 - i) for i in chosen)
                total += sum(float(table[code, i]) for i in chosen) / (k * math.comb(len(own), k))
        bound[block] = total
    return bound


def expected_loss(blocks: Tensor, table: Tensor, scaling: MaskScaling, keep: Tensor | None = None) -> float:
    """Exact expectation of our loss over masks and t uniform on (0, 1), one for all blocks; `keep` selects masks."""
    masks, n = all_masks(len(blocks)), len(blocks)
    rows, valid = blocks.expand(2**n, -1), torch.ones(1, n, dtype=torch.bool)
    total = 0.0
    for t, node in zip(*legendre(), strict=True):
        chance = torch.where(masks, t, 1 - t).prod(-1)
        if keep is not None:
            chance = chance * keep
        weights = block_diffusion_weights(masks, t.expand(2**n, n), rows, valid.expand(2**n, -1), scaling)
        losses = [block_diffusion_loss(nll[None], w[None], valid) for nll, w in zip(table, weights, strict=True)]
        total += float(node * (chance * torch.stack(losses)).sum())
    return total


@pytest.mark.parametrize(("size", "offset"), [(1, 0), (2, 0), (3, 1), (3, 0), (5, 0)])
def test_expected_loss_equals_enumeration_of_all_masks(size: int, offset: int):
    blocks = block_index(5, size, offset)
    table = table_for(blocks, seed=size)
    bound, length = ideal_bound(blocks, table), torch.bincount(blocks).tolist()
    nelbo = sum(bound.values()) / 5
    assert expected_loss(blocks, table, "nominal") == pytest.approx(nelbo, rel=1e-9)
    assert expected_loss(blocks, table, "posterior") == pytest.approx(nelbo, rel=1e-6)
    effective = sum(length[b] / (length[b] + 1) * bound[b] for b in bound) / 5
    assert expected_loss(blocks, table, "effective") == pytest.approx(effective, rel=1e-6)


def test_effective_scaling_is_unbiased_given_that_something_is_masked():
    blocks = block_index(4, 4)
    table = table_for(blocks, seed=0)
    some = all_masks(4).any(-1)
    chance = 1 - 1 / 5  # the number of masked tokens is uniform on 0 .. 4
    given_some = expected_loss(blocks, table, "effective", keep=some) / chance
    assert given_some == pytest.approx(ideal_bound(blocks, table)[0] / 4, rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_posterior_weight_is_the_mean_of_one_over_t_given_the_mask(k: int):
    t, node = legendre()
    chance = node * t**k * (1 - t) ** (4 - k)
    masked = (torch.arange(4) < k)[None]
    ones, zeros = torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.long)
    weights = block_diffusion_weights(masked, torch.full((1, 4), 0.123), zeros, ones, "posterior")
    assert weights[0, 0].item() == pytest.approx(float((chance / t).sum() / chance.sum()))


def draw_losses(
    config: NoiseConfig, scaling: MaskScaling, blocks: Tensor, table: Tensor, count: int, progress: float = 0.0
) -> Tensor:
    """Loss of `count` independent sequences in nats a token, with the real sampler, (count,) float64."""
    generator = torch.Generator().manual_seed(11)
    n = len(blocks)
    rows, valid = blocks.expand(count, -1), torch.ones(count, n, dtype=torch.bool)
    t = sample_mask_ratio(config, rows, progress, generator)
    masked = apply_mask(t, valid, generator)
    weights = block_diffusion_weights(masked, t, rows, valid, scaling) * importance_weight(config, t, progress)
    nll = table[(masked * 2 ** torch.arange(n - 1, -1, -1)).sum(-1)]
    losses = (weights * nll).sum(-1) / n
    together = block_diffusion_loss(nll, weights, valid)
    assert together.item() == pytest.approx(losses.mean().item(), rel=1e-5)
    return losses.double()


@pytest.mark.parametrize("scaling", ["nominal", "posterior"])
@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("per_block", [False, True])
def test_sampled_loss_is_unbiased(per_block: bool, stratified: bool, scaling: MaskScaling):
    blocks = block_index(5, 3, 1)
    table = table_for(blocks, seed=3)
    low = 1e-3 if scaling == "nominal" else 0.0
    noise = LogLinearNoise(t_min=low)
    config = NoiseConfig(per_block=per_block, stratified=stratified, distribution=noise, importance_correct=True)
    losses = draw_losses(config, scaling, blocks, table, 100_000)
    nelbo = sum(ideal_bound(blocks, table).values()) / 5
    left_out = low * 3  # the bound below t_min: at most t_min times the largest nll
    error = 4 * float(losses.std()) / len(losses) ** 0.5
    assert nelbo - left_out - error <= losses.mean() <= nelbo + error
    assert error < 0.05 * nelbo


def test_importance_corrected_beta_noise_estimates_the_same_bound():
    blocks = block_index(4, 4)
    table = table_for(blocks, seed=4)
    broad = BetaCurriculum(mean_start=0.5, mean_end=0.5, concentration_start=3.0, concentration_end=3.0)
    nelbo = ideal_bound(blocks, table)[0] / 4
    for scaling, factor in (("posterior", 1.0), ("effective", 4 / 5)):
        corrected = NoiseConfig(distribution=broad, importance_correct=True, stratified=False)
        losses = draw_losses(corrected, scaling, blocks, table, 200_000)
        error = 4 * float(losses.std()) / len(losses) ** 0.5
        assert losses.mean().item() == pytest.approx(factor * nelbo, abs=error)
        assert error < 0.02 * nelbo


def test_uncorrected_curriculum_is_the_bound_reweighted_by_its_density():
    blocks = block_index(4, 4)
    table = table_for(blocks, seed=5) * all_masks(4).sum(-1, keepdim=True)  # harder, the more is masked
    curriculum = BetaCurriculum()
    losses = draw_losses(NoiseConfig(distribution=curriculum), "nominal", blocks, table, 200_000, progress=0.5)
    t, node = legendre(nodes=200)
    masks = all_masks(4)
    of_mask = (table * masks).sum(-1) / 4
    mean_at_t = torch.stack([(torch.where(masks, x, 1 - x).prod(-1) * of_mask).sum() / x for x in t])
    reweighted = float((node * curriculum.density(t, 0.5) * mean_at_t).sum())
    assert losses.mean().item() == pytest.approx(reweighted, abs=4 * float(losses.std()) / len(losses) ** 0.5)
    assert reweighted > 1.1 * ideal_bound(blocks, table)[0] / 4  # high ratios weigh more


def test_asynchronous_noise_keeps_the_mean_and_loses_the_variance_the_lemma_says():
    # equal blocks: Var(synchronous) - Var(asynchronous) = (1 - 1/B) Var_t(mu(t)), mu(t) the mean loss of a block at t
    count, size, low = 4, 3, 0.1
    own = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 2, 2], [1, 0, 0], [2, 0, 2], [2, 2, 0], [9, 9, 9.0]])
    masks = all_masks(size)
    blocks = block_index(count * size, size)
    table = torch.zeros(2 ** (count * size), count * size, dtype=torch.float64)
    codes = (all_masks(count * size).view(-1, count, size) * torch.tensor([4, 2, 1])).sum(-1)
    for block in range(count):
        table[:, block * size : (block + 1) * size] = own.double()[codes[:, block]]

    t, node = legendre(low, 1.0, 60)
    node = node / node.sum()
    of_mask = (own * masks).sum(-1).double() / size
    mu = torch.stack([(torch.where(masks, x, 1 - x).prod(-1) * of_mask).sum() / x for x in t])
    mean = float((node * mu).sum())
    spread = float((node * (mu - mean) ** 2).sum())

    noise = LogLinearNoise(t_min=low)
    losses = {
        per_block: draw_losses(
            NoiseConfig(per_block=per_block, distribution=noise, stratified=False), "nominal", blocks, table, 200_000
        )
        for per_block in (False, True)
    }
    for drawn in losses.values():
        assert drawn.mean().item() == pytest.approx(mean, abs=4 * float(drawn.std()) / len(drawn) ** 0.5)
    saved = float(losses[False].var() - losses[True].var())
    assert saved == pytest.approx((1 - 1 / count) * spread, rel=0.05)
    assert saved > 0.3 * float(losses[False].var())  # the case is one where it matters


def test_posterior_scaling_has_less_variance_than_one_over_t():
    blocks = block_index(4, 4)
    table = table_for(blocks, seed=8)
    nominal, posterior = (
        draw_losses(NoiseConfig(stratified=False), scaling, blocks, table, 100_000).var()
        for scaling in ("nominal", "posterior")
    )
    assert posterior < 0.7 * nominal


@pytest.fixture(scope="module")
def joint() -> Tensor:
    """A law over three tokens of a vocabulary of three, (3 3 3), every outcome possible."""
    weights = torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.05
    return weights / weights.sum()


def exact_nll(joint: Tensor, x: tuple[int, ...], blocks: Tensor) -> Tensor:
    """-log p(x_i | earlier blocks, unmasked tokens of the own block) for every mask, (2^n n); 0 where unmasked."""
    n = joint.ndim
    table = torch.zeros(2**n, n, dtype=torch.float64)
    for code, mask in enumerate(all_masks(n)):
        for i in mask.nonzero().flatten().tolist():
            known = [bool(blocks[j] < blocks[i]) or (bool(blocks[j] == blocks[i]) and not mask[j]) for j in range(n)]
            fixed = joint[tuple(x[j] if known[j] else slice(None) for j in range(n))]
            both = joint[tuple(x[j] if known[j] or j == i else slice(None) for j in range(n))]
            table[code, i] = -(both.sum() / fixed.sum()).log()
    return table


@pytest.mark.parametrize("size", [1, 2, 3])
def test_an_exact_posterior_denoiser_pays_exactly_the_entropy(joint: Tensor, size: int):
    # every order of unmasking is a chain rule, so the bound is tight for every block size: -log p(x) for every x
    blocks = block_index(3, size)
    total = 0.0
    for x in itertools.product(range(3), repeat=3):
        nelbo = 3 * expected_loss(blocks, exact_nll(joint, x, blocks), "posterior")
        assert nelbo == pytest.approx(-math.log(joint[x]), rel=1e-6)
        total += float(joint[x]) * nelbo
    assert total == pytest.approx(float(-(joint * joint.log()).sum()), rel=1e-6)


def test_block_size_one_is_autoregression(joint: Tensor):
    # the chain rule left to right; at L = 1 the effective scaling gives half of it, the posterior one all
    blocks, x = block_index(3, 1), (2, 0, 1)
    chain = [joint[x[:i]].sum() for i in range(4)]
    autoregressive = [-(chain[i + 1] / chain[i]).log() for i in range(3)]
    table = exact_nll(joint, x, blocks)
    assert table[-1].tolist() == pytest.approx([float(v) for v in autoregressive])
    whole = float(sum(autoregressive)) / 3
    assert expected_loss(blocks, table, "nominal") == pytest.approx(whole)
    assert expected_loss(blocks, table, "posterior") == pytest.approx(whole, rel=1e-6)
    assert expected_loss(blocks, table, "effective") == pytest.approx(whole / 2, rel=1e-6)


def test_one_block_is_the_plain_masked_diffusion_loss():
    generator = torch.Generator().manual_seed(6)
    logits = torch.randn(8, 10, 7, generator=generator)
    tokens = torch.randint(6, (8, 10), generator=generator)
    valid = torch.ones(8, 10, dtype=torch.bool)
    blocks = block_index(10, 10).expand(8, -1)
    t = sample_mask_ratio(NoiseConfig(), blocks, 0.0, generator)
    masked = apply_mask(t, valid, generator)
    weights = block_diffusion_weights(masked, t, blocks, valid, "nominal")
    ours = block_diffusion_loss(substitution_nll(logits, tokens, masked, mask_token=6), weights, valid)
    plain = 0.0
    for b in range(8):
        for i in range(10):
            if masked[b, i]:
                law = logits[b, i, :6].double().softmax(-1)  # the mask token, last, is no outcome
                plain -= math.log(law[tokens[b, i]]) / float(t[b, 0]) / 80
    assert ours.item() == pytest.approx(plain, rel=1e-5)


def test_substitution_copies_unmasked_tokens_and_never_predicts_the_mask():
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    tokens = torch.tensor([[0, 1, 3], [3, 0, 1]])
    masked = torch.tensor([[True, False, True], [False, False, True]])
    nll = substitution_nll(logits, tokens, masked, mask_token=2)
    assert (nll[~masked] == 0).all()
    for b, i in masked.nonzero().tolist():
        others = logits[b, i, [0, 1, 3]].logsumexp(-1)
        assert nll[b, i].item() == pytest.approx((others - logits[b, i, tokens[b, i]]).item(), rel=1e-5)
    nll.sum().backward()
    assert logits.grad is not None
    assert (logits.grad[~masked] == 0).all()
    assert (logits.grad[..., 2] == 0).all()
    assert (logits.grad[masked][:, [0, 1, 3]] != 0).all()
    without = substitution_nll(logits[..., [0, 1, 3]], tokens.clamp_max(2), masked)
    torch.testing.assert_close(without, nll)


def test_substitution_of_low_precision_logits_is_computed_in_float32():
    logits = 20 * torch.randn(1, 5, 50, generator=torch.Generator().manual_seed(1)).bfloat16()
    tokens, masked = torch.arange(5)[None], torch.ones(1, 5, dtype=torch.bool)
    nll = substitution_nll(logits, tokens, masked)
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, substitution_nll(logits.float(), tokens, masked))


def test_nothing_masked_costs_nothing():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    blocks, none = block_index(3, 2).expand(2, -1), torch.zeros(2, 3, dtype=torch.bool)
    nll = substitution_nll(logits, torch.zeros(2, 3, dtype=torch.long), none, 3)
    for scaling in SCALINGS:
        weights = block_diffusion_weights(none, torch.full((2, 3), 0.5), blocks, ~none, scaling)
        assert block_diffusion_loss(nll, weights, ~none).item() == 0
    assert block_diffusion_loss(nll, torch.zeros(2, 3), none).item() == 0  # all padding: no division by zero


@pytest.mark.parametrize("scaling", SCALINGS)
def test_padding_changes_nothing(scaling: MaskScaling):
    generator = torch.Generator().manual_seed(9)
    masked = torch.rand(3, 5, generator=generator) < 0.6
    t, nll = torch.rand(3, 5, generator=generator), torch.rand(3, 5, generator=generator)
    valid, blocks = (
        torch.ones(3, 5, dtype=torch.bool),
        block_index(8, 3),
    )  # padding fills up the last block, and a new one
    bare = block_diffusion_loss(
        nll, block_diffusion_weights(masked, t, blocks[:5].expand(3, -1), valid, scaling), valid
    )

    def pad(x: Tensor, value: float) -> Tensor:
        return torch.nn.functional.pad(x, (0, 3), value=value)

    wide = pad(valid, False)
    weights = block_diffusion_weights(pad(masked, False), pad(t, 0.5), blocks.expand(3, -1), wide, scaling)
    padded = block_diffusion_loss(pad(nll, float("nan")), weights, wide)
    torch.testing.assert_close(padded, bare)


def test_unknown_scaling_is_refused():
    ones, t, blocks = torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.long)
    with pytest.raises((ValueError, TypeError), match=r"'nominal', 'effective'.* 'posterior'"):  # TypeError: beartype's
        block_diffusion_weights(ones, t, blocks, ones, "mean")  # type: ignore[arg-type]
