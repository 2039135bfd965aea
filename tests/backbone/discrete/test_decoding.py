"""Decoders against slow references written from their papers, on canvases whose confidence is a table.

The confidence of a position is an arbitrary function of what its sequence holds so far, rounded so that ties and exact
thresholds happen. The references know one sequence at a time and plain lists; so agreement on batches also says that
batch mates have no say.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from suffuse.backbone.discrete import Canvas, ConfidenceDecoding, DeferredCommitmentDecoding, decode
from suffuse.backbone.discrete.decoding import choose, most_confident, slide, window_of

Sure = Callable[[int, frozenset[int]], float]
"""Confidence of a position, given the positions that hold something."""


def table(seed: int) -> Sure:
    """A random table, in tenths. (Python's hash of whole numbers is the same everywhere.)"""
    return lambda place, held: (hash((seed, place, held)) >> 9) % 11 / 10


@dataclass
class TableCanvas:
    """Sequences that count what is done to them, and object to what a decoder must not do.

    A `reluctant` canvas writes only the leftmost chosen position of a sequence unless told to write all.
    """

    open: Tensor
    sure: list[Sure]
    reluctant: bool = False
    written: list[list[set[int]]] = field(init=False)
    """For every sequence, what each call came to write; calls with nothing to write are left out."""
    log: list[tuple[str, list[int]]] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.written = [[] for _ in self.sure]
        self.stop = torch.zeros(len(self.sure), dtype=torch.long)

    @property
    def masked(self) -> Tensor:
        return self.open  # a view, as a canvas may give

    def propose(self, start: Tensor, width: int) -> Tensor:
        assert (start >= self.stop).all()
        self.start, self.calls = start, self.calls + 1
        self.log.append(("propose", start.tolist()))
        for row in self.written:
            row.append(set())
        n = self.open.shape[1]
        held = [frozenset(range(n)) - set(row.nonzero()[:, 0].tolist()) for row in self.open]
        return torch.tensor(
            [
                [sure(p, have) if p < n and p not in have else 1.0 for p in range(int(first), int(first) + width)]
                for sure, have, first in zip(self.sure, held, start, strict=True)
            ]
        )

    def commit(self, chosen: Tensor, *, all_of_them: bool) -> None:
        for row, columns in enumerate(chosen):
            places = [int(self.start[row]) + int(c) for c in columns.nonzero()[:, 0]]
            for place in places if all_of_them or not self.reluctant else places[:1]:
                assert self.open[row, place], "committed twice, or outside the sequence"
                self.open[row, place] = False
                self.written[row][-1].add(place)

    def settle(self, stop: Tensor) -> None:
        assert (stop >= self.stop).all(), "what was final is not any more"
        assert not self.open[torch.arange(self.open.shape[1]) < stop[:, None]].any(), "final, but not written"
        self.stop = stop
        self.log.append(("settle", stop.tolist()))

    def forget(self) -> None:
        self.stop = torch.zeros_like(self.stop)
        self.log.append(("forget", []))

    def steps(self, row: int) -> list[set[int]]:
        assert not self.open[row].any()
        return [step for step in self.written[row] if step]


def blank(lengths: list[int], prompts: list[int], seeds: list[int], *, reluctant: bool = False) -> TableCanvas:
    """Sequences with a prompt, then masks up to their length."""
    place = torch.arange(max(lengths))
    masked = (place >= torch.tensor(prompts)[:, None]) & (place < torch.tensor(lengths)[:, None])
    return TableCanvas(masked, [table(seed) for seed in seeds], reluctant)


def pick(sure: Sure, held: set[int], candidates: list[int], threshold: float | None, least: int) -> list[int]:
    """All candidates that reach the threshold, but at least the `least` surest: in the order of their places."""
    ranked = sorted(candidates, key=lambda p: (-sure(p, frozenset(held)), p))
    enough = [p for p in ranked if threshold is not None and sure(p, frozenset(held)) >= threshold]
    return sorted(ranked[: max(len(enough), least)])


def deferred(
    sure: Sure, prompt: int, length: int, padded: int, config: DeferredCommitmentDecoding, *, reluctant: bool
) -> list[set[int]]:
    """DCD for one sequence, from the paper: the window [left, right) is a state that moves."""
    held = set(range(prompt)) | set(range(length, padded))
    left = prompt
    right = min(left + config.masks, length)
    steps = []
    while left < length:
        candidates = [p for p in range(left, right) if p not in held]
        chosen = pick(sure, held, candidates, config.threshold, config.at_least)
        steps.append(set(chosen[:1] if reluctant and config.at_least == 1 else chosen))
        held |= steps[-1]
        still = sum(p not in held for p in range(left, right))
        while left < length and left in held:
            left += 1
        right = min(right + config.masks - still, left + config.width, length)
    return steps


def in_blocks(
    sure: Sure, prompt: int, length: int, padded: int, config: ConfidenceDecoding, *, reluctant: bool
) -> list[set[int]]:
    """Block by block: all that is sure, and a share of the rest that is done with the last step."""
    held = set(range(prompt)) | set(range(length, padded))
    steps = []
    for first in range(0, padded, config.block):
        for left in range(config.steps, 0, -1):
            candidates = [p for p in range(first, min(first + config.block, padded)) if p not in held]
            if candidates:
                least = -(-len(candidates) // left)
                chosen = pick(sure, held, candidates, config.threshold, least)
                steps.append(set(chosen[:1] if reluctant and len(candidates) < left else chosen))
                held |= steps[-1]
    return steps


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], bool]:
    """Lengths, prompts, seeds of one to three sequences, and whether the canvas is reluctant."""
    rows = draw(st.integers(1, 3))
    lengths = [draw(st.integers(1, 14)) for _ in range(rows)]
    prompts = [draw(st.integers(0, length)) for length in lengths]
    return lengths, prompts, [draw(st.integers(0, 999)) for _ in range(rows)], draw(st.booleans())


thresholds = st.sampled_from([None, 0.3, 0.5, 0.8, 0.9, 1.0])


@settings(deadline=None, max_examples=120)
@given(batch=batches(), data=st.data())
def test_deferred_commitment_equals_the_paper_s_algorithm(batch, data: st.DataObject):
    lengths, prompts, seeds, reluctant = batch
    width = data.draw(st.integers(1, 16))
    masks = data.draw(st.integers(1, width))
    at_least = data.draw(st.integers(1, masks))
    config = DeferredCommitmentDecoding(
        masks=masks, width=width, at_least=at_least, threshold=data.draw(thresholds),
        cache=data.draw(st.sampled_from(["none", "prefix"])),
    )  # fmt: skip
    canvas = blank(lengths, prompts, seeds, reluctant=reluctant)
    calls = decode(canvas, config)
    longest = 0
    for row, (length, prompt, seed) in enumerate(zip(lengths, prompts, seeds, strict=True)):
        expected = deferred(table(seed), prompt, length, max(lengths), config, reluctant=reluctant)
        assert canvas.steps(row) == expected
        assert len(expected) <= length - prompt
        longest = max(longest, len(expected))
    assert calls == canvas.calls == longest
    starts = torch.tensor([where for what, where in canvas.log if what == "propose"]).view(-1, len(lengths))
    assert (starts.diff(dim=0) >= 0).all()


@settings(deadline=None, max_examples=120)
@given(batch=batches(), data=st.data())
def test_block_decoding_equals_its_reference_and_keeps_its_promise(batch, data: st.DataObject):
    lengths, prompts, seeds, reluctant = batch
    config = ConfidenceDecoding(
        block=data.draw(st.integers(1, 8)), steps=data.draw(st.integers(1, 10)), threshold=data.draw(thresholds)
    )
    canvas = blank(lengths, prompts, seeds, reluctant=reluctant)
    calls = decode(canvas, config)
    for row, (length, prompt, seed) in enumerate(zip(lengths, prompts, seeds, strict=True)):
        expected = in_blocks(table(seed), prompt, length, max(lengths), config, reluctant=reluctant)
        assert canvas.steps(row) == expected
    begun = {where[0] // config.block for what, where in canvas.log if what == "propose"}
    assert calls == canvas.calls <= config.steps * len(begun)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), length=st.integers(1, 12), threshold=thresholds, more=st.integers(0, 3))
def test_an_infinite_window_is_decoding_the_whole_sequence_by_confidence(
    seed: int, length: int, threshold: float | None, more: int
):
    whole, window = (blank([length], [0], [seed]) for _ in range(2))
    decode(whole, ConfidenceDecoding(block=length, steps=length, threshold=threshold))
    decode(window, DeferredCommitmentDecoding(masks=length + more, width=10**9, threshold=threshold))
    assert window.steps(0) == whole.steps(0)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), block=st.integers(1, 6), count=st.integers(1, 4), threshold=thresholds)
def test_a_window_that_stands_still_is_block_decoding(seed: int, block: int, count: int, threshold: float | None):
    # the static window of the DCD paper: each block is a sequence of its own behind the finished ones
    blocks = blank([block * count], [0], [seed])
    decode(blocks, ConfidenceDecoding(block=block, steps=block, threshold=threshold))
    standing: list[set[int]] = []
    for number in range(count):
        sure = table(seed)
        part = TableCanvas(
            torch.arange(block * count)[None] // block == number,
            [lambda place, held, sure=sure, n=number: sure(place, frozenset(p for p in held if p < (n + 1) * block))],
        )
        decode(part, DeferredCommitmentDecoding(masks=block, width=block, threshold=threshold))
        standing += part.steps(0)
    assert blocks.steps(0) == standing


@pytest.mark.parametrize(("length", "per_call"), [(12, 1), (12, 3), (13, 4), (7, 7)])
def test_the_fixed_schedule_of_a_window_commits_exactly_k_a_call(length: int, per_call: int):
    canvas = blank([length], [0], [5], reluctant=True)
    config = DeferredCommitmentDecoding(masks=8, width=length + 8, threshold=None, at_least=per_call)
    assert decode(canvas, config) == -(-length // per_call)
    sizes = [len(step) for step in canvas.steps(0)]
    assert sizes[:-1] == [per_call] * (len(sizes) - 1)


@pytest.mark.parametrize(
    ("block", "steps", "sizes"),
    [(8, 8, [1] * 8), (8, 4, [2] * 4), (8, 3, [3, 3, 2]), (8, 1, [8]), (3, 5, [1] * 8), (6, 4, [2, 2, 1, 1, 1, 1])],
)
def test_the_fixed_schedule_of_blocks(block: int, steps: int, sizes: list[int]):
    canvas = blank([8], [0], [3], reluctant=True)
    assert decode(canvas, ConfidenceDecoding(block=block, steps=steps, threshold=None)) == len(sizes)
    assert [len(step) for step in canvas.steps(0)] == sizes


def test_a_hurried_batch_mate_hurries_nobody_else():
    # four masks and four calls leave no choice; two masks do, and there the canvas may write less than was chosen
    canvas = TableCanvas(flags("mmmm ..mm"), [lambda place, held: 1.0] * 2, reluctant=True)
    assert decode(canvas, ConfidenceDecoding(block=4, steps=4, threshold=0.9)) == 2
    assert canvas.steps(0) == [{0, 1, 2, 3}]
    assert canvas.steps(1) == [{2}, {3}]


def test_where_deferring_differs_from_blocks():
    # position 3 is unsure until 4 is there: the last of its block must be written blindly, the window lets it wait
    def sure(place: int, held: frozenset[int]) -> float:
        return 0.1 if place == 3 and 4 not in held else 0.5

    blocks, window = (TableCanvas(torch.ones(1, 8, dtype=torch.bool), [sure]) for _ in range(2))
    decode(blocks, ConfidenceDecoding(block=4, steps=4))
    decode(window, DeferredCommitmentDecoding(masks=4, width=8))
    assert blocks.steps(0) == [{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}]
    assert window.steps(0) == [{0}, {1}, {2}, {4}, {3}, {5}, {6}, {7}]


def flags(text: str) -> Tensor:
    return torch.tensor([[c == "m" for c in row] for row in text.split()])


def test_slide_by_hand():
    masked = flags("mmmmmmmm .m.mm.mm ......mm ........")
    start, candidates = slide(masked, DeferredCommitmentDecoding(masks=3, width=5))
    assert start.tolist() == [0, 1, 6, 8]
    # a row wider than its masks allow; one stopped by its width, with known positions between; two at the end
    assert torch.equal(candidates, flags("mmm.. m.mm. mm... ....."))


@settings(deadline=None, max_examples=50)
@given(data=st.data(), length=st.integers(1, 12))
def test_the_window_never_moves_back(data: st.DataObject, length: int):
    width = data.draw(st.integers(1, length + 2))
    config = DeferredCommitmentDecoding(masks=data.draw(st.integers(1, width)), width=width)
    masked = torch.tensor([data.draw(st.lists(st.booleans(), min_size=length, max_size=length))])
    place, left, right = torch.arange(min(width, length)), 0, 0
    while masked.any():
        start, candidates = slide(masked, config)
        inside = (start[:, None] + place)[candidates]
        assert candidates.sum() == min(config.masks, masked[0, int(start) : int(start) + width].sum())
        assert int(start) >= left
        assert set(masked[0, :right].nonzero()[:, 0].tolist()) <= set(inside.tolist())  # none of it is left out again
        left, right = int(start), int(inside.max()) + 1
        done = data.draw(st.lists(st.sampled_from(inside.tolist()), min_size=1, unique=True))
        masked[0, done] = False


def events(canvas: TableCanvas) -> list[tuple[str, int | None]]:
    return [(what, where[0] if where else None) for what, where in canvas.log]


def left_to_right(length: int) -> TableCanvas:
    """One sequence whose leftmost masked position is always the surest."""
    return TableCanvas(torch.ones(1, length, dtype=torch.bool), [lambda place, held: 1 / (2 + place)])


def test_a_prefix_cache_holds_what_is_left_of_the_window():
    canvas = left_to_right(4)
    decode(canvas, DeferredCommitmentDecoding(masks=2, width=2))
    expected = [("settle", i) if j == 0 else ("propose", i) for i in range(4) for j in range(2)]
    assert events(canvas) == [*expected, ("settle", 4)]


def test_a_delayed_cache_leaves_the_last_positions_to_be_computed_again():
    canvas = left_to_right(5)
    decode(canvas, DeferredCommitmentDecoding(masks=2, width=2, delay=2))
    assert [where for what, where in events(canvas) if what == "settle"] == [0, 0, 0, 1, 2, 5]


def test_without_a_cache_nothing_is_final_before_the_end():
    canvas = left_to_right(4)
    decode(canvas, DeferredCommitmentDecoding(masks=2, width=2, cache="none"))
    assert events(canvas) == [*(("propose", i) for i in range(4)), ("settle", 4)]


@pytest.mark.parametrize(("refresh", "before"), [(0, []), (1, [1, 2, 3, 4, 5, 6]), (3, [3, 6]), (7, [])])
def test_a_cache_is_refreshed_after_that_many_calls(refresh: int, before: list[int]):
    canvas = left_to_right(7)
    decode(canvas, DeferredCommitmentDecoding(masks=4, width=4, refresh=refresh))
    seen = events(canvas)
    again = [i for i, (what, _) in enumerate(seen) if what == "forget"]
    assert [sum(what == "propose" for what, _ in seen[:i]) for i in again] == before
    for i in again:
        assert seen[i + 1][0] == "settle"  # what was final is final still, and computed anew
        assert seen[i + 1][1] == seen[i + 2][1]


def test_blocks_are_settled_as_they_end():
    canvas = left_to_right(5)
    decode(canvas, ConfidenceDecoding(block=2, steps=1))
    expected = [("propose", 0), ("settle", 2), ("propose", 2), ("settle", 4), ("propose", 4), ("settle", 5)]
    assert events(canvas) == expected


def test_a_block_with_nothing_to_write_costs_no_call():
    canvas = blank([9], [6], [0])
    assert decode(canvas, ConfidenceDecoding(block=3, steps=1)) == 1
    assert [where for what, where in events(canvas) if what == "propose"] == [6]
    done = blank([3], [3], [0])
    assert decode(done, ConfidenceDecoding()) == decode(done, DeferredCommitmentDecoding()) == 0


def test_most_confident_and_choose_by_hand():
    sure = torch.tensor([[0.5, 0.9, 0.5, 0.95], [0.0, 0.0, 1.0, 0.0]])
    asked = torch.tensor([[True, True, True, False], [True, True, False, True]])
    two = most_confident(sure, asked, torch.tensor([2, 5]))
    assert torch.equal(two, torch.tensor([[True, True, False, False], [True, True, False, True]]))
    none = torch.tensor([0, 1])
    assert torch.equal(choose(sure, asked, threshold=None, at_least=none)[0], torch.zeros(4, dtype=torch.bool))
    assert choose(sure, asked, threshold=0.5, at_least=none).sum(dim=1).tolist() == [3, 1]


def test_a_window_beyond_the_end_holds_nothing():
    values = torch.ones(3, 4, dtype=torch.bool)
    inside = window_of(values, torch.tensor([0, 2, 4]), 3)
    assert inside.sum(dim=1).tolist() == [3, 2, 0]


def test_any_object_with_the_methods_is_a_canvas():
    assert isinstance(blank([1], [0], [0]), Canvas)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"block": 0}, "block and steps must be at least 1, got 0 and 8"),
        ({"steps": 0}, "block and steps must be at least 1, got 8 and 0"),
        ({"threshold": 0.0}, r"threshold must be in \(0, 1\], got 0.0"),
        ({"threshold": 1.5}, r"threshold must be in \(0, 1\], got 1.5"),
    ],
)
def test_block_decoding_refuses(values, words: str):
    with pytest.raises(ValueError, match=words):
        ConfidenceDecoding(**values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"masks": 0}, r"masks must be in \[1, width = 16\], got 0"),
        ({"masks": 17}, r"masks must be in \[1, width = 16\], got 17"),
        ({"at_least": 0}, r"at_least must be in \[1, masks = 8\], got 0"),
        ({"at_least": 9}, r"at_least must be in \[1, masks = 8\], got 9"),
        ({"threshold": -0.1}, r"threshold must be in \(0, 1\], got -0.1"),
        ({"cache": "dual"}, "'none'.*'prefix'"),
        ({"delay": -1}, "delay and refresh must not be negative, got -1 and 0"),
        ({"refresh": -2}, "delay and refresh must not be negative, got 0 and -2"),
        ({"cache": "none", "delay": 1}, "delay and refresh need cache 'prefix', got 1 and 0 with 'none'"),
        ({"cache": "none", "refresh": 4}, "delay and refresh need cache 'prefix', got 0 and 4 with 'none'"),
    ],
)
def test_deferred_commitment_refuses(values, words: str):
    with pytest.raises((ValueError, TypeError), match=words):  # TypeError: beartype's, for what is not in the Literal
        DeferredCommitmentDecoding(**values)
