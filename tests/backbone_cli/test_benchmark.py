"""The comparison on tiny models: what each row says is checked against a count of one's own."""

import sys

import pytest
import torch

from suffuse.backbone.shortcuts import ForecastCache
from suffuse.backbone_cli.study import finer
from suffuse.backbone_cli.study.benchmark import Row, benchmark, table
from suffuse.backbone_cli.study.flow import sample, start
from suffuse.backbone_cli.study.measures import psnr
from suffuse.backbone_cli.study.methods import CalibratedShortcut, FewerSteps, OwnShortcut
from suffuse.backbone_cli.study.peers import CacheDit, DiffusersHook, first_block_cache, mag_cache, taylor_seer


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
        some, fine = (sample(model, labels, start(labels, 3), steps=steps, guidance=2.0) for steps in (15, 200))
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
    kept = []
    methods = [finer.FinerShortcut("finer", "forecast-cache"), CacheDit()]
    rows = benchmark(
        tiny("dit"), judge, methods, budgets=[0.3, 0.05], seeds=[0], count=2, guidance=1.0, keep=kept.append
    )
    assert kept == rows
    _, found, absent, missed, _ = rows
    assert found.settings in ("12 steps, calibrated for 0.3", "10 steps, calibrated for 0.3")
    assert found.flops_fraction == pytest.approx(0.3, rel=0.05)
    assert absent.why_not == "not installed: pip install cache-dit transformers"
    assert "cannot be reached in 10 steps" in missed.why_not


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
            accuracy=0.9,
            n=4,
            seed=seed,
        )

    lines = table([row("a", 20.0, 0), row("a", 22.0, 1), row("b", 30.0, 0), row("b", 32.0, 1)]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["b", "a"]
    assert "21.00 ± 0.71" in lines[3]
    assert "90.0 %" in lines[3]
