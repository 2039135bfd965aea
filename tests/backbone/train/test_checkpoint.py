"""Checkpoints: exact round trips, and every kind of damage is seen."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from suffuse.backbone.train import CheckpointError, TrainError, load_weights, newest_checkpoint
from suffuse.backbone.train.checkpoint import (
    checkpoints,
    load_module_tensors,
    module_tensors,
    prune,
    read_state,
    read_tensors,
    remove_incomplete,
    save_checkpoint,
    set_aside_newer,
    step_of,
)


def save(directory: Path, step: int, model: nn.Module | None = None) -> Path:
    tensors: dict[str, Tensor] = module_tensors(nn.Linear(2, 2) if model is None else model)
    return save_checkpoint(directory, step, {"model": tensors, "ema": tensors, "optimizer": {}}, {"note": 0.1})


class Tied(nn.Module):
    """Two names for one matrix, a buffer of integers, a transposed view, and three dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.narrow = nn.Parameter(torch.randn(4, dtype=torch.bfloat16), requires_grad=False)
        self.wide = nn.Parameter(torch.randn(2, 3, dtype=torch.float64).T)
        self.register_buffer("count", torch.tensor(2**40))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)


def test_round_trip_is_exact_and_keeps_dtypes_and_ties(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = Tied(), Tied()
    checkpoint = save(tmp_path, 3, model)
    saved = read_tensors(checkpoint, "model")
    assert {name: tensor.dtype for name, tensor in saved.items()} == {
        "embedding.weight": torch.float32,
        "narrow": torch.bfloat16,
        "wide": torch.float64,
        "count": torch.int64,
    }
    load_weights(other, checkpoint)
    for name, tensor in module_tensors(model).items():
        assert torch.equal(tensor, module_tensors(other)[name])
    assert other.head.weight is other.embedding.weight


def test_state_keeps_floats_exactly(tmp_path: Path) -> None:
    state = read_state(save(tmp_path, 12345678))
    assert (state["step"], state["note"]) == (12345678, 0.1)


def test_nothing_is_pickled(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 1)
    names = sorted(path.name for path in checkpoint.iterdir())
    assert names == ["ema.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"]


def test_steps_are_ordered_as_numbers(tmp_path: Path) -> None:
    for step in (100_000_000, 99_999_999, 7):
        save(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert [step_of(path) for path in checkpoints(tmp_path)] == [7, 99_999_999, 100_000_000]
    prune(tmp_path, 2)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [99_999_999, 100_000_000]
    with pytest.raises(CheckpointError, match="not named like a checkpoint"):
        step_of(tmp_path / "checkpoint-best")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_a_pickle(path: Path) -> None:
    torch.save({"weight": torch.zeros(2, 2)}, path)


@pytest.mark.parametrize("damage", [truncate, flip_one_bit, empty, replace_by_a_pickle, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "optimizer.safetensors"])
def test_damaged_newest_is_passed_over(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    damage(newer / name)
    with pytest.warns(RuntimeWarning, match=rf"checkpoint-00000002 is passed over: .*{name}"):
        assert newest_checkpoint(tmp_path) == older
    with pytest.raises(CheckpointError, match=name):
        load_weights(nn.Linear(2, 2), newer)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 1, "step": 2}', '{"format": 1, "files": {}}', "\udcff"]
)
def test_damaged_state_is_passed_over(tmp_path: Path, text: str) -> None:
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    (newer / "state.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.warns(RuntimeWarning, match="checkpoint-00000002 is passed over"):
        assert newest_checkpoint(tmp_path) == older


def test_other_format_is_named(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 1)
    state = json.loads((checkpoint / "state.json").read_text())
    (checkpoint / "state.json").write_text(json.dumps(state | {"format": 99}))
    with pytest.raises(CheckpointError, match="has format 99; this version reads format 1"):
        read_state(checkpoint)


def test_none_and_nothing_readable_are_different(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    (save(tmp_path, 1) / "state.json").unlink()
    with (
        pytest.warns(RuntimeWarning, match="passed over"),
        pytest.raises(CheckpointError, match="none of the 1 checkpoints"),
    ):
        newest_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(2, 2, bias=False), "has bias .* which the model lacks"),
        (nn.Sequential(nn.Linear(2, 2)), r"lacks 0\.bias .* which the model has"),
        (nn.Linear(3, 2), r"weight is torch\.float32 \(2, 2\) in the checkpoint but torch\.float32 \(2, 3\)"),
        (nn.Linear(2, 2).double(), r"in the checkpoint but torch\.float64"),
    ],
)
def test_other_model_is_refused_untouched(tmp_path: Path, model: nn.Module, message: str) -> None:
    checkpoint = save(tmp_path, 1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        load_module_tensors(model, read_tensors(checkpoint, "model"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_unwritable_checkpoint_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("suffuse.backbone.train.checkpoint.save_file", full)
    with pytest.raises(TrainError, match=r"cannot write .*checkpoint-00000001: .*No space left"):
        save(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_removed_and_newer_ones_set_aside(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    (tmp_path / ".incomplete-checkpoint-00000004").mkdir()
    (tmp_path / ".incomplete-checkpoint-00000004" / "model.safetensors").write_bytes(b"half")
    remove_incomplete(tmp_path)
    for _ in range(2):
        set_aside_newer(tmp_path, 2)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "checkpoint-00000001",
            "checkpoint-00000002",
            "checkpoint-00000003.damaged",
        ]
        save(tmp_path, 3)
