"""Windows behind a cache against the transformer of the backbone, which works them out in another way."""

import numpy as np
import pytest
import torch

from suffuse.backbone.models.block_transformer import BlockTransformer
from suffuse.trajectory.model.block_kernels import exponential, gated
from suffuse.trajectory.model.cached_blocks import SLOTS, TOKENS, CachedBlocks


@pytest.fixture(scope="module")
def transformer() -> BlockTransformer:
    torch.manual_seed(0)
    made = BlockTransformer(width=48, depth=2, heads=3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


@torch.no_grad()
def test_windows_of_any_width_are_those_of_the_backbone(transformer):
    """Also where part of a window is hidden, and where its beginning does not see the rest."""
    generator = np.random.default_rng(0)
    blocks = CachedBlocks(transformer, torch.float32)
    theirs, mine = transformer.new_cache(7, 40), blocks.new_cache(7, 40)
    everyone, used = np.arange(7), 0
    for width, ragged in ((3, False), (8, False), (1, False), (5, True), (9, False)):
        hidden = torch.randn(7, width, 48)
        seen = generator.integers(1, width + 1, 7) if ragged else np.full(7, width)
        final = np.minimum(generator.integers(0, width, 7), seen) if ragged else np.zeros(7, np.int64)
        wanted = transformer.extend(
            hidden, torch.arange(width).expand(7, -1) + used, theirs,
            valid=torch.arange(width) < torch.from_numpy(seen)[:, None] if ragged else None,
            final=torch.from_numpy(final) if ragged else None,
        )  # fmt: skip
        found = blocks.extend(hidden.numpy(), mine, everyone, np.full(7, used), seen=seen, final=final)
        np.testing.assert_allclose(found, wanted.numpy(), atol=2e-5)
        if not ragged:  # what is hidden is not for keeping
            theirs.advance(torch.full((7,), width))
            used += width


def test_trips_with_different_amounts_in_the_cache_do_not_mix(transformer):
    """To the last bit, whoever else is asked for, in either type of the dense layers."""
    generator = np.random.default_rng(1)
    first, second = generator.standard_normal((2, 90, 6, 48), dtype=np.float32)
    for dtype in (torch.float32, torch.bfloat16):
        blocks = CachedBlocks(transformer, dtype)
        cache = blocks.new_cache(90, 12)
        everyone = np.arange(90)
        blocks.extend(first, cache, everyone, np.zeros(90, np.int64))
        start = generator.integers(0, 7, 90)
        whole = blocks.extend(second, cache, everyone, start)
        for rows in (np.array([4]), np.array([80, 3, 11]), np.flatnonzero(start == 2)):
            np.testing.assert_array_equal(blocks.extend(second[rows], cache, rows, start[rows]), whole[rows])


@torch.no_grad()
def test_dense_layers_in_bfloat16_lose_what_bfloat16_does(transformer):
    hidden = torch.randn(TOKENS // 4, 4, 48)
    exact = transformer.extend(
        hidden, torch.arange(4).expand(len(hidden), -1), transformer.new_cache(len(hidden), 4)
    ).numpy()
    blocks = CachedBlocks(transformer, torch.bfloat16)
    rows = np.arange(len(hidden))
    found = blocks.extend(hidden.numpy(), blocks.new_cache(len(hidden), 4), rows, np.zeros_like(rows))
    error = np.abs(found - exact)
    assert 1e-4 < error.mean() < 0.02
    assert error.max() < 0.2


def test_gate_in_either_type_is_that_of_torch():
    wide = torch.randn(20, 64) * 6
    halves = wide.chunk(2, dim=1)
    out = np.empty((20, 32), np.float32)
    gated(wide.numpy(), out)
    np.testing.assert_allclose(out, (torch.nn.functional.silu(halves[0]) * halves[1]).numpy(), atol=2e-4, rtol=1e-5)
    narrow = wide.bfloat16()
    gate, up = (part.float() for part in narrow.chunk(2, dim=1))
    bits = np.empty((20, 32), np.uint16)
    gated(narrow.view(torch.uint16).numpy(), bits)
    wanted = torch.nn.functional.silu(gate) * up
    found = torch.from_numpy(bits).view(torch.bfloat16).float()
    assert ((found - wanted).abs() <= 2**-8 * wanted.abs() + 1e-6).all()  # half a step of eight binary digits
    same = (found == wanted.bfloat16().float()).float().mean()
    assert same > 0.98  # the rest stand between two


def test_exponential_is_right_to_four_millionths_and_bounded():
    x = np.linspace(-86, 86, 20_001, dtype=np.float32)
    found = np.array([exponential(value) for value in x])
    assert np.abs(found / np.exp(x.astype(np.float64)) - 1).max() < 4e-6
    assert 0 < exponential(np.float32(-1e30)) < 1e-37
    assert np.isfinite(exponential(np.float32(1e30)))


def test_a_cache_grows_with_what_it_keeps_up_to_its_capacity(transformer):
    blocks = CachedBlocks(transformer, torch.float32)
    everyone, hidden = np.arange(2), np.random.default_rng(2).standard_normal((2, 20, 48), dtype=np.float32)
    small, large = blocks.new_cache(2, SLOTS + 21), blocks.new_cache(2, SLOTS + 21)
    large.make_room(SLOTS + 21)
    for first in range(0, SLOTS + 1, 20):
        start = np.full(2, first)
        np.testing.assert_array_equal(
            blocks.extend(hidden, small, everyone, start), blocks.extend(hidden, large, everyone, start)
        )
    assert small.keys[0].shape[1] == SLOTS + 21
    with pytest.raises(ValueError, match=f"the cache holds {SLOTS + 21} tokens, but {SLOTS + 22} are needed"):
        blocks.extend(hidden, small, everyone, np.full(2, SLOTS + 2))
