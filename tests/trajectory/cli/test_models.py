"""A model directory is checked before it is used: every file and field that is not as it was saved is named."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

WEIGHTS, USAGE, BASELINE = "diffusion_pytorch_model.safetensors", "usage.safetensors", "baseline.safetensors"
GENERATE = ("generate", "--city", "grid", "-n", "2", "--out", "new.csv", "--model", "changed")


def changed(workplace: Path, source: str, name: str, content: bytes) -> None:
    """A copy of a model with one of its files replaced."""
    shutil.copytree(workplace / source, "changed", dirs_exist_ok=True)
    Path("changed", name).write_bytes(content)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("width", 0, "width is 0, but must be a whole number from 1 to 65,536"),
        ("width", 10**12, "width is 1000000000000, but must be"),
        ("width", "16", "width is '16', but must be a whole number"),
        ("heads", 0, "heads is 0, but must be a whole number"),
        ("heads", True, "heads is True, but must be a whole number"),
        ("depth", 1.0, "depth is 1.0, but must be a whole number"),
        ("depth", None, "depth is None, but must be a whole number"),
        ("time_correlation", 2, "time_correlation is 2, but must be a number from 0 to less than 1"),
        ("time_correlation", float("nan"), "time_correlation is nan, but must be a number"),
        ("time_correlation", "x", "time_correlation is 'x', but must be a number"),
        ("surprise", 1, "has the unknown field 'surprise'"),
        ("depth", 2, f"changed/{WEIGHTS} does not fit config.json: transformer.layers.1."),
        ("heads", 3, "width (16) must be a multiple of twice heads (3)"),
    ],
)
def test_fields_of_the_config(refusal: Callable[..., str], workplace: Path, field: str, value: Any, said: str) -> None:
    config = json.loads((workplace / "model" / "config.json").read_text())
    changed(workplace, "model", "config.json", json.dumps(config | {field: value}).encode())
    sentence = refusal(*GENERATE)
    assert sentence.startswith("changed/")
    assert said in sentence
    if field in config:
        changed(workplace, "model", "config.json", json.dumps({k: v for k, v in config.items() if k != field}).encode())
        assert refusal(*GENERATE) == f"changed/config.json lacks '{field}'"


@pytest.mark.parametrize("name", ["config.json", "city.json", WEIGHTS, USAGE])
@pytest.mark.parametrize("kind", ["absent", "empty", "pickle", "gone wrong", "deep", "half"])
def test_files_of_a_model(refusal: Callable[..., str], workplace: Path, name: str, kind: str) -> None:
    whole = (workplace / "model" / name).read_bytes()
    content = {"pickle": pickle.dumps({"a": 1}), "gone wrong": b"\xff" * 40, "deep": b"[" * 100_000}
    changed(workplace, "model", name, content.get(kind, whole[: len(whole) // 2] if kind == "half" else b""))
    if kind == "absent":
        Path("changed", name).unlink()
    assert name in refusal(*GENERATE)


def altered(workplace: Path, source: str, file: str, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """A copy of a model with one of its tensors changed."""
    tensors = load_file(workplace / source / file)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    changed(workplace, source, file, b"")
    save_file(tensors, Path("changed", file))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("flow", lambda a: a * np.nan, "flow holds counts that are not finite and 0 or more"),
        ("turn_flow", lambda a: a - 1e6, "turn_flow holds counts that are not finite and 0 or more"),
        ("flow", lambda a: a[:10], "is about 10 segments and 968 transitions, but 'grid' has 360 and 968"),
        ("leaving", lambda a: a[:5], "leaving is float32 of shape (5,), but must be 360 floating-point numbers"),
        ("flow_key_0", lambda a: a + 10**12, "flow_key_0 holds keys that do not ascend from 0 to"),
        ("flow_key_1", lambda a: a[::-1], "flow_key_1 holds keys that do not ascend from 0 to"),
        ("turn_key_0", lambda a: a.astype(np.float32), "turn_key_0 is float32 of shape"),
        ("turn_count_1", lambda a: a[:2], "turn_count_1 is float32 of shape (2,), but must be"),
    ],
)
def test_tensors_of_the_usage(
    refusal: Callable[..., str], workplace: Path, name: str, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    altered(workplace, "model", USAGE, name, change)
    sentence = refusal(*GENERATE)
    assert sentence.startswith(f"changed/{USAGE}")
    assert said in sentence


def test_weights_that_are_no_numbers(refusal: Callable[..., str], workplace: Path) -> None:
    altered(workplace, "model", WEIGHTS, "mask_token", lambda a: a * np.nan)
    assert refusal(*GENERATE) == f"changed/{WEIGHTS}: mask_token holds numbers that are not finite"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("times_by_hour", lambda a: a[:1], "times_by_hour has the shape (1, 24), but must have (12, 24)"),
        ("times_by_hour", lambda a: -a, "times_by_hour holds numbers that are not finite and 0 or more"),
        ("times_by_segment", lambda a: a * 0, "times_by_segment holds a 0, but all of it must be above"),
        ("turn_total", lambda a: a * np.inf, "turn_total holds numbers that are not finite"),
        ("zone_of", lambda a: a + 10**6, "zone_of holds what is no whole number from 0 to 359"),
        ("zone_of", lambda a: a.astype(np.float64), "zone_of holds what is no whole number"),
        ("zone_turn", lambda a: a - 10**6, "zone_turn holds what is no whole number from 0 to 967"),
        ("zone_start", lambda a: a[::-1], "zone_start does not ascend"),
        ("zone_count", lambda a: a[:3], "zone_count has the shape (3,), but must have"),
    ],
)
def test_tensors_of_a_baseline(
    refusal: Callable[..., str], workplace: Path, name: str, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    with np.errstate(invalid="ignore"):
        altered(workplace, "markov", BASELINE, name, change)
    assert refusal(*GENERATE).startswith(f"changed/{BASELINE} is no whole baseline in safetensors format: {said}")


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("holds an unknown baseline 'x'", {"baseline": "x"}),
        ("holds an unknown baseline [1]", {"baseline": [1]}),
        ("has format 9; this version reads format 1", {"format": 9}),
        ("was fitted on a network other than 'grid'", {"network": "x"}),
        ("the settings lack 'limit'", {"settings": {}}),
        ("limit is 10000000", {"settings": {"limit": 10**30}}),
        ("limit is 'x', but must be a whole number", {"settings": {"limit": "x"}}),
    ],
)
def test_settings_of_a_baseline(refusal: Callable[..., str], workplace: Path, said: str, value: dict[str, Any]) -> None:
    settings = json.loads((workplace / "markov" / "baseline.json").read_text())
    changed(workplace, "markov", "baseline.json", json.dumps(settings | value).encode())
    assert said in refusal(*GENERATE)


def test_a_model_of_another_city(refusal: Callable[..., str], command: Callable[..., Any]) -> None:
    """A trained model works abroad; a baseline knows one city only."""
    assert command("prepare", "town", "--source", "roads.geojson", "--out", "town").code == 0
    assert command("generate", "--city", "town", "--model", "model", "-n", "2", "--out", "new.csv").code == 0
    abroad = ("generate", "--city", "town", "-n", "2", "--out", "newer.csv", "--model", "markov")
    assert refusal(*abroad) == "markov was fitted on a network other than 'town'"


def test_models_that_cannot_be_described(refusal: Callable[..., str], workplace: Path) -> None:
    changed(workplace, "model", WEIGHTS, b"short")
    assert f"changed/{WEIGHTS} is not a whole safetensors file" in refusal("info", "--model", "changed")
    changed(workplace, "model", "config.json", b"{")
    assert "changed/config.json cannot be read as JSON" in refusal("info", "--model", "changed")
