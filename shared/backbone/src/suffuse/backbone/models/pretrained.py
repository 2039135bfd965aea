"""The base of our models: a diffusers model whose directory holds `config.json` and safetensors, never a pickle."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, overload

from diffusers.configuration_utils import ConfigMixin
from diffusers.configuration_utils import register_to_config as _register_to_config
from diffusers.models.modeling_utils import ModelMixin

Init = TypeVar("Init", bound=Callable[..., None])
Model = TypeVar("Model", bound="PretrainedModel")


def register_to_config(init: Init) -> Init:
    """Decorate an `__init__` so that its arguments become the model's config: diffusers' decorator, types kept."""
    return cast("Init", _register_to_config(init))  # type: ignore[no-untyped-call]


class PretrainedModel(ModelMixin, ConfigMixin):  # type: ignore[misc]  # they disagree on the type of `config_name`
    """A diffusers model that is saved and loaded as safetensors only.

    diffusers itself falls back to unpickling a `.bin` file when a directory has no safetensors, and unpickling runs
    whatever code the file's author put there.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @overload
    @classmethod
    def from_pretrained(
        cls: type[Model],
        pretrained_model_name_or_path: str | PathLike[str] | None,
        *,
        output_loading_info: Literal[True],
        **kwargs: Any,
    ) -> tuple[Model, dict[str, Any]]: ...

    @overload
    @classmethod
    def from_pretrained(
        cls: type[Model], pretrained_model_name_or_path: str | PathLike[str] | None, **kwargs: Any
    ) -> Model: ...

    @classmethod
    def from_pretrained(
        cls: type[Model], pretrained_model_name_or_path: str | PathLike[str] | None, **kwargs: Any
    ) -> Model | tuple[Model, dict[str, Any]]:
        """The model in a directory or of a hub id; other arguments as in diffusers.

        With `output_loading_info` also what diffusers says of missing and unexpected keys. Raises ValueError
        for `use_safetensors=False`, OSError if there are no weights in safetensors.
        """
        if not kwargs.pop("use_safetensors", True):
            raise ValueError("use_safetensors is False, must be True: pickled weights are not read")
        return super().from_pretrained(pretrained_model_name_or_path, use_safetensors=True, **kwargs)

    def save_pretrained(self, save_directory: str | PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Write `config.json` and the weights; other arguments as in diffusers.

        Raises ValueError for `safe_serialization=False`.
        """
        if not kwargs.get("safe_serialization", True):
            raise ValueError("safe_serialization is False, must be True: pickled weights are not written")
        super().save_pretrained(save_directory, *args, **kwargs)
        config = Path(save_directory) / self.config_name
        if config.is_file():
            for weights in config.parent.glob("*.safetensors"):  # safetensors lets only the owner read what it writes
                weights.chmod(config.stat().st_mode & 0o777)
