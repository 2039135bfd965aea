"""The comparison on tiny models: what each row says is checked against a count of one's own."""

import json
import sys
from pathlib import Path

import pytest
import torch

from suffuse.backbone.shortcuts import ForecastCache
from suffuse.backbone_cli.study import benchmark as comparing
from suffuse.backbone_cli.study import finer, peers
from suffuse.backbone_cli.study import scene as scenes
from suffuse.backbone_cli.study.benchmark import benchmark
from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.flow import sample, start
from suffuse.backbone_cli.study.measures import psnr
from suffuse.backbone_cli.study.methods import CalibratedShortcut, FewerSteps, Method, OwnShortcut
from suffuse.backbone_cli.study.peers import CacheDit, DiffusersHook, first_block_cache, mag_cache, taylor_seer
from suffuse.backbone_cli.study.progress import Progress
from suffuse.backbone_cli.study.rows import FLOOR, Row, table
from suffuse.backbone_cli.study.scene import STEPS, Scene, TooMuchWorkError

TRUTH = 40


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples to tune on, and a coarser truth."""
    monkeypatch.setattr(comparing, "TUNING_SAMPLES", 2)
    monkeypatch.setattr(scenes, "TRUTH_STEPS", TRUTH)
    monkeypatch.setattr(peers, "THRESHOLDS", (0.01, 0.5))
    monkeypatch.setattr(peers, "MAGNITUDES", ((0.5, 4, 0.1),))
    monkeypatch.setattr(peers, "INTERVALS", (4,))


def test_rows_of_a_transformer(tiny, judge) -> None:
    model = tiny("dit")
    methods = [
        FewerSteps(),
        OwnShortcut("forecast", lambda budget: ForecastCache(budget=budget)),
        CalibratedShortcut("calibrated", "forecast-cache"),
        DiffusersHook("first block", first_block_cache),
        DiffusersHook("taylor", taylor_seer),
        DiffusersHook("mag", mag_cache),
    ]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = benchmark(model, judge, methods, budgets=[0.5], seeds=[3], count=4, guidance=2.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    found = {row.method: row for row in rows}
    assert len(found) == len(rows) == 7
    assert found["full"].flops_fraction == 1.0
    fewer = found["fewer steps"]
    assert (fewer.settings, fewer.flops_fraction, fewer.n, fewer.seed) == ("15 steps", 0.5, 4, 3)

    labels = torch.arange(4)
    with torch.no_grad():
        some, fine = (sample(model, labels, start(labels, 3), steps=steps, guidance=2.0) for steps in (15, TRUTH))
    assert fewer.psnr_db == pytest.approx(float(psnr(some, fine).mean()), abs=1e-3)
    assert fewer.accuracy == float(judge.recognised(some, labels).mean())
    assert fewer.fd == pytest.approx(judge.distance(some), abs=1e-3)
    for name in ("forecast", "calibrated", "first block", "taylor", "mag"):
        assert found[name].why_not == ""
        assert found[name].flops_fraction <= 0.5 * 1.05


def test_what_cannot_run_says_why(tiny, judge) -> None:
    methods = [DiffusersHook("first block", first_block_cache), CalibratedShortcut("bac", "block-adaptive-cache")]
    rows = benchmark(tiny("unet"), judge, methods, budgets=[0.02], seeds=[0], count=2, guidance=1.0)
    found = {row.method: row.why_not for row in rows}
    assert "a UNet2DModel has none" in found["first block"]
    assert found["bac"]
    assert "a UNet2DModel has none" in table(rows)


def test_other_numbers_of_steps_for_the_same_work(tiny, judge, monkeypatch) -> None:
    """And a library that is not installed."""
    monkeypatch.setattr(finer, "FINER", (12, 10))
    monkeypatch.setitem(sys.modules, "cache_dit", None)
    methods = [finer.FinerShortcut("finer", "forecast-cache"), CacheDit()]
    rows = benchmark(tiny("dit"), judge, methods, budgets=[0.3, 0.05], seeds=[0], count=2, guidance=1.0)
    _, found, absent, missed, _ = rows
    assert found.settings in ("12 steps, calibrated for 0.3", "10 steps, calibrated for 0.3")
    assert found.flops_fraction == pytest.approx(0.3, rel=0.05)
    assert absent.why_not == "not installed: pip install cache-dit transformers"
    assert "cannot be reached in 10 steps" in missed.why_not


def test_a_stopped_comparison_goes_on(tiny, judge, tmp_path: Path) -> None:
    """With the rows there are, without tuning again, and with those of real images."""
    path, about = tmp_path / "rows.json.partial", {"n": 2}
    told: list[str] = []

    def run(budgets: list[float], methods: list[Method]) -> list[Row]:
        return benchmark(
            tiny("dit"),
            judge,
            methods,
            budgets=budgets,
            seeds=[0],
            count=2,
            guidance=1.0,
            real=lambda count, seed: torch.full((count, 1, 32, 32), float(seed)),
            progress=Progress.resume(path, about),
            say=told.append,
        )

    forecast = OwnShortcut("forecast", lambda budget: ForecastCache(budget=budget))
    first = run([0.5], [FewerSteps(), forecast])
    assert [row.method for row in first] == [FLOOR, "full", "fewer steps", "forecast"]
    assert first[0].fd == pytest.approx(judge.distance(torch.zeros(2, 1, 32, 32)), abs=1e-3)
    tried = json.loads(path.read_text())["tried"]
    assert tried["forecast"]["defaults at 0.5"][0] == pytest.approx(0.5, rel=0.05)
    told.clear()
    again = run([0.5, 0.7], [FewerSteps(), forecast])
    assert again[:4] == first
    assert [(row.method, row.budget) for row in again[4:]] == [("fewer steps", 0.7), ("forecast", 0.7)]
    assert sum(line.startswith("seed") for line in told) == 2
    with pytest.raises(StudyError, match="is of a stopped comparison with"):
        Progress.resume(path, {"n": 3})
    path.write_text("{}")
    with pytest.raises(StudyError, match="holds no comparison to go on with"):
        Progress.resume(path, about)


def test_a_trial_that_takes_too_much_is_given_up(tiny) -> None:
    scene = Scene(tiny("dit"), 0, 2, 1.0)
    full = scene.full().flops
    with scene.at_most(0.5 * full), pytest.raises(TooMuchWorkError):
        scene.run(scene.model, STEPS)
    assert scene.run(scene.model, STEPS).flops == full


def test_the_table_has_the_best_first_and_means_over_seeds() -> None:
    def row(method: str, psnr_db: float, seed: int) -> Row:
        return Row(
            method=method,
            budget=0.5,
            flops_fraction=0.5,
            cpu_s=1.0,
            psnr_db=psnr_db,
            psnr_ci=1.0,
            fd=10.0,
            fd_over_full=0.5,
            fd_ci=0.2,
            accuracy=0.9,
            n=4,
            seed=seed,
        )

    rows = [row("a", 20.0, 0), row("a", 22.0, 1), row("b", 30.0, 0), row("b", 32.0, 1)]
    rows += [Row(method=FLOOR, budget=0.5, fd=3.0, n=4, seed=0), Row(method="c", budget=0.5, n=4, seed=0, why_not="no")]
    lines = table(rows).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["b", "a", FLOOR, "c"]
    assert "| 21.00 ± 0.71 | 10.00 | +0.50 ± 0.14 | 90.0 % |" in lines[3]
    assert "| – | – | – | 3.00 | – | – |" in lines[4]
    assert str(rows[0]).startswith("seed 0, budget 0.5, a: work 0.50, 1.0 s CPU, PSNR 20.00 ± 1.00 dB, FD 10.00")
