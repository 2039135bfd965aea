"""The token canvas: distributions against exact ones, caches against plain passes, and no say for batch mates."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suffuse.backbone.discrete import ConfidenceDecoding, Decoding, DeferredCommitmentDecoding, TokenCanvas, decode
from suffuse.backbone.discrete.token_canvas import Confidence, confidence_of, draw_tokens
from suffuse.backbone.models import BlockLanguageModel

MASK = 3
DECODINGS: list[Decoding] = [
    ConfidenceDecoding(block=4, steps=2, threshold=None),
    ConfidenceDecoding(block=3, steps=3, threshold=0.6),
    DeferredCommitmentDecoding(masks=3, width=5, threshold=0.6),
    DeferredCommitmentDecoding(masks=4, width=6, threshold=0.6, delay=2, refresh=3),
    DeferredCommitmentDecoding(masks=2, width=8, threshold=None, at_least=2, cache="none"),
]


def streams(seeds: list[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def blank(rows: int, length: int) -> Tensor:
    return torch.full((rows, length), MASK)


# ------------------------------------------------------------------------------------- confidence and draws


@pytest.mark.parametrize(
    ("measure", "uniform", "skewed"),
    [("probability", 1 / 4, 0.7), ("entropy", 1 / 4, math.exp(0.7 * math.log(0.7) + 0.3 * math.log(0.3))),
     ("margin", 0.0, 0.4)],
)  # fmt: skip
def test_confidence_by_hand(measure: Confidence, uniform: float, skewed: float):
    laws = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.3, 0.0, 0.7, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert confidence_of(laws, measure).tolist() == pytest.approx([uniform, skewed, 1.0])
    assert confidence_of(torch.ones(2, 1), measure).tolist() == [1.0, 1.0]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 9999), size=st.integers(1, 6), spread=st.floats(0, 30))
def test_confidence_lies_between_0_and_1_and_orders_as_the_paper_s(seed: int, size: int, spread: float):
    laws = (spread * torch.randn(5, size, generator=torch.Generator().manual_seed(seed))).softmax(-1)
    for measure in ("probability", "entropy", "margin"):
        sure = confidence_of(laws, measure)
        assert ((sure >= 0) & (sure <= 1)).all()
    negative_entropy = torch.xlogy(laws, laws).sum(-1)
    torch.testing.assert_close(confidence_of(laws, "entropy").log(), negative_entropy, rtol=1e-4, atol=1e-5)


def test_an_unknown_measure_is_refused(make_model):
    for attempt in (
        lambda: confidence_of(torch.ones(1, 2) / 2, "hope"),
        lambda: TokenCanvas(make_model(), blank(1, 2), streams([0]), measure="hope"),
    ):
        with pytest.raises((ValueError, TypeError), match=r"'probability', 'entropy'.* 'margin'"):  # or beartype's
            attempt()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_draws_follow_the_tempered_law(temperature: float):
    # inversion maps an even grid of n numbers to each token's share of n, to within one
    logits = torch.tensor([0.3, -torch.inf, 1.2, -0.5, 0.0])
    grid = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    counts = torch.bincount(draw_tokens(logits.expand(1000, -1), grid, temperature), minlength=5)
    assert (counts - 1000 * (logits / temperature).softmax(-1)).abs().max() <= 1
    assert counts[1] == 0


def test_the_ends_of_the_unit_interval_draw_possible_tokens():
    logits = torch.tensor([-torch.inf, 0.0, 1.0, -torch.inf]).expand(2, -1)
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw_tokens(logits, ends, 1.0).tolist() == [1, 2]
    assert draw_tokens(100 * logits, ends, 1e-300).tolist() == [2, 2]
    assert draw_tokens(torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([0.99]), 0.0).tolist() == [1]


# ------------------------------------------------------------------------------------------ what is sampled


def test_one_token_at_a_time_samples_the_chain_rule(make_model):
    # 3^3 sequences with their exact probabilities; chi-square of 20,000 samples
    model = make_model()
    count, outcomes = 20_000, torch.tensor(list(itertools.product(range(3), repeat=3)))
    everything = torch.ones(27, 3, dtype=torch.bool)
    law = model(outcomes, everything, torch.arange(3)).log_softmax(-1).gather(2, outcomes[..., None]).sum((1, 2)).exp()
    canvas = TokenCanvas(model, blank(count, 3), streams(list(range(count))))
    decode(canvas, ConfidenceDecoding(block=1, steps=1))
    counts = torch.bincount(canvas.tokens @ torch.tensor([9, 3, 1]), minlength=27)
    chi = float(((counts - count * law) ** 2 / (count * law)).sum())
    assert chi < 26 + 4 * math.sqrt(2 * 26)
    assert law.max() > 3 * law.min()  # a law worth sampling


def plain_blocks(
    plain_logits, model: BlockLanguageModel, length: int, config: ConfidenceDecoding, given: dict[int, int]
) -> list[int]:
    """Greedy block decoding of one sequence without any cache: every call is a plain pass over all so far."""
    tokens = [given.get(i, MASK) for i in range(length)]
    for first in range(0, length, config.block):
        stop = min(first + config.block, length)
        for left in range(config.steps, 0, -1):
            asked = [i for i in range(first, stop) if tokens[i] == MASK]
            if asked:
                laws = plain_logits(model, tokens[:stop], [i // config.block for i in range(stop)]).softmax(-1)
                ranked = sorted(asked, key=lambda i, laws=laws: -float(laws[i].max()))
                enough = sum(config.threshold is not None and float(laws[i].max()) >= config.threshold for i in asked)
                for i in ranked[: max(enough, -(-len(asked) // left))]:
                    tokens[i] = int(laws[i].argmax())
    return tokens


@pytest.mark.parametrize("config", DECODINGS[:2])
def test_cached_block_decoding_equals_plain_passes(make_model, plain_logits, config: ConfidenceDecoding):
    # ragged lengths, and tokens that are given in the middle of a block and at its end
    model, lengths = make_model(), [11, 5, 8]
    given_tokens = [{}, {0: 2, 1: 1}, {2: 0, 5: 2, 7: 1}]
    tokens = blank(3, 11)
    for row, known in enumerate(given_tokens):
        for place, token in known.items():
            tokens[row, place] = token
    canvas = TokenCanvas(model, tokens, streams([0, 1, 2]), lengths=torch.tensor(lengths), temperature=0.0)
    decode(canvas, config)
    for row, (length, known) in enumerate(zip(lengths, given_tokens, strict=True)):
        expected = plain_blocks(plain_logits, model, length, config, known)
        assert canvas.tokens[row, :length].tolist() == expected
        assert all(expected[place] == token for place, token in known.items())
        assert (canvas.tokens[row, length:] == MASK).all()


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("conditioning", ["prefix", "cross"])
def test_batch_mates_have_no_say(make_model, decoding: Decoding, conditioning: str):
    model = make_model(condition_width=2, conditioning=conditioning)
    condition = torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = torch.tensor([9, 3, 12, 9])

    def fill(rows: list[int], pad: int = 0) -> Tensor:
        canvas = TokenCanvas(
            model, blank(len(rows), int(lengths[rows].max()) + pad), streams([5, 6, 7, 8][r] for r in rows),
            lengths=lengths[rows], condition=condition[rows], guidance=0.5, measure="margin", temperature=0.8,
        )  # fmt: skip
        decode(canvas, decoding)
        return canvas.tokens

    together = fill([0, 1, 2, 3])
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(fill([row])[0], together[row, :length])
    assert torch.equal(fill([2, 1], pad=7)[:, :12], together[[2, 1]])
    assert not torch.equal(together[0, :9], together[3, :9])  # other streams, other samples


def test_a_stream_yields_a_number_a_position(make_model):
    generators = streams([1, 2])
    canvas = TokenCanvas(make_model(), blank(2, 5), generators, lengths=torch.tensor([5, 3]))
    again = streams([1, 2])
    for row, own in enumerate([5, 3]):
        assert torch.equal(canvas.uniform[row, :own], torch.rand(own, generator=again[row], dtype=torch.float64))
        assert torch.equal(generators[row].get_state(), again[row].get_state())


# ----------------------------------------------------------------------------------------- guidance and caches


def test_guidance_moves_the_logits_away_from_the_unconditional_ones(make_model, plain_logits):
    model = make_model(condition_width=2, vocabulary=3)
    condition = torch.randn(1, 1, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start, hide = torch.zeros(1, dtype=torch.long), torch.tensor([True])
    masked, blocks = torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.long)
    tokens = torch.zeros(1, 4, dtype=torch.long)
    with_it, without = (model(tokens, masked, blocks, None, condition, d) for d in (None, hide))
    for weight in (0.0, 0.5, 3.0):
        canvas = TokenCanvas(model, blank(1, 4), streams([0]), condition=condition, guidance=weight)
        expected = ((1 + weight) * with_it - weight * without).softmax(-1).amax(-1).float()
        torch.testing.assert_close(canvas.propose(start, 4), expected)


@pytest.mark.parametrize(("guidance", "passes"), [(0.0, 1), (0.5, 2)])
def test_a_call_is_one_pass_a_branch(make_model, monkeypatch, guidance: float, passes: int):
    model, condition = make_model(condition_width=2), torch.zeros(2, 1, 2, dtype=torch.float64)
    canvas = TokenCanvas(model, blank(2, 9), streams([0, 1]), condition=condition, guidance=guidance)
    widths, extend = [], model.transformer.extend

    def counted(hidden: Tensor, *rest, **more) -> Tensor:
        widths.append(hidden.shape[1])
        return extend(hidden, *rest, **more)

    monkeypatch.setattr(model.transformer, "extend", counted)
    calls = decode(canvas, ConfidenceDecoding(block=3, steps=2, threshold=None))
    assert len(widths) == passes * calls == passes * 6
    assert widths[::passes] == [3, 3, 6, 3, 6, 3]  # a block, and the one before it in the first call


class NotedCanvas(TokenCanvas):
    """A canvas that keeps what it said."""

    def propose(self, start: Tensor, width: int) -> Tensor:
        self.sure = [*getattr(self, "sure", []), super().propose(start, width)]
        return self.sure[-1]


@pytest.mark.parametrize("delay", [0, 2])
def test_the_cache_changes_nothing_where_keys_do_not_depend_on_the_future(make_model, delay: int):
    # In a network of one layer the keys and values of a token follow from the token and its place alone. So it does not
    # matter when they are computed; in deeper ones what is final is computed without its future, if it is cached.
    decodings = [
        DeferredCommitmentDecoding(masks=3, width=5, threshold=0.5, **how)
        for how in ({"cache": "none"}, {"cache": "prefix", "delay": delay}, {"cache": "prefix", "refresh": 2})
    ]
    for depth in (1, 3):
        model, seen = make_model(depth=depth), []
        for decoding in decodings:
            canvas = NotedCanvas(model, blank(6, 12), streams([0, 1, 2, 3, 4, 5]))
            decode(canvas, decoding)
            seen.append((canvas.tokens, canvas.sure))
        for tokens, sure in seen[1:]:
            if depth == 1:
                assert torch.equal(tokens, seen[0][0])
                torch.testing.assert_close(sure, seen[0][1], rtol=1e-5, atol=0)
            else:
                assert any((a - b).abs().max() > 1e-4 for a, b in zip(sure, seen[0][1], strict=False))


def test_one_window_over_everything_is_plain_masked_diffusion(make_model, plain_logits):
    # no cache, the whole sequence in the window: each call is the bidirectional network on all tokens
    model, length = make_model(), 7
    canvas = TokenCanvas(model, blank(1, length), streams([0]), temperature=0.0)
    decode(canvas, DeferredCommitmentDecoding(masks=length, width=length, threshold=None, cache="none"))
    tokens = [MASK] * length
    for _ in range(length):
        laws = plain_logits(model, tokens, [0] * length).softmax(-1)
        best = max((i for i in range(length) if tokens[i] == MASK), key=lambda i, laws=laws: float(laws[i].max()))
        tokens[best] = int(laws[best].argmax())
    assert canvas.tokens[0].tolist() == tokens


# ----------------------------------------------------------------------------------------------- ends and errors


@pytest.mark.parametrize("decoding", DECODINGS)
def test_an_end_token_cuts_its_sequence(make_model, decoding: Decoding):
    model = make_model()
    canvas = TokenCanvas(model, blank(40, 12), streams(list(range(40))), end=1, lengths=torch.full((40,), 10))
    decode(canvas, decoding)
    assert not canvas.masked.any()
    ends = (canvas.tokens == 1).int().argmax(dim=1)
    ended = (canvas.tokens[:, :10] == 1).any(dim=1)
    assert ended.sum() > 10
    assert torch.equal(canvas.lengths[ended], ends[ended] + 1)
    assert (canvas.lengths[~ended] == 10).all()
    behind = torch.arange(12) >= canvas.lengths[:, None]
    assert (canvas.tokens[behind] == 1).all()
    assert (canvas.tokens[~behind] != MASK).all()


def test_what_lies_behind_an_end_is_not_seen(make_model):
    # the sequence cut at its end goes on as one that was that short from the start
    model, start = make_model(), torch.zeros(1, dtype=torch.long)
    cut = TokenCanvas(model, blank(1, 6), streams([0]), end=1)
    cut.propose(start, 6)
    cut.proposed = torch.full_like(cut.proposed, 1)
    cut.commit(torch.tensor([[False, False, False, True, False, False]]), all_of_them=True)
    short = TokenCanvas(model, torch.tensor([[MASK, MASK, MASK, 1]]), streams([0]))
    torch.testing.assert_close(cut.propose(start, 6)[:, :4], short.propose(start, 4))
    assert (cut.propose(start, 6)[:, 3:] == 0).all()


def test_given_tokens_are_left_as_they_are(make_model):
    tokens = torch.tensor([[0, 1, 2, 0], [2, MASK, 1, MASK]])
    canvas = TokenCanvas(make_model(), tokens, streams([0, 1]))
    assert canvas.masked.tolist() == [[False] * 4, [False, True, False, True]]
    decode(canvas, ConfidenceDecoding())
    assert torch.equal(canvas.tokens[tokens != MASK], tokens[tokens != MASK])
    assert (tokens[1, 1] == MASK) & (canvas.tokens != MASK).all()  # the caller's tensor stays as it was


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"generators": streams([0])}, "1 generators are given, must be 2, one for each sequence"),
        ({"lengths": torch.tensor([3, 5])}, r"lengths are \[3, 5\], must lie in \[0, 4\]"),
        ({"lengths": torch.tensor([-1, 4])}, r"lengths are \[-1, 4\], must lie in \[0, 4\]"),
        ({"temperature": -0.5}, "temperature is -0.5 and guidance 0.0, must not be negative"),
        ({"guidance": -1.0}, "temperature is 1.0 and guidance -1.0, must not be negative"),
        ({"guidance": 0.5}, "guidance is 0.5, but there is no condition to guide by"),
    ],
)
def test_bad_arguments_are_named(make_model, values, words: str):
    with pytest.raises(ValueError, match=words):
        TokenCanvas(make_model(), blank(2, 4), **({"generators": streams([0, 1])} | values))
