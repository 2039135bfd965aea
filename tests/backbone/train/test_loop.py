"""The loop as a whole: known minima, known updates, and what it refuses."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from suffuse.backbone.train import (
    CheckpointError,
    DirectoryInUseError,
    DivergedError,
    TrainError,
    TrainResult,
    load_weights,
    newest_checkpoint,
    read_log,
)

Run = Callable[..., TrainResult]
Model = Callable[[], nn.Module]

GOLDEN_LOSS = [4.319926, 0.972415, 0.899763, 0.741525]
"""Training loss of the small problem, mean over windows of 20 updates."""


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def mean_squared_error(model: nn.Module, batch: tuple[Tensor, Tensor], _: torch.Generator) -> Mapping[str, Tensor]:
    return {"loss": (model(batch[0]) - batch[1]).square().mean()}


def test_least_squares_reaches_the_closed_form(run: Run, linear_batches: Any) -> None:
    inputs, targets = linear_batches(size=64)[0]
    design = torch.cat([inputs, torch.ones(64, 1)], dim=1)
    exact = torch.linalg.lstsq(design, targets).solution

    class Whole:
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return inputs, targets

    model = nn.Linear(3, 2)
    result = run(
        model=model,
        loss=mean_squared_error,
        batches=Whole(),
        steps=800,
        weight_decay=0.0,
        learning_rate=0.05,
        ema_decay=0.9,
        checkpoint_every_steps=None,
    )
    torch.testing.assert_close(result.model.weight, exact[:3].T, rtol=0, atol=2e-4)
    torch.testing.assert_close(result.model.bias, exact[3], rtol=0, atol=2e-4)
    torch.testing.assert_close(model.weight, exact[:3].T, rtol=0, atol=2e-4)


def test_updates_equal_a_loop_written_out(run: Run, linear_batches: Any) -> None:
    """Torch's own AdamW, clipping and a schedule by hand give the same weights, and the EMA its recursion."""
    torch.manual_seed(1)
    model, reference = nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
    reference.load_state_dict(model.state_dict())

    class Double:
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            inputs, targets = linear_batches()[index]
            return inputs.double(), targets.double()

    result = run(model=model, loss=mean_squared_error, batches=Double(), steps=8, warmup_steps=2, gradient_clip=0.5)
    groups = [{"params": [reference.weight], "weight_decay": 0.01}, {"params": [reference.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), foreach=False, fused=False)
    norms, average = [], {}
    for step in range(8):
        rate = 1e-2 * ((step + 1) / 2 if step < 2 else 0.5 * (1 + math.cos(math.pi * (step - 2) / 6)))
        inputs, targets = Double()[step]
        optimizer.zero_grad()
        (reference(inputs) - targets).square().mean().backward()
        norms.append(float(torch.cat([p.grad.flatten() for p in reference.parameters()]).norm()))
        for parameter in reference.parameters():
            parameter.grad *= min(1.0, 0.5 / (norms[-1] + 1e-6))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        decay = 0.0 if step == 0 else min(0.999, (1 + step) / (10 + step))
        for name, parameter in reference.named_parameters():
            average[name] = decay * average.get(name, 0.0) + (1 - decay) * parameter.detach().clone()
    assert max(norms) > 0.5
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(model.state_dict()[name], parameter.detach(), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(result.model.state_dict()[name], average[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("clip", "expected"), [(None, 30.0), (60.0, 30.0), (3.0, 3.0)])
def test_gradient_is_clipped_to_its_norm(run: Run, clip: float | None, expected: float) -> None:
    """AdamW's first moment after one update is 0.1 times the gradient that it saw."""

    def slope(model: nn.Module, _: object, __: torch.Generator) -> Mapping[str, Tensor]:
        return {"loss": 10 * model.weight.sum()}

    model = nn.Linear(9, 1, bias=False)
    result = run(model=model, loss=slope, steps=1, warmup_steps=0, gradient_clip=clip, betas=(0.9, 0.95))
    state = load_file(result.checkpoint / "optimizer.safetensors")
    assert float(state["weight/exp_avg"].norm()) == pytest.approx(0.1 * expected, rel=1e-5)
    assert read_log(result.checkpoint.parent)[0]["values"]["gradient_norm"] == pytest.approx(30.0)


def test_golden_loss_curve(run: Run, linear_batches: Any, tmp_path: Path) -> None:
    run(batches=linear_batches(size=64), steps=80, log_every=20, learning_rate=2e-2)
    losses = [record["values"]["loss"] for record in read_log(tmp_path / "run")]
    assert losses == pytest.approx(GOLDEN_LOSS, rel=1e-4)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("cut", [1, 5, 8])
def test_interrupted_and_resumed_is_bit_identical(
    run: Run, small_model: Model, linear_batches: Any, tmp_path: Path, cut: int, precision: str
) -> None:
    """An exception from the batches ends the first run in mid-step; everything, the log included, comes out equal."""

    class Failing:
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            if index == cut:
                raise ConnectionError("storage is gone")
            return linear_batches()[index]

    def probe(model: nn.Module, step: int) -> Mapping[str, float]:
        return {"step": step, "weight": float(model[0].weight.sum()), "noise": float(torch.rand(()))}

    every = {"mixed_precision": precision, "evaluate_every": 2, "evaluate": probe, "checkpoint_every_steps": 2}
    whole, model = run(directory=tmp_path / "whole", **every), small_model()
    with pytest.raises(ConnectionError):
        run(directory=tmp_path / "cut", batches=Failing(), **every)
    resumed = run(directory=tmp_path / "cut", model=model, resume=True, **every)
    assert resumed.resumed_from == max(0, (cut - 1) // 2 * 2)
    assert_same(weights(whole.model), weights(resumed.model))
    assert whole.evaluation == resumed.evaluation
    for kind in ("model", "ema", "optimizer"):
        name = f"{kind}.safetensors"
        assert (whole.checkpoint / name).read_bytes() == (resumed.checkpoint / name).read_bytes()
    without_time = [[{**record, "time": 0} for record in read_log(tmp_path / name)] for name in ("whole", "cut")]
    assert without_time[0] == without_time[1]


def test_log_and_evaluation_do_not_change_the_weights(run: Run, tmp_path: Path) -> None:
    def noisy(model: nn.Module, step: int) -> Mapping[str, float]:
        return {"noise": float(torch.rand(3).sum())}

    plain = run(directory=tmp_path / "a", checkpoint_every_steps=None, checkpoint_every_seconds=None, log_every=12)
    busy = run(directory=tmp_path / "b", checkpoint_every_seconds=0.0, log_every=1, evaluate_every=1, evaluate=noisy)
    assert_same(weights(plain.model), weights(busy.model))


def test_another_seed_gives_other_weights(run: Run, tmp_path: Path) -> None:
    first, second = (run(directory=tmp_path / str(seed), seed=seed).model for seed in (0, 1))
    assert not torch.equal(first[0].weight, second[0].weight)


def test_result_and_checkpoint_hold_the_average_and_the_model_the_raw_weights(run: Run, small_model: Model) -> None:
    model = small_model()
    result = run(model=model)
    assert not result.model.training
    assert not torch.equal(result.model[0].weight, model[0].weight)
    assert_same(weights(load_weights(small_model(), result.checkpoint)), weights(result.model))
    assert_same(weights(load_weights(small_model(), result.checkpoint, ema=False)), weights(model))
    assert newest_checkpoint(result.checkpoint.parent) == result.checkpoint


def test_evaluation_sees_the_average_without_gradients_on_schedule(run: Run) -> None:
    seen: list[tuple[int, bool, bool]] = []

    def evaluate(model: nn.Module, step: int) -> Mapping[str, float]:
        seen.append((step, model.training, torch.is_grad_enabled()))
        return {"score": 1.0 / step}

    result = run(evaluate=evaluate, evaluate_every=5)
    assert seen == [(5, False, False), (10, False, False), (12, False, False)]
    assert result.evaluation == {"score": 1 / 12}


def test_finished_run_is_not_trained_again(run: Run, small_model: Model, linear_batches: Any) -> None:
    class Untouchable:
        def __getitem__(self, index: int) -> Any:
            raise AssertionError("no batch is needed")

    first = run(evaluate=lambda model, step: {"score": 0.25})
    again = run(resume=True, batches=Untouchable())
    assert_same(weights(first.model), weights(again.model))
    assert (again.resumed_from, again.evaluation, again.checkpoint) == (12, {"score": 0.25}, first.checkpoint)


def test_frozen_low_precision_and_tied_weights_keep_their_dtype(run: Run, linear_batches: Any, tmp_path: Path) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.frozen = nn.Linear(3, 3).to(torch.bfloat16).requires_grad_(False)
            self.trained = nn.Linear(3, 2).double()
            self.alias = self.trained

        def forward(self, inputs: Tensor) -> Tensor:
            return self.alias(self.frozen(inputs.to(torch.bfloat16)).double())

    model, frozen = Model(), Model().frozen.weight
    result = run(model=model, loss=mean_squared_error)
    resumed = run(model=Model(), loss=mean_squared_error, resume=True)
    for trained in (model, result.model, resumed.model):
        assert trained.frozen.weight.dtype == torch.bfloat16
        assert torch.equal(trained.frozen.weight, frozen)
        assert trained.trained.weight.dtype == torch.float64
        assert trained.alias is trained.trained
    assert_same(weights(result.model), weights(resumed.model))


def test_model_compiled_in_place_keeps_its_names(run: Run, small_model: Model) -> None:
    model = small_model()
    model.compile(backend="eager")
    result = run(model=model)
    assert load_weights(small_model(), result.checkpoint).state_dict().keys() == small_model().state_dict().keys()


def test_only_the_newest_checkpoints_are_kept(run: Run, tmp_path: Path) -> None:
    run(checkpoint_every_steps=1, keep_checkpoints=3)
    names = sorted(path.name for path in (tmp_path / "run").iterdir() if "checkpoint" in path.name)
    assert names == ["checkpoint-00000010", "checkpoint-00000011", "checkpoint-00000012"]


def test_damaged_newest_checkpoint_costs_time_but_not_exactness(run: Run, small_model: Model, tmp_path: Path) -> None:
    first = run()
    damaged = first.checkpoint / "ema.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match=r"checkpoint-00000012 is passed over: .*ema\.safetensors is damaged"):
        again = run(resume=True)
    assert again.resumed_from == 8
    assert_same(weights(first.model), weights(again.model))
    assert (tmp_path / "run" / "checkpoint-00000012.damaged").is_dir()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 13),
        ("learning_rate", 0.02),
        ("betas", (0.9, 0.98)),
        ("seed", 5),
        ("gradient_clip", None),
        ("mixed_precision", "bf16"),
    ],
)
def test_resuming_with_another_config_names_the_field(run: Run, field: str, value: object) -> None:
    run()
    with pytest.raises(TrainError, match=rf"^{field} is .*, but the run in .* has .*; a resumed run must keep it"):
        run(resume=True, **{field: value})


def test_resuming_with_other_data_names_what_differs(run: Run) -> None:
    first = run(identity={"city": "a", "trips": "1f"})
    with pytest.raises(TrainError, match=r"^trips is '2e', but the run in .* has '1f'; a resumed run must keep it$"):
        run(resume=True, identity={"city": "a", "trips": "2e"})
    for known in ({"city": "a", "trips": "1f"}, {"city": "a", "start": "none"}, None):
        assert run(resume=True, identity=known).checkpoint == first.checkpoint


def test_checkpoints_from_before_there_was_an_identity_are_resumed(run: Run) -> None:
    state_file = run().checkpoint / "state.json"
    state = json.loads(state_file.read_text())
    del state["identity"]
    state_file.write_text(json.dumps(state))
    assert run(resume=True, identity={"trips": "1f"}).resumed_from == 12


def test_resuming_may_change_the_bookkeeping(run: Run, small_model: Model) -> None:
    first = run()
    assert run(resume=True, log_every=1, checkpoint_every_steps=1, keep_checkpoints=5).resumed_from == 12
    assert first.resumed_from == 0


def test_resuming_another_model_names_the_tensor(run: Run) -> None:
    run()
    with pytest.raises(CheckpointError, match=r"has 0\.bias .* which the model lacks"):
        run(resume=True, model=nn.Sequential(nn.Linear(3, 2, bias=False)))


def test_directory_in_use_elsewhere_is_refused(run: Run, tmp_path: Path, linear_batches: Any) -> None:
    """The second run is started from inside the first; the first goes on unharmed."""
    refusals: list[str] = []

    class Nested:
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            if index == 5:
                with pytest.raises(DirectoryInUseError, match="another run is writing in") as refusal:
                    run(resume=True)
                refusals.append(str(refusal.value))
            return linear_batches()[index]

    assert run(batches=Nested()).checkpoint.name == "checkpoint-00000012"
    assert len(refusals) == 1
    assert run(resume=True).resumed_from == 12


def test_directory_with_other_files_is_refused_untouched(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(TrainError, match=r"is not empty \(it has notes\.txt\); resume that run or name another"):
        run()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "notes.txt"]


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(
    run: Run, linear_batches: Any, tmp_path: Path, poison: float
) -> None:
    class Poisoned:
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            inputs, targets = linear_batches()[index]
            return inputs, targets + (poison if index == 6 else 0.0)

    with pytest.raises(DivergedError, match=r"loss is (nan|inf) at update 6; the last good checkpoint"):
        run(batches=Poisoned())
    newest = newest_checkpoint(tmp_path / "run")
    assert newest is not None
    assert newest.name == "checkpoint-00000004"
    assert run(resume=True).resumed_from == 4


def test_gradient_overflow_is_divergence_too(run: Run) -> None:
    """The square root has value 0 and an infinite slope at 0."""

    def root(model: nn.Module, _: object, __: torch.Generator) -> Mapping[str, Tensor]:
        return {"loss": (0 * model.weight).sum().abs().sqrt()}

    with pytest.raises(DivergedError, match="gradient_norm is nan at update 0"):
        run(model=nn.Linear(2, 1), loss=root)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"total": torch.tensor(1.0)}, r"loss returned \['total'\]; one of the names must be 'loss'"),
        ({"loss": torch.ones(2)}, r"loss returned 'loss' of shape \(2,\); it must be a scalar"),
        ({"loss": torch.tensor(1.0), "gradient_norm": torch.tensor(1.0)}, "a name that the loop logs itself"),
    ],
)
def test_unusable_losses_are_named(run: Run, losses: Mapping[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(loss=lambda model, batch, generator: losses)


def test_changing_loss_names_are_refused(run: Run) -> None:
    def fickle(model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Mapping[str, Tensor]:
        losses = mean_squared_error(model, batch, generator)
        return losses if generator.initial_seed() % 2 else {**losses, "extra": torch.tensor(0.0)}

    with pytest.raises(ValueError, match="the names must not change"):
        run(loss=fickle, log_every=12)


def test_random_numbers_of_the_caller_are_repeatable(run: Run, tmp_path: Path) -> None:
    """The generator handed to the loss depends on (seed, step) alone."""
    seeds: list[list[int]] = []
    for name in ("a", "b"):
        drawn: list[int] = []

        def loss(
            model: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator, drawn: list[int] = drawn
        ) -> Mapping[str, Tensor]:
            drawn.append(generator.initial_seed())
            return mean_squared_error(model, batch, generator)

        run(loss=loss, directory=tmp_path / name)
        seeds.append(drawn)
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 12


def test_thread_counts_are_left_alone(run: Run) -> None:
    before = torch.get_num_threads(), torch.get_num_interop_threads()
    run()
    assert (torch.get_num_threads(), torch.get_num_interop_threads()) == before


def test_checkpoint_state_is_readable_by_people(run: Run) -> None:
    state = json.loads((run().checkpoint / "state.json").read_text())
    assert state["step"] == 12
    assert state["ema_updates"] == 12
    assert state["run"] | {"processes": 1, "steps": 12, "learning_rate": 1e-2} == state["run"]
