"""BAC: the scheduler against brute force, bubbling by hand, and calibration on a model."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suffuse.backbone import Calibration, accelerate, calibrate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import (
    BlockAdaptiveCache,
    DeltaCache,
    PartStatistics,
    best_updates,
    bubbling_union,
    counted_late,
    schedule_updates,
    shared_updates,
)

STEPS = 12


def score(similarity: np.ndarray, updates: tuple[int, ...]) -> float:
    """Each step is served by the last update up to it."""
    return sum(similarity[max(update for update in updates if update <= step), step] for step in range(len(similarity)))


@settings(deadline=None)
@given(steps=st.integers(1, 8), data=st.data())
def test_the_scheduler_finds_the_true_optimum(steps: int, data) -> None:
    similarity = data.draw(arrays(float, (steps, steps), elements=st.floats(-1, 1)))
    found = best_updates(similarity, steps)
    for count in range(1, steps + 1):
        value, updates = found[count]
        best = max(score(similarity, (0, *rest)) for rest in combinations(range(1, steps), count - 1))
        assert value == pytest.approx(best)
        assert score(similarity, updates) == pytest.approx(best)
        assert updates[0] == 0
        assert len(updates) == count


def test_the_scheduler_splits_where_features_jump() -> None:
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    similarity = (groups[:, None] == groups).astype(float)
    assert best_updates(similarity, 3)[3] == (8.0, (0, 3, 5))
    with pytest.raises(ShortcutError, match=r"number of updates must be in \[1, 8\], got 9"):
        best_updates(similarity, 9)


def test_bubbling_by_hand() -> None:
    updates = {"attn0": {0, 5}, "ff0": {0, 1}, "ff1": {0, 2}, "ff2": {0, 3}}
    change = {"attn0": 9.0, "ff0": 0.5, "ff1": 2.0, "ff2": 1.0}
    assert bubbling_union(updates, ["ff0", "ff1", "ff2"], change, 1) == updates | {"ff1": {0, 2, 3}}
    assert bubbling_union(updates, ["ff0", "ff1", "ff2"], change, 3) == updates | {
        "ff0": {0, 1, 2, 3},
        "ff1": {0, 2, 3},
    }
    assert bubbling_union(updates, ["ff0", "ff1", "ff2"], change, 0) == updates


def statistics(seed: int, parts: int = 3, steps: int = 8) -> dict[str, PartStatistics]:
    rng = np.random.default_rng(seed)
    return {
        f"part{number}": PartStatistics(
            flops=1.0 + number, similarity=rng.uniform(size=(steps, steps)), spread=0.0, change=float(rng.random()),
            feed_forward=bool(number % 2),
        )
        for number in range(parts)
    }  # fmt: skip


@pytest.mark.parametrize("budget", [0.3, 0.5, 0.52, 0.7, 0.9])
def test_shared_updates_are_the_best_for_all_parts_together(budget: float) -> None:
    """By brute force; a step that the budget does not reach for all is that of the first parts."""
    for seed in range(5):
        parts = statistics(seed)
        updates, fraction = shared_updates(parts, 6.0, budget)
        costs = [part.flops for part in parts.values()]
        spent = sum(cost * len(chosen) for cost, chosen in zip(costs, updates.values(), strict=True))
        assert fraction == pytest.approx(spent / 48)
        assert fraction <= budget
        common = set.intersection(*(set(chosen) for chosen in updates.values()))
        extra = [set(chosen) - common for chosen in updates.values()]
        assert len(set.union(*extra)) <= 1
        assert extra == sorted(extra, key=len, reverse=True)
        if not extra[0]:
            total = sum(part.similarity for part in parts.values())
            best = [
                max(combinations(range(1, 8), count - 1), key=lambda rest: score(total, (0, *rest)))
                for count in (len(common), len(common) - 1)
            ]
            assert common in [{0, *rest, 7} for rest in best]
        assert budget - fraction < max(costs) / 48 + 1e-9 or len(common) == 8
    assert {0, 7} <= common


def test_late_steps_that_count_for_more_get_more_updates() -> None:
    """By hand, where likeness falls with distance alone; without weight nothing changes."""
    distance = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    part = PartStatistics(flops=1.0, similarity=1 - distance / 12, spread=0.0, change=1.0, feed_forward=False)
    plain = counted_late({"part": part}, 0.0)["part"]
    np.testing.assert_allclose(plain.similarity, part.similarity)
    late = counted_late({"part": part}, 2.0)["part"]
    assert late.similarity[0, 5] == pytest.approx(1 - 5 / 12 * 0.25)
    assert np.mean(best_updates(late.similarity, 4)[4][1]) > np.mean(best_updates(part.similarity, 4)[4][1])


def test_idle_and_impossible_budgets_of_shared_updates() -> None:
    parts = statistics(0)
    assert shared_updates(parts, 6.0, 1.0) == (dict.fromkeys(parts, tuple(range(8))), 1.0)
    assert schedule_updates(parts, 6.0, 1.0) == (dict.fromkeys(parts, tuple(range(8))), 1.0)
    with pytest.raises(ShortcutError, match=r"budget 0.2 cannot be reached in 8 steps; the least is 0.25"):
        shared_updates(parts, 6.0, 0.2)


def test_parts_run_in_their_update_steps_only(make_denoiser) -> None:
    """Calls of a module are counted, and between updates it gives what it gave last."""
    denoiser = make_denoiser("DiTTransformer2DModel")
    part = denoiser.model.transformer_blocks[1].ff
    given_out, after = [], []
    part.net[2].register_forward_hook(lambda *_: given_out.append(1))
    updates = [0, 4, 5, STEPS - 1]
    shortcut = BlockAdaptiveCache(steps=STEPS, updates={"transformer_blocks.1.ff": updates})
    full = denoiser.generate(STEPS)
    given_out.clear()
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
        cheap = denoiser.generate(STEPS)
        after.append(len(given_out))
        denoiser.generate(STEPS)
    assert after == [4]
    assert len(given_out) == 8
    (row,) = session.report().sites
    assert (row.calls, row.ran) == (2 * STEPS, 8)
    by_step = (cheap - full).view(STEPS, -1).norm(dim=1)
    assert not by_step[0]
    assert all(by_step[1:4])


@pytest.mark.parametrize("name", ["DiTTransformer2DModel", "SD3Transformer2DModel", "UNet2DConditionModel"])
def test_calibrated_for_a_budget(make_denoiser, tmp_path, name: str) -> None:
    denoiser = make_denoiser(name)
    budget = 0.6 if "UNet" not in name else 0.9
    found = calibrate(
        denoiser.model,
        "block-adaptive-cache",
        lambda episode: denoiser.generate(STEPS, seed=episode),
        budget=budget,
        episodes=3,
        steps=STEPS,
    )
    assert found.fraction <= budget + 1e-9
    assert found.fraction == pytest.approx(budget, rel=0.05)
    found.save(tmp_path / "bac.json")
    assert (tmp_path / "bac.json").stat().st_size < 20_000
    shortcut = Calibration.load(tmp_path / "bac.json").make()
    full = denoiser.generate(STEPS)
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
        cheap = denoiser.generate(STEPS)
    assert session.report().fraction == pytest.approx(found.fraction, rel=1e-3)
    assert 0 < float((cheap - full).norm() / full.norm()) < 0.2
    assert torch.equal(denoiser.generate(STEPS), full)


def test_it_stands_inside_delta_cache(make_denoiser) -> None:
    """Blocks that are left out are not asked for their parts; an update missed so is made up for."""
    denoiser = make_denoiser("DiTTransformer2DModel")
    inner = BlockAdaptiveCache(steps=STEPS, updates={f"transformer_blocks.{i}.ff": [0, 4, 8] for i in range(3)})
    fractions = []
    for combination in ([DeltaCache(budget=0.7)], [inner], [inner, DeltaCache(budget=0.7)]):
        with accelerate(denoiser.model, combination, steps=STEPS) as session:
            denoiser.generate(STEPS)
        fractions.append(session.report().fraction)
    assert fractions[2] < min(fractions[:2])
    assert session.report().shortcuts == ("delta-cache", "block-adaptive-cache")


def test_refusals(make_denoiser, tmp_path) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    with pytest.raises(ShortcutError, match=r"updates of ff must be in \[0, 3\], got \[0, 4\]"):
        BlockAdaptiveCache(steps=4, updates={"ff": [0, 4]})
    shortcut = BlockAdaptiveCache(steps=4, updates={"transformer_blocks.1.ff": [0]})
    with (
        pytest.raises(ShortcutError, match="updates are meant for 4 steps, got 5"),
        accelerate(denoiser.model, shortcut, steps=5),
    ):
        denoiser.generate(5)
    (tmp_path / "broken.json").write_text('{"format": 2}')
    with pytest.raises(ShortcutError, match=r"broken\.json holds no calibration: format must be 1"):
        Calibration.load(tmp_path / "broken.json")
    with pytest.raises(ShortcutError, match="episodes must be at least 1, got 0"):
        calibrate(denoiser.model, "delta-cache", denoiser.generate, budget=0.5, episodes=0, steps=STEPS)
    with pytest.raises(ShortcutError, match="cannot be reached in 12 steps; the least is"):
        calibrate(denoiser.model, "block-adaptive-cache", lambda _: denoiser.generate(STEPS), budget=0.05, steps=STEPS)


def test_calibration_chooses_the_settings_with_the_least_error(make_denoiser) -> None:
    denoiser = make_denoiser("PixArtTransformer2DModel")

    def generate(episode: int) -> torch.Tensor:
        return denoiser.generate(STEPS, seed=episode)

    found = calibrate(denoiser.model, "delta-cache", generate, budget=0.6, episodes=2, steps=STEPS)
    for turn in (0.0, 0.6, 1.0):
        errors = []
        for episode in range(2):
            full = generate(episode)
            with accelerate(denoiser.model, DeltaCache(budget=0.6, turn=turn), steps=STEPS):
                errors.append(float((generate(episode) - full).norm() / full.norm()))
        assert found.error is not None
        if turn in (0.0, 0.6):  # among those that are tried
            assert found.error <= np.mean(errors) * (1 + 1e-6)
    assert found.fraction == pytest.approx(0.6, rel=0.05)
    assert found.make() == DeltaCache(**found.settings)
