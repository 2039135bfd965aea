"""The record of a run: log.jsonl, TensorBoard, and what is shown."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from suffuse.backbone.train import TrainResult, learning_rate_at, read_log
from suffuse.backbone.train.config import TrainConfig
from suffuse.backbone.train.log import Display, RunLog

Run = Callable[..., TrainResult]


def tensorboard_scalars(directory: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(directory / "tensorboard"), purge_orphaned_data=False)
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_windows_are_means_and_the_rate_is_the_last(run: Run, tmp_path: Path) -> None:
    seen: list[float] = []

    def loss(model: torch.nn.Module, batch: Any, generator: torch.Generator) -> dict[str, torch.Tensor]:
        seen.append(float(len(seen)))
        return {"loss": model(batch[0]).square().mean(), "count": torch.tensor(seen[-1])}

    run(loss=loss, steps=8, log_every=3)
    records = read_log(tmp_path / "run")
    config = TrainConfig(steps=8, warmup_steps=3, learning_rate=1e-2)
    assert [(r["step"], r["kind"], r["values"]["count"]) for r in records] == [
        (3, "train", 1.0),
        (6, "train", 4.0),
        (8, "train", 6.5),
    ]
    assert [r["values"]["learning_rate"] for r in records] == [learning_rate_at(s, config) for s in (2, 5, 7)]


def test_tensorboard_says_the_same_once_after_many_resumes(run: Run, tmp_path: Path, linear_batches: Any) -> None:
    class Failing:
        def __init__(self, last: int) -> None:
            self.last = last

        def __getitem__(self, index: int) -> Any:
            if index > self.last:
                raise ConnectionError("storage is gone")
            return linear_batches()[index]

    settings = {"log_every": 1, "evaluate_every": 3, "evaluate": lambda model, step: {"twice": 2.0 * step}}
    for last in (2, 6, 7, 10):
        with pytest.raises(ConnectionError):
            run(batches=Failing(last), resume=True, **settings)
    run(resume=True, **settings)
    records = read_log(tmp_path / "run")
    assert [r["step"] for r in records if r["kind"] == "train"] == list(range(1, 13))
    scalars = tensorboard_scalars(tmp_path / "run")
    assert scalars["evaluation/twice"] == [(3, 6.0), (6, 12.0), (9, 18.0), (12, 24.0)]
    expected = [(r["step"], pytest.approx(r["values"]["loss"], rel=1e-6)) for r in records if r["kind"] == "train"]
    assert scalars["train/loss"] == expected


def test_lines_after_the_step_and_a_torn_line_are_dropped(tmp_path: Path) -> None:
    log = RunLog(tmp_path, step=0)
    for step in (1, 2, 3):
        log.add(step, "train", {"loss": 1.0 / step})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "ki')
    assert [record["step"] for record in read_log(tmp_path)] == [1, 2, 3]
    log = RunLog(tmp_path, step=2)
    log.add(3, "train", {"loss": 0.5})
    log.sync()
    log.close()
    assert [(r["step"], r["values"]["loss"]) for r in read_log(tmp_path)] == [(1, 1.0), (2, 0.5), (3, 0.5)]
    assert tensorboard_scalars(tmp_path) == {"train/loss": [(1, 1.0), (2, 0.5), (3, 0.5)]}


def test_values_that_are_not_finite_stay_valid_json(tmp_path: Path) -> None:
    log = RunLog(tmp_path, step=0)
    log.add(1, "evaluation", {"accuracy": math.nan, "loss": 2.0})
    log.close()

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=refuse)
    values = read_log(tmp_path)[0]["values"]
    assert math.isnan(values["accuracy"])
    assert values["loss"] == 2.0


@pytest.mark.parametrize("line", ["{", "[]", '{"step": 1}', '{"values": 3}', "null"])
def test_broken_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "log.jsonl").write_text(f'{{"step": 1, "kind": "train", "values": {{}}, "time": 0}}\n{line}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2, is not a line of this log"):
        read_log(tmp_path)


def test_without_a_terminal_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("suffuse.backbone.train.log.time.monotonic", lambda: clock[0])
    text = io.StringIO()
    with Display(start=100, steps=200, console=Console(file=text)) as display:
        for step in range(101, 201):
            clock[0] += 1.0
            display.update(step, loss=1 / step, learning_rate=1e-3)
    lines = text.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["130/200", "160/200", "190/200", "200/200"]
    assert lines[0] == "step 130/200  loss 0.007692  lr 0.001  1.00 it/s  left 0:01:10"


def test_on_a_terminal_a_bar(run: Run) -> None:
    text = io.StringIO()
    run(console=Console(file=text, force_terminal=True, width=120))
    shown = text.getvalue()
    for part in ("training", "12/12", "loss ", "lr ", "it/s"):
        assert part in shown


def test_resuming_is_said(run: Run, linear_batches: Any) -> None:
    class Failing:
        def __getitem__(self, index: int) -> Any:
            if index == 6:
                raise ConnectionError("storage is gone")
            return linear_batches()[index]

    with pytest.raises(ConnectionError):
        run(batches=Failing())
    text = io.StringIO()
    run(resume=True, console=Console(file=text))
    assert "resumed from update 4 of 12" in text.getvalue()
