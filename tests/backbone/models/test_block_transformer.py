"""The block transformer: cached against uncached, who sees whom, and its parts against independent ones."""

import copy
import functools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from suffuse.backbone.discrete import block_causal_mask
from suffuse.backbone.models import BlockTransformer
from suffuse.backbone.models.block_transformer import CrossAttention, SelfAttention, rotate

WIDTH = 16


@functools.cache
def transformer(conditioning: str = "prefix", depth: int = 3) -> BlockTransformer:
    """A network in which every layer matters: residual branches of order one, not the small ones of a fresh model."""
    torch.manual_seed(depth)
    model = BlockTransformer(width=WIDTH, depth=depth, heads=2, mlp_width=32, conditioning=conditioning)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.requires_grad_(False)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    """Equal to 1e-5 of the largest entry."""
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * largest)


@st.composite
def groupings(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """For each of one to three samples a length and the number of tokens of its groups: blocks (b n), valid (b n)."""
    sizes = draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=1, max_size=3))
    longest = max(map(sum, sizes))
    rows = [[group for group, size in enumerate(row) for _ in range(size)] for row in sizes]
    blocks = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in rows])
    return blocks, torch.arange(longest) < torch.tensor([[sum(row)] for row in sizes])


def group_bounds(blocks: Tensor, valid: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """First token and number of tokens of a group in each sample, 0 tokens where it has fewer groups."""
    inside = valid & (blocks == group)
    return (valid & (blocks < group)).sum(dim=1), inside.sum(dim=1)


@settings(deadline=None, max_examples=40)
@given(grouping=groupings(), prefix=st.integers(0, 3), cross=st.booleans(), seed=st.integers(0, 999))
def test_cached_equals_uncached(grouping: tuple[Tensor, Tensor], prefix: int, cross: bool, seed: int):
    # every sample has groups of its own sizes, so one call holds windows of several widths at several places
    blocks, valid = grouping
    (batch, n), generator = blocks.shape, torch.Generator().manual_seed(seed)
    model = transformer("cross" if cross else "prefix")
    hidden = torch.randn(batch, prefix + n, WIDTH, generator=generator)
    condition = torch.randn(batch, 2, WIDTH, generator=generator) if cross else None
    place = torch.arange(prefix + n).expand(batch, -1)
    whole = model(hidden, place, block_causal_mask(blocks, valid, prefix), condition)

    cache = model.new_cache(batch, prefix + n + 4)
    if prefix:
        assert_close(model.extend(hidden[:, :prefix], place[:, :prefix], cache, condition), whole[:, :prefix])
        cache.advance(torch.full((batch,), prefix))
    for group in range(int(blocks.max()) + 1):
        first, count = group_bounds(blocks, valid, group)
        offset = torch.arange(int(count.max()))
        own, at = offset < count[:, None], (prefix + first[:, None] + offset).clamp(max=prefix + n - 1)
        window = hidden.take_along_dim(at[..., None], dim=1)
        part = model.extend(window, at, cache, condition, valid=None if bool(own.all()) else own)
        assert part.isfinite().all()
        assert_close(part[own], whole.take_along_dim(at[..., None], dim=1)[own])
        cache.advance(count)
    assert torch.equal(cache.length, prefix + valid.sum(dim=1))


@settings(deadline=None, max_examples=30)
@given(data=st.data(), seed=st.integers(0, 999))
def test_final_tokens_and_the_next_window_in_one_call_equal_two_calls(data: st.DataObject, seed: int):
    batch, generator, model = data.draw(st.integers(1, 3)), torch.Generator().manual_seed(seed), transformer()
    size = st.lists(st.integers(0, 4), min_size=batch, max_size=batch).map(torch.tensor)
    before, final, after = data.draw(size), data.draw(size), data.draw(size) + 1
    n = int((before + final + after).max())
    hidden = torch.randn(batch, n + 12, WIDTH, generator=generator)

    def call(first: Tensor, count: Tensor, cache, final: Tensor | None = None) -> Tensor:
        offset = torch.arange(int(count.max()))
        at = first[:, None] + offset
        return model.extend(
            hidden.take_along_dim(at[..., None], dim=1), at, cache, valid=offset < count[:, None], final=final
        )

    apart, together = model.new_cache(batch, n + 12), model.new_cache(batch, n + 12)
    for cache in (apart, together):
        if before.any():
            call(torch.zeros_like(before), before, cache)
        cache.advance(before)
    kept = call(before, final, apart) if final.any() else torch.zeros(batch, 0, WIDTH)
    apart.advance(final)
    window = call(before + final, after, apart)
    both = call(before, final + after, together, final)
    together.advance(final)
    for row in range(batch):
        f, a = int(final[row]), int(after[row])
        assert_close(both[row, :f], kept[row, :f])
        assert_close(both[row, f : f + a], window[row, :a])
        for cached, expected in zip(together.keys + together.values, apart.keys + apart.values, strict=True):
            kept_slots = int(before[row]) + f
            assert_close(cached[row, :, :kept_slots], expected[row, :, :kept_slots])


def test_a_window_is_overwritten_until_it_is_kept():
    model, hidden = transformer(), torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(0))
    place = torch.arange(9).expand(2, -1)
    used, fresh = model.new_cache(2, 9), model.new_cache(2, 9)
    for cache in (used, fresh):
        model.extend(hidden[:, :3], place[:, :3], cache)
        cache.advance(torch.tensor([3, 2]))
    at = used.length[:, None] + torch.arange(4)
    for _ in range(2):
        model.extend(torch.randn(2, 6, WIDTH), used.length[:, None] + torch.arange(6), used)
    window = torch.randn(2, 4, WIDTH, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.extend(window, at, used), model.extend(window, at, fresh))


def test_information_flows_through_the_cache_as_it_must():
    model, generator = transformer(), torch.Generator().manual_seed(4)
    hidden = torch.randn(1, 8, WIDTH, generator=generator)
    place = torch.arange(8)[None]

    def outputs(changed: int) -> Tensor:
        """Tokens 0-2 are cached, 3-4 are final in the window, 5-6 are not, 7 is hidden."""
        changed_hidden = hidden.clone()
        if changed >= 0:
            changed_hidden[0, changed] += 1.0
        cache = model.new_cache(1, 8)
        first = model.extend(changed_hidden[:, :3], place[:, :3], cache)
        cache.advance(torch.tensor([3]))
        valid, final = torch.tensor([[True, True, True, True, False]]), torch.tensor([2])
        window = model.extend(changed_hidden[:, 3:], place[:, 3:], cache, valid=valid, final=final)
        return torch.cat([first, window], dim=1)[0]

    seen = torch.stack([(outputs(changed) != outputs(-1)).any(dim=-1) for changed in range(8)], dim=1)
    rows = ["xxx.....", "xxx.....", "xxx.....", "xxxxx...", "xxxxx...", "xxxxxxx.", "xxxxxxx.", "xxxxxxxx"]
    expected = torch.tensor([[c == "x" for c in row] for row in rows])
    assert torch.equal(seen, expected)


def test_a_sample_with_nothing_to_see_stays_finite():
    model, cache = transformer(), transformer().new_cache(2, 8)
    window = torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[True, True, True], [False, False, False]])
    for _ in range(2):
        out = model.extend(window, cache.length[:, None] + torch.arange(3), cache, valid=valid)
        assert out.isfinite().all()
        assert all(cached.isfinite().all() for cached in cache.keys + cache.values)
        cache.advance(torch.tensor([3, 0]))


def test_selected_rows_go_on_as_before():
    model, generator = transformer(), torch.Generator().manual_seed(2)
    hidden, place = torch.randn(3, 5, WIDTH, generator=generator), torch.arange(5).expand(3, -1)
    cache = model.new_cache(3, 8)
    model.extend(hidden, place, cache)
    cache.advance(torch.tensor([5, 3, 4]))
    rows = torch.tensor([2, 0])
    window = torch.randn(3, 3, WIDTH, generator=generator)
    some = model.extend(window[rows], cache.length[rows, None] + torch.arange(3), cache.select(rows))
    assert_close(some, model.extend(window, cache.length[:, None] + torch.arange(3), cache)[rows])


def test_a_window_that_does_not_fit_is_refused():
    model = transformer()
    cache = model.new_cache(2, 4)
    cache.advance(torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="the cache holds 4 tokens, but 5 are needed"):
        model.extend(torch.zeros(2, 3, WIDTH), torch.zeros(2, 3, dtype=torch.long), cache)


def test_rotation_is_multiplication_by_a_complex_number():
    generator = torch.Generator().manual_seed(0)
    x, angle = torch.randn(2, 3, 5, 8, generator=generator), torch.randn(2, 1, 5, 4, generator=generator)
    turned = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angle), angle)
    torch.testing.assert_close(rotate(x, angle.cos(), angle.sin()), torch.cat([turned.real, turned.imag], dim=-1))


def test_only_relative_positions_matter():
    model, hidden = transformer(), torch.randn(2, 6, WIDTH, generator=torch.Generator().manual_seed(3))
    place = torch.arange(6).expand(2, -1)
    here = model(hidden, place)
    torch.testing.assert_close(model(hidden, place + 300), here, rtol=0, atol=1e-4)
    assert (model(hidden, 2 * place) - here).abs().max() > 0.01


def test_far_positions_are_told_apart_in_half_precision():
    # an angle computed in bfloat16 is off by radians there
    model, hidden = transformer(), torch.randn(2, 6, WIDTH, generator=torch.Generator().manual_seed(3))
    place = torch.arange(6).expand(2, -1) + 2000
    exact = model(hidden, place)
    half = copy.deepcopy(model).bfloat16()(hidden.bfloat16(), place)
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_self_attention_equals_torch_s_where_nothing_turns():
    ours = SelfAttention(WIDTH, 2).requires_grad_(False)
    theirs = nn.MultiheadAttention(WIDTH, 2, bias=False, batch_first=True).requires_grad_(False)
    theirs.in_proj_weight.copy_(ours.qkv.weight)
    theirs.out_proj.weight.copy_(ours.out.weight)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 7, WIDTH, generator=generator)
    mask = (torch.rand(7, 7, generator=generator) < 0.6) | torch.eye(7, dtype=torch.bool)
    still = torch.ones(3, 1, 7, 4), torch.zeros(3, 1, 7, 4)
    expected, _ = theirs(x, x, x, attn_mask=~mask, need_weights=False)
    torch.testing.assert_close(ours(x, *still, mask.expand(3, 1, 7, 7), None), expected)


def test_cross_attention_equals_torch_s():
    ours = CrossAttention(WIDTH, 2).requires_grad_(False)
    theirs = nn.MultiheadAttention(WIDTH, 2, bias=False, batch_first=True).requires_grad_(False)
    theirs.in_proj_weight.copy_(torch.cat([ours.q.weight, ours.kv.weight]))
    theirs.out_proj.weight.copy_(ours.out.weight)
    generator = torch.Generator().manual_seed(6)
    x, condition = torch.randn(3, 7, WIDTH, generator=generator), torch.randn(3, 4, WIDTH, generator=generator)
    expected, _ = theirs(x, condition, condition, need_weights=False)
    torch.testing.assert_close(ours(x, condition), expected)


def test_a_condition_reaches_only_a_network_that_crosses():
    hidden, place = torch.randn(2, 4, WIDTH), torch.arange(4).expand(2, -1)
    condition = torch.randn(2, 3, WIDTH)
    crossing = transformer("cross")
    assert not torch.allclose(crossing(hidden, place, None, condition), crossing(hidden, place))
    assert {name for name, _ in crossing.named_parameters()} > {name for name, _ in transformer().named_parameters()}


@pytest.mark.parametrize("conditioning", ["prefix", "cross"])
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, conditioning: str):
    model = transformer(conditioning)
    model.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "diffusion_pytorch_model.safetensors"}
    assert len({p.stat().st_mode for p in tmp_path.iterdir()}) == 1, "whoever may read one file may read both"
    again = BlockTransformer.from_pretrained(tmp_path).requires_grad_(False)
    names = ("width", "depth", "heads", "mlp_width", "conditioning", "rotary_base")
    assert [again.config[name] for name in names] == [WIDTH, 3, 2, 32, conditioning, 1000.0]
    hidden, place = torch.randn(2, 5, WIDTH), torch.arange(5).expand(2, -1)
    condition = torch.randn(2, 3, WIDTH) if conditioning == "cross" else None
    assert torch.equal(again(hidden, place, None, condition), model(hidden, place, None, condition))
    again.save_pretrained(tmp_path / "again")
    assert torch.equal(
        BlockTransformer.from_pretrained(tmp_path / "again")(hidden, place, None, condition),
        model(hidden, place, None, condition),
    )


def test_pickled_weights_are_neither_written_nor_read(tmp_path: Path):
    model = transformer()
    with pytest.raises(ValueError, match="safe_serialization is False, must be True"):
        model.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match="use_safetensors is False, must be True"):
        BlockTransformer.from_pretrained(tmp_path, use_safetensors=False)
    model.save_pretrained(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        BlockTransformer.from_pretrained(tmp_path)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"width \(12\) must be a multiple of twice heads \(4\)"):
        BlockTransformer(width=12, heads=4)
    with pytest.raises((ValueError, TypeError), match=r"'prefix'.*'cross'"):  # TypeError: beartype's
        BlockTransformer(conditioning="none")
