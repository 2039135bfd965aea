"""The language model around the transformer: what training computes is what sampling computes, and its conditions."""

import functools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from suffuse.backbone.discrete import LogLinearNoise, NoiseConfig, block_index
from suffuse.backbone.models import BlockLanguageModel, language_loss

CONDITIONINGS = ["none", "prefix", "cross"]


@functools.cache
def language_model(conditioning: str) -> BlockLanguageModel:
    """A network in which every layer and the condition matter."""
    torch.manual_seed(3)
    how = {} if conditioning == "none" else {"condition_width": 4, "conditioning": conditioning}
    model = BlockLanguageModel(vocabulary=5, width=16, depth=2, heads=2, **how)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and "embedding" not in name:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.eval().requires_grad_(False)


def conditions(conditioning: str, batch: int, seed: int = 0) -> Tensor | None:
    generator = torch.Generator().manual_seed(seed)
    return None if conditioning == "none" else torch.randn(batch, 3, 4, generator=generator)


@settings(deadline=None, max_examples=40)
@given(
    conditioning=st.sampled_from(CONDITIONINGS),
    dropped=st.booleans(),
    size=st.integers(1, 5),
    seed=st.integers(0, 999),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_training_and_cached_sampling_compute_the_same_logits(
    conditioning: str, dropped: bool, size: int, seed: int, lengths: list[int]
):
    # every sample has an offset of its own; a block comes in one call with the clean block before it, as in sampling
    generator, model = torch.Generator().manual_seed(seed), language_model(conditioning)
    batch, n = len(lengths), max(lengths)
    tokens = torch.randint(5, (batch, n), generator=generator)
    masked = torch.rand(batch, n, generator=generator) < 0.5
    blocks = block_index(n, size, torch.randint(size, (batch,), generator=generator))
    valid = torch.arange(n) < torch.tensor(lengths)[:, None]
    condition = conditions(conditioning, batch, seed)
    whole = model(tokens, masked, blocks, valid, condition, torch.full((batch,), dropped))

    context = model.begin(batch, n + size + 1, condition, dropped=dropped)
    clean = torch.zeros(batch, dtype=torch.long)
    for block in range(int(blocks.max()) + 1):
        inside = valid & (blocks == block)
        start, count = (valid & (blocks < block)).sum(1), inside.sum(1)
        at = clean[:, None] + torch.arange(int((start - clean + count).max()))
        noisy = torch.where(masked & inside, model.mask_token, tokens)
        window = noisy.gather(1, at.clamp(max=n - 1))
        logits = context.extend(window, valid=at < (start + count)[:, None], final=start - clean)
        new = (at >= start[:, None]) & (at < (start + count)[:, None])
        expected = whole[inside]
        torch.testing.assert_close(logits[new], expected, rtol=0, atol=1e-5 * float(whole.abs().max()))
        clean = start


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_a_rewound_context_begins_anew(conditioning: str):
    model, condition = language_model(conditioning), conditions(conditioning, 2)
    window = torch.tensor([[0, 5, 2], [5, 5, 1]])
    seen, none = torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, dtype=torch.long)
    fresh = model.begin(2, 8, condition)
    first = fresh.extend(window, valid=seen, final=none + 2)
    second = fresh.extend(window, valid=seen, final=none)
    assert (second - first).abs().max() > 0.01
    fresh.rewind()
    assert torch.equal(fresh.extend(window, valid=seen, final=none + 2), first)


@pytest.mark.parametrize("conditioning", ["prefix", "cross"])
def test_a_dropped_condition_has_no_say(conditioning: str):
    model = language_model(conditioning)
    tokens, masked, blocks = torch.tensor([[0, 1, 2, 3]] * 2), torch.ones(2, 4, dtype=torch.bool), block_index(4, 2)
    one, other = (model(tokens, masked, blocks, None, conditions(conditioning, 2, s), None) for s in (1, 2))
    assert (one - other).abs().amax((1, 2)).min() > 0.01
    half = torch.tensor([True, False])
    one_dropped, other_dropped = (
        model(tokens, masked, blocks, None, conditions(conditioning, 2, s), half) for s in (1, 2)
    )
    assert torch.equal(one_dropped[0], other_dropped[0])
    torch.testing.assert_close(one_dropped[1], one[1])
    assert (one_dropped[0] - one[0]).abs().max() > 0.01


def test_a_first_block_of_masks_tells_its_places():
    # there is nothing to tell them by but the distance to the start
    model = language_model("none")
    masked = torch.ones(1, 6, dtype=torch.bool)
    laws = model(torch.zeros(1, 6, dtype=torch.long), masked, block_index(6, 6))[0].softmax(-1)
    assert (torch.cdist(laws, laws) + torch.eye(6)).min() > 1e-3


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, conditioning: str):
    model, condition = language_model(conditioning), conditions(conditioning, 2)
    model.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "diffusion_pytorch_model.safetensors"}
    again = BlockLanguageModel.from_pretrained(tmp_path).requires_grad_(False)
    assert again.mask_token == 5
    tokens, masked, blocks = torch.tensor([[0, 1, 2, 3]] * 2), torch.ones(2, 4, dtype=torch.bool), block_index(4, 2)
    for dropped in (None, torch.tensor([True, False])) if condition is not None else (None,):
        asked = (tokens, masked, blocks, None, condition, dropped)
        assert torch.equal(again(*asked), model(*asked))


class Recorder(nn.Module):
    """A wrapper, as distributed training has one, that keeps the arguments of its model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: Tensor | None) -> Tensor:
        self.tokens, self.masked, self.blocks, self.valid, self.condition, self.dropped = arguments
        return self.model(*arguments)


def test_the_loss_masks_only_what_may_be_masked_and_drops_conditions():
    model, generator = Recorder(language_model("prefix")), torch.Generator().manual_seed(0)
    tokens, blocks = torch.randint(5, (2000, 6), generator=generator), block_index(6, 3).expand(2000, -1)
    valid = (torch.arange(6) < 5).expand(2000, -1)
    prompt = (torch.arange(6) < 2).expand(2000, -1)
    whole = NoiseConfig(distribution=LogLinearNoise(t_min=0.99, t_max=1.0))
    for drop in (0.0, 0.3):
        language_loss(
            model, tokens, blocks, generator, valid=valid, given=prompt, noise=whole,
            condition=conditions("prefix", 2000), drop_condition=drop,
        )  # fmt: skip
        assert not model.masked[~valid | prompt].any()
        assert model.masked[valid & ~prompt].float().mean() > 0.99
        assert float(model.dropped.float().mean()) == pytest.approx(drop, abs=0.04 if drop else 0)


def test_the_loss_is_counted_per_token_that_can_be_masked():
    # blocks of one, everything masked: the mean of -log p(x_i | x_<i) over what is neither prompt nor padding
    model, generator = language_model("none"), torch.Generator().manual_seed(2)
    tokens, blocks = torch.randint(5, (4, 7), generator=generator), block_index(7, 1).expand(4, -1)
    valid = torch.arange(7) < torch.tensor([[7], [5], [4], [6]])
    prompt = (torch.arange(7) < 2).expand(4, -1)
    logits = model(tokens, torch.ones_like(valid), blocks)
    nll = nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none")
    certain = NoiseConfig(distribution=LogLinearNoise(t_min=1 - 1e-6, t_max=1.0))
    loss = language_loss(model, tokens, blocks, generator, valid=valid, given=prompt, noise=certain, scaling="nominal")
    assert float(loss) == pytest.approx(float(nll[valid & ~prompt].mean()), rel=1e-4)


def test_the_loss_is_a_function_of_its_generator():
    model, tokens = language_model("prefix"), torch.arange(5).expand(3, -1)
    blocks, condition = block_index(5, 2).expand(3, -1), conditions("prefix", 3)
    first, same, other = (
        language_loss(model, tokens, blocks, torch.Generator().manual_seed(s), condition=condition) for s in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_every_parameter_is_trained():
    for conditioning in CONDITIONINGS:
        torch.manual_seed(0)
        how = {} if conditioning == "none" else {"condition_width": 4, "conditioning": conditioning}
        model = BlockLanguageModel(vocabulary=5, width=16, depth=2, heads=2, **how)
        tokens, generator = torch.randint(5, (32, 6)), torch.Generator().manual_seed(0)
        blocks = block_index(6, 3).expand(32, -1)
        language_loss(
            model, tokens, blocks, generator, condition=conditions(conditioning, 32), drop_condition=0.5
        ).backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters()), conditioning


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"vocabulary": 0}, "vocabulary must be at least 1, got 0"),
        ({"vocabulary": 3, "conditioning": "cross"}, "condition_width must be at least 1, got 0"),
        ({"vocabulary": 3, "condition_width": -1}, "condition_width must be at least 0, got -1"),
        ({"vocabulary": 3, "width": 10, "heads": 2}, "width"),
    ],
)
def test_bad_arguments_are_named(values, words: str):
    with pytest.raises(ValueError, match=words):
        BlockLanguageModel(**values)


def test_a_condition_must_fit_the_model():
    tokens, masked, blocks = torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), block_index(2, 1)
    with pytest.raises(ValueError, match=r"the condition has 0 channels \(0 for none\), the model takes 4"):
        language_model("prefix")(tokens, masked, blocks)
    with pytest.raises(ValueError, match=r"the condition has 4 channels \(0 for none\), the model takes 0"):
        language_model("none")(tokens, masked, blocks, None, torch.zeros(1, 1, 4))
    with pytest.raises(ValueError, match=r"the condition has 3 channels \(0 for none\), the model takes 4"):
        language_model("cross").begin(1, 4, torch.zeros(1, 1, 3))
