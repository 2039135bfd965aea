"""Block diffusion through a real network: its loss against enumeration, its limits against plain networks, and DCD."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from suffuse.backbone.discrete import (
    ConfidenceDecoding,
    Decoding,
    DeferredCommitmentDecoding,
    LogLinearNoise,
    NoiseConfig,
    TokenCanvas,
    block_diffusion_loss,
    block_diffusion_weights,
    block_index,
    decode,
    substitution_nll,
)
from suffuse.backbone.models import BlockLanguageModel, language_loss

LAYOUTS = [(4, 1, 0), (4, 2, 0), (4, 3, 1), (4, 4, 0), (3, 2, 1)]
"""Length, block size and offset."""


def all_masks(n: int) -> Tensor:
    return torch.tensor(list(itertools.product([False, True], repeat=n)))


def plain_bound(plain_logits, model: BlockLanguageModel, tokens: list[int], blocks: list[int]) -> float:
    """NELBO in nats a token, by loops: for every mask of every block one plain pass that ends with the block."""
    total = 0.0
    for block in range(blocks[-1] + 1):
        own = [i for i, b in enumerate(blocks) if b == block]
        for k in range(1, len(own) + 1):
            for masked in itertools.combinations(own, k):
                noisy = [model.mask_token if i in masked else x for i, x in enumerate(tokens)][: own[-1] + 1]
                law = plain_logits(model, noisy, blocks[: own[-1] + 1]).log_softmax(-1)
                total -= sum(float(law[i, tokens[i]]) for i in masked) / (k * math.comb(len(own), k))
    return total / len(tokens)


@pytest.mark.parametrize(("length", "size", "offset"), LAYOUTS)
def test_expected_loss_equals_enumeration(make_model, plain_logits, length: int, size: int, offset: int):
    # E over masks and over one t for every block: Gauss-Legendre nodes are exact, as the chance of a mask over t is a
    # polynomial of a degree below the block's length
    model, tokens = make_model(), [2, 0, 1, 1][:length]
    blocks = block_index(length, size, offset)
    bound = plain_bound(plain_logits, model, tokens, blocks.tolist())

    masks, valid = all_masks(length), torch.ones(1, length, dtype=torch.bool)
    row, rows = torch.tensor([tokens]), blocks.expand(len(masks), -1)
    nll = substitution_nll(model(row.expand(len(masks), -1), masks, rows), row.expand(len(masks), -1), masks)
    x, node = np.polynomial.legendre.leggauss(4)
    for scaling in ("nominal", "posterior"):
        expected = 0.0
        for pick in itertools.product(range(4), repeat=int(blocks.max()) + 1):
            t = torch.from_numpy((x[list(pick)] + 1) / 2)[blocks].expand(len(masks), -1)
            chance = torch.where(masks, t, 1 - t).prod(-1) * np.prod(node[list(pick)] / 2)
            weights = block_diffusion_weights(masks, t, rows, torch.ones_like(masks), scaling)
            losses = [block_diffusion_loss(a[None], w[None], valid) for a, w in zip(nll, weights, strict=True)]
            expected += float((chance * torch.stack(losses)).sum())
        assert expected == pytest.approx(bound, rel=1e-6)


@pytest.mark.parametrize(("length", "size", "offset"), LAYOUTS[1:4])
def test_sampled_loss_is_unbiased(make_model, plain_logits, length: int, size: int, offset: int):
    model, tokens = make_model(), [2, 0, 1, 1][:length]
    blocks = block_index(length, size, offset)
    bound = plain_bound(plain_logits, model, tokens, blocks.tolist())
    generator = torch.Generator().manual_seed(0)
    noise = NoiseConfig(distribution=LogLinearNoise(t_min=0.0), stratified=False)
    row = torch.tensor([tokens]).expand(500, -1)
    draws = torch.stack(
        [language_loss(model, row, blocks.expand(500, -1), generator, noise=noise).double() for _ in range(24)]
    )
    error = 4 * float(draws.std()) / len(draws) ** 0.5
    assert error < 0.06 * bound
    assert float(draws.mean()) == pytest.approx(bound, abs=error)


def test_one_block_is_plain_masked_diffusion(make_model, plain_logits):
    # the same network, bidirectional over the noisy tokens alone
    model, tokens = make_model(), [2, 0, 1, 1, 0]
    masks = all_masks(5)
    ours = model(torch.tensor([tokens]).expand(32, -1), masks, block_index(5, 5))
    for mask, logits in zip(masks.tolist(), ours, strict=True):
        noisy = [model.mask_token if m else x for m, x in zip(mask, tokens, strict=True)]
        torch.testing.assert_close(logits, plain_logits(model, noisy, [0] * 5))


def test_blocks_of_one_are_autoregression(make_model, plain_logits):
    # the chain rule, with -log p(x_i | x_<i) from a causal pass that ends with a mask; and p sums to one
    model, total = make_model(), 0.0
    everything = torch.ones(1, 3, dtype=torch.bool)
    for x in itertools.product(range(3), repeat=3):
        tokens = torch.tensor([x])
        nll = substitution_nll(model(tokens, everything, block_index(3, 1)), tokens, everything)[0]
        for i in range(3):
            causal = plain_logits(model, [*x[:i], model.mask_token], range(i + 1))[-1].log_softmax(-1)
            assert float(nll[i]) == pytest.approx(-float(causal[x[i]]), rel=1e-6)
        total += math.exp(-float(nll.sum()))
    assert total == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("size", "offset"), [(1, 0), (2, 1), (3, 0), (6, 0)])
def test_a_changed_token_changes_exactly_the_logits_that_may_know_it(make_model, size: int, offset: int):
    # position i knows the earlier blocks, and in its own block what is not masked
    model, tokens = make_model(), torch.tensor([[2, 0, 1, 1, 0, 2]])
    masked = torch.tensor([[True, False, True, True, False, True]])
    blocks = block_index(6, size, offset)
    before = model(tokens, masked, blocks)
    for j in range(6):
        other = tokens.clone()
        other[0, j] = (other[0, j] + 1) % 3
        changed = (model(other, masked, blocks) != before).any(-1)[0]
        knows = (blocks > blocks[j]) | ((blocks == blocks[j]) & ~masked[0, j])
        assert torch.equal(changed, knows)


GAPS = 4
LENGTH = 3 * GAPS + 1
BIT_ENTROPY = math.log(2)


def linked_bits(count: int, generator: torch.Generator) -> Tensor:
    """Sequences 'bit c c bit c c ... bit': both tokens of a gap name the bits on its two sides, in one of two synonyms.

    Tokens 0 and 1 are the bits; 2 + 4 a + 2 b + s says that the bits are a and b, with synonym s. Everything but the
    bits and synonyms follows, so a sequence has GAPS + 1 + 2 GAPS bits of entropy.
    """
    bits = torch.randint(2, (count, GAPS + 1), generator=generator)
    synonym = torch.randint(2, (count, GAPS, 2), generator=generator)
    gap = (2 + 4 * bits[:, :-1] + 2 * bits[:, 1:])[..., None] + synonym
    return torch.cat([torch.cat([bits[:, :-1, None], gap], dim=2).flatten(1), bits[:, -1:]], dim=1)


def broken_gaps(tokens: Tensor) -> float:
    """Share of the gaps whose two tokens do not both name the bits at its sides."""
    bits = tokens[:, ::3]
    said = tokens[:, :-1].view(-1, GAPS, 3)[..., 1:] - 2
    return float((said // 2 != (2 * bits[:, :-1] + bits[:, 1:])[..., None]).any(-1).float().mean())


@pytest.fixture(scope="module")
def trained() -> BlockLanguageModel:
    """A model of `linked_bits`, trained on blocks of several sizes and offsets."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = BlockLanguageModel(vocabulary=10, width=32, depth=2, heads=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=400)
    for _ in range(400):
        size = (1, 4, 6, 12)[int(torch.randint(4, (1,), generator=generator))]
        blocks = block_index(LENGTH, size, torch.randint(size, (64,), generator=generator))
        optimizer.zero_grad()
        language_loss(model, linked_bits(64, generator), blocks, generator).backward()
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def sample(model: BlockLanguageModel, decoding: Decoding) -> tuple[int, float]:
    """Denoiser calls, and the share of broken gaps in 400 sequences."""
    generators = [torch.Generator().manual_seed(seed) for seed in range(400)]
    canvas = TokenCanvas(model, torch.full((400, LENGTH), model.mask_token), generators)
    return decode(canvas, decoding), broken_gaps(canvas.tokens)


@pytest.mark.parametrize("size", [1, 3, 6])
def test_a_trained_model_pays_the_entropy_whatever_the_block_size(trained: BlockLanguageModel, size: int):
    # any order of unmasking is a chain rule, so the bound of a perfect model is the entropy of the source
    generator = torch.Generator().manual_seed(1)
    tokens = linked_bits(2000, generator)
    noise = NoiseConfig(distribution=LogLinearNoise(t_min=0.0))
    loss = language_loss(trained, tokens, block_index(LENGTH, size).expand(2000, -1), generator, noise=noise)
    entropy = (3 * GAPS + 1) * BIT_ENTROPY / LENGTH
    assert 0.98 * entropy < float(loss) < 1.08 * entropy  # below it by the draw of masks only


@pytest.mark.parametrize("cache", ["prefix", "none"])
def test_deferred_commitment_does_not_guess_at_block_boundaries(trained: BlockLanguageModel, cache):
    # A block of six ends with a gap whose right bit lies in the next block. Its two tokens, committed together in the
    # block's last call, name two different bits half of the time: every second gap ends a block, so a quarter is
    # broken. The sliding window has as many calls, but lets the gap wait until the bit is there.
    calls, broken = sample(trained, ConfidenceDecoding(block=6, steps=3, threshold=None))
    window = DeferredCommitmentDecoding(masks=6, width=12, threshold=None, at_least=2, cache=cache)
    calls_deferred, broken_deferred = sample(trained, window)
    assert calls == calls_deferred == 7
    assert 0.2 < broken < 0.35
    assert broken_deferred < 0.1


def test_deferred_commitment_needs_fewer_calls_for_the_same_quality(trained: BlockLanguageModel):
    calls, broken = sample(trained, ConfidenceDecoding(block=6, steps=6, threshold=0.45))
    window = DeferredCommitmentDecoding(masks=6, width=12, threshold=0.45)
    calls_deferred, broken_deferred = sample(trained, window)
    assert calls_deferred < calls
    assert max(broken, broken_deferred) < 0.1
