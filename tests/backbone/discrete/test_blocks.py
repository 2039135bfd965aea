"""Blocks and masks against hand-written examples, a double loop over the rules, and what really flows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from suffuse.backbone.discrete import block_causal_mask, block_index, training_mask


def test_blocks_of_an_aligned_and_of_a_shifted_grid():
    assert block_index(7, 3).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert block_index(7, 3, 2).tolist() == [0, 1, 1, 1, 2, 2, 2]
    assert block_index(5, 3, torch.tensor([0, 1, 2])).tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 2]]
    assert block_index(3, 1).tolist() == [0, 1, 2]
    assert block_index(3, 100).tolist() == [0, 0, 0]
    assert block_index(0, 4).tolist() == []


@pytest.mark.parametrize(
    ("length", "block_size", "offset", "named"),
    [(-1, 2, 0, "length is -1"), (3, 0, 0, "block_size is 0"), (3, 2, 2, "offset is 2"), (3, 2, -1, "offset is -1")],
)
def test_bad_partitions_name_the_value(length: int, block_size: int, offset: int, named: str):
    with pytest.raises(ValueError, match=named):
        block_index(length, block_size, offset)


def test_training_mask_written_by_hand():
    # three tokens in blocks {0, 1}, {2}; columns: prefix | noisy 0 1 2 | clean 0 1 2
    expected = [
        [1, 0, 0, 0, 0, 0, 0],  # prefix
        [1, 1, 1, 0, 0, 0, 0],  # noisy 0
        [1, 1, 1, 0, 0, 0, 0],  # noisy 1
        [1, 0, 0, 1, 1, 1, 0],  # noisy 2
        [1, 0, 0, 0, 1, 1, 0],  # clean 0
        [1, 0, 0, 0, 1, 1, 0],  # clean 1
        [1, 0, 0, 0, 1, 1, 1],  # clean 2
    ]
    mask = training_mask(block_index(3, 2), torch.ones(1, 3, dtype=torch.bool), prefix=1)
    assert mask.dtype == torch.bool
    assert mask.shape == (1, 1, 7, 7)
    assert mask[0, 0].int().tolist() == expected


def test_padding_is_unseen_and_sees_itself():
    mask = training_mask(block_index(3, 2), torch.tensor([[True, True, False]]), prefix=1)[0, 0]
    for padded in (3, 6):
        assert mask[padded].nonzero().flatten().tolist() == [padded]
        assert mask[:, padded].nonzero().flatten().tolist() == [padded]


def test_block_size_one_is_autoregression_and_one_block_is_plain_masked_diffusion():
    valid = torch.ones(1, 4, dtype=torch.bool)
    ones = torch.ones(4, 4, dtype=torch.bool)
    one_each = training_mask(block_index(4, 1), valid)[0, 0]
    assert torch.equal(one_each[:4, 4:], ones.tril(-1))
    assert torch.equal(one_each[:4, :4], torch.eye(4, dtype=torch.bool))
    assert torch.equal(one_each[4:, 4:], ones.tril())
    whole = training_mask(block_index(4, 4), valid)[0, 0]
    assert torch.equal(whole[:4, :4], ones)
    assert not whole[:4, 4:].any()


def test_negative_prefix_is_refused():
    valid = torch.ones(1, 2, dtype=torch.bool)
    for build in (training_mask, block_causal_mask):
        with pytest.raises(ValueError, match="prefix is -1"):
            build(block_index(2, 1), valid, -1)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Blocks (b n) with an offset a sample, valid (b n) of any pattern, and a prefix."""
    batch, length, size = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 5))
    offset = torch.tensor(draw(st.lists(st.integers(0, size - 1), min_size=batch, max_size=batch)))
    flags = draw(st.lists(st.booleans(), min_size=batch * length, max_size=batch * length))
    return block_index(length, size, offset), torch.tensor(flags).view(batch, length), draw(st.integers(0, 3))


@settings(deadline=None, max_examples=60)
@given(layout=layouts())
def test_training_mask_equals_the_rules_one_pair_at_a_time(layout: tuple[Tensor, Tensor, int]):
    blocks, valid, prefix = layout
    batch, n = blocks.shape

    def part(s: int) -> tuple[str, int]:
        if s < prefix:
            return "prefix", s
        return ("noisy", s - prefix) if s < prefix + n else ("clean", s - prefix - n)

    def may(sample: int, query: int, key: int) -> bool:
        (of_query, i), (of_key, j) = part(query), part(key)
        if query == key:
            return True
        if of_query != "prefix" and not valid[sample, i]:
            return False
        if of_key == "prefix":
            return True
        if of_query == "prefix" or not valid[sample, j]:
            return False
        own, other = int(blocks[sample, i]), int(blocks[sample, j])
        if of_query == "noisy":
            return own == other if of_key == "noisy" else other < own
        return of_key == "clean" and other <= own

    size = prefix + 2 * n
    expected = [[[[may(s, q, k) for k in range(size)] for q in range(size)]] for s in range(batch)]
    assert torch.equal(training_mask(blocks, valid, prefix), torch.tensor(expected))


@settings(deadline=None, max_examples=30)
@given(layout=layouts())
def test_decoding_mask_is_the_clean_half_of_the_training_mask(layout: tuple[Tensor, Tensor, int]):
    blocks, valid, prefix = layout
    n = blocks.shape[1]
    kept = torch.tensor([*range(prefix), *range(prefix + n, prefix + 2 * n)])
    clean = training_mask(blocks, valid, prefix)[:, :, kept][..., kept]
    assert torch.equal(block_causal_mask(blocks, valid, prefix), clean)


def attend_three_times(x: Tensor, mask: Tensor) -> Tensor:
    """A fixed three-layer attention network, (b s d) -> (b s d) in float64; no other mixing among tokens."""
    d = x.shape[-1]
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):
        q, k, v = (x @ torch.randn(d, d, generator=generator, dtype=x.dtype) / d**0.5 for _ in range(3))
        mixed = scaled_dot_product_attention(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), attn_mask=mask)
        x = torch.tanh(x + mixed.squeeze(1))
    return x


@settings(deadline=None, max_examples=40)
@given(layout=layouts(), seed=st.integers(0, 2**16), data=st.data())
def test_a_changed_token_changes_exactly_the_outputs_that_may_see_it(
    layout: tuple[Tensor, Tensor, int], seed: int, data: st.DataObject
):
    # three layers: information must not reach further by passing through a third token
    blocks, valid, prefix = layout
    mask = training_mask(blocks, valid, prefix)
    batch, size = mask.shape[0], mask.shape[-1]
    x = torch.randn(batch, size, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    token = data.draw(st.integers(0, size - 1))
    changed = x.clone()
    changed[:, token] += 1.0
    before, after = attend_three_times(x, mask), attend_three_times(changed, mask)
    assert before.isfinite().all()
    assert torch.equal((before != after).any(-1), mask[:, 0, :, token])


@settings(deadline=None, max_examples=30)
@given(layout=layouts(), seed=st.integers(0, 2**16))
def test_one_training_pass_equals_one_pass_a_block(layout: tuple[Tensor, Tensor, int], seed: int):
    # what training computes for noisy block i is what decoding computes for it behind the clean blocks < i
    blocks, valid, prefix = layout
    batch, n = blocks.shape
    generator = torch.Generator().manual_seed(seed)
    lead, noisy, clean = (torch.randn(batch, m, 8, generator=generator, dtype=torch.float64) for m in (prefix, n, n))
    together = attend_three_times(torch.cat([lead, noisy, clean], 1), training_mask(blocks, valid, prefix))
    for block in range(int(blocks.max()) + 1):
        inside = blocks == block
        mixed = torch.where(inside.unsqueeze(-1), noisy, clean)
        alone = attend_three_times(torch.cat([lead, mixed], 1), block_causal_mask(blocks, valid, prefix))
        torch.testing.assert_close(alone[:, prefix:][inside], together[:, prefix : prefix + n][inside])
