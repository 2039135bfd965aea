"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) from the files of Debian's package dataset-fashion-mnist.

Nothing is downloaded. The files are gzipped IDX: a magic number that says type and number of dimensions, the sizes,
then the bytes. Images of 28 x 28 are padded to 32 x 32 with their background, 0.
"""

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from suffuse.backbone_cli.study.errors import StudyError

CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SIZE = 32
"""Height and width of the padded images."""

VARIABLE = "SUFFUSE_FASHION_MNIST"
"""Environment variable with the folder of the four files."""

INSTALLED = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts them."""

Split = Literal["train", "test"]
_PREFIX: dict[Split, str] = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTE = 8


@dataclass(frozen=True)
class Fashion:
    """Images and their classes: numbers of `CLASSES`."""

    images: UInt8[Tensor, "n 1 32 32"]
    labels: Int64[Tensor, " n"]


def fashion_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder with the data: the one given, that of `SUFFUSE_FASHION_MNIST`, or where the package puts it.

    Raises StudyError if it is not there.
    """
    named = folder or os.environ.get(VARIABLE)
    path = Path(named) if named else INSTALLED
    if not (path / "train-images-idx3-ubyte.gz").is_file():
        raise StudyError(
            f"no Fashion-MNIST in {path}: install Debian's dataset-fashion-mnist (apt-get install"
            f" dataset-fashion-mnist), or unpack it and name its folder by --data or {VARIABLE}"
        )
    return path


def load_fashion(split: Split, folder: str | os.PathLike[str] | None = None) -> Fashion:
    """The 60,000 images for training or the 10,000 for testing.

    Raises StudyError for files that are absent, damaged or do not belong together.
    """
    prefix = _PREFIX[split]
    path = fashion_folder(folder)
    images = read_idx(path / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(path / f"{prefix}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise StudyError(f"{path}: images of shape {images.shape} and labels of {labels.shape} are not Fashion-MNIST")
    if labels.size and labels.max() >= len(CLASSES):
        raise StudyError(f"{path}: a label is {labels.max()}; it must be in [0, {len(CLASSES) - 1}]")
    margin = (SIZE - 28) // 2
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    return Fashion(torch.from_numpy(padded)[:, None], torch.from_numpy(labels.astype(np.int64)))


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array of bytes in a gzipped IDX file. Raises StudyError, naming the file, if it is none."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise StudyError(f"{path} cannot be read: {error}") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTE:
        raise StudyError(f"{path} is no IDX file of bytes")
    header = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[place : place + 4], "big") for place in range(4, header, 4))
    if len(data) != header + int(np.prod(shape)):
        raise StudyError(f"{path} has {len(data) - header} bytes where its header says {shape}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
