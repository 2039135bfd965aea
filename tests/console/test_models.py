"""A model directory is found, described and loaded whole, or one sentence says what is wrong with which file."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from suffuse.console import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    UserError,
    check_files,
    find_model,
    load_whole,
    read_object,
    tensor_sizes,
)


class HouseError(UserError):
    """An error of a task."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model of two tensors, shipped under the name `own`."""
    directory = tmp_path / "shipped" / "own"
    directory.mkdir(parents=True)
    (directory / CONFIG_FILE).write_text(json.dumps({"width": 3}))
    save_file({"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, directory / WEIGHTS_FILE)
    return directory


def pretrained(
    *, missing: tuple[str, ...] = (), unexpected: tuple[str, ...] = (), value: float = 1.0
) -> Callable[..., tuple[torch.nn.Module, dict[str, Any]]]:
    """A stand-in for the method of a diffusers model, which warns of what is checked anyway."""

    def from_pretrained(directory: Path, **how: Any) -> tuple[torch.nn.Module, dict[str, Any]]:
        assert how == {"output_loading_info": True, "local_files_only": True}
        logging.getLogger("diffusers").warning("some weights were not used")
        model = torch.nn.Linear(2, 3)
        torch.nn.init.constant_(model.bias, value)
        return model, {"missing_keys": list(missing), "unexpected_keys": list(unexpected)}

    return from_pretrained


def test_a_model_is_found_by_name_or_path(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = directory.parent
    assert find_model("own", shipped) == directory
    assert find_model(tmp_path, shipped) == tmp_path
    monkeypatch.chdir(tmp_path)
    for name in ("", "nowhere", "../shipped/own", "own/config.json", "shipped/own/config.json"):
        with pytest.raises(HouseError) as caught:
            find_model(name, shipped, others=("random",), error=HouseError)
        assert str(caught.value) == (f"there is no model {name!r}: it must be a model directory or one of own, random")
    with pytest.raises(UserError, match=r"it must be a model directory$"):
        find_model("own", tmp_path / "none")


def test_what_a_directory_lacks_is_named(directory: Path) -> None:
    check_files(directory, (CONFIG_FILE, WEIGHTS_FILE))
    with pytest.raises(HouseError, match=r"own is not a model directory: it has no city\.json"):
        check_files(directory, (CONFIG_FILE, "city.json", "more.json"), error=HouseError)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "cannot be read as JSON: Expecting property name"),
        (b"[1]", "holds no JSON object, but a list"),
        (b"[" * 100_000, "cannot be read as JSON: maximum recursion depth"),
        (b"\xff\xfe", "cannot be read as JSON: 'utf-8' codec"),
        (None, "cannot be read as JSON: No such file or directory"),
    ],
)
def test_an_object_is_read_or_the_file_named(directory: Path, content: bytes | None, said: str) -> None:
    path = directory / CONFIG_FILE
    assert read_object(path) == {"width": 3}
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HouseError) as caught:
        read_object(path, error=HouseError)
    assert str(caught.value).startswith(f"{path} {said}")


def test_sizes_are_read_without_the_numbers(directory: Path) -> None:
    path = directory / WEIGHTS_FILE
    assert tensor_sizes(path) == {"weight": 6, "bias": 3}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HouseError, match="is not a whole safetensors file"):
        tensor_sizes(path, error=HouseError)


def test_a_whole_model_is_loaded_for_use(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = load_whole(pretrained(), directory)
    assert not model.training
    assert caplog.records == []
    assert logging.getLogger("diffusers").level != logging.ERROR


@pytest.mark.parametrize(
    ("from_pretrained", "said"),
    [
        (pretrained(missing=("a", "b")), f"does not fit {CONFIG_FILE}: a and 1 more differ"),
        (pretrained(unexpected=("c",)), f"does not fit {CONFIG_FILE}: c and 0 more differ"),
        (pretrained(value=float("inf")), "bias holds numbers that are not finite"),
        (lambda *_, **__: {}["gone"], f"does not hold the weights of {CONFIG_FILE}: 'gone'"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(directory: Path, from_pretrained: Any, said: str) -> None:
    with pytest.raises(HouseError) as caught:
        load_whole(from_pretrained, directory, error=HouseError)
    assert str(caught.value).startswith(f"{directory / WEIGHTS_FILE}")
    assert said in str(caught.value)
