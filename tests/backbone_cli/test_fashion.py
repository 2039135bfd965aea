"""The reader of IDX files, on files written here."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from suffuse.backbone_cli.study.errors import StudyError
from suffuse.backbone_cli.study.fashion import INSTALLED, fashion_folder, load_fashion, read_idx


def write_idx(path: Path, array: np.ndarray, *, kind: int = 8) -> None:
    header = bytes([0, 0, kind, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 6), ("t10k", 3)):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))
    return tmp_path


def test_images_are_padded_by_their_background(folder: Path) -> None:
    found = load_fashion("test", folder)
    raw = read_idx(folder / "t10k-images-idx3-ubyte.gz")
    assert found.images.shape == (3, 1, 32, 32)
    np.testing.assert_array_equal(found.images[:, 0, 2:30, 2:30], raw)
    assert int(found.images.sum()) == int(raw.astype(int).sum())
    assert found.labels.tolist() == [0, 1, 2]
    assert len(load_fashion("train", folder).labels) == 6


def test_the_environment_names_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFUSE_FASHION_MNIST", str(folder))
    assert fashion_folder() == folder


def test_absent_data_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match=r"no Fashion-MNIST in .*apt-get install dataset-fashion-mnist"):
        load_fashion("train", tmp_path)
    monkeypatch.delenv("SUFFUSE_FASHION_MNIST", raising=False)
    if not INSTALLED.exists():
        with pytest.raises(StudyError, match="/usr/share/datasets/fashion-mnist"):
            fashion_folder()


def test_damaged_files_are_named(folder: Path) -> None:
    path = folder / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match=r"t10k-images-idx3-ubyte\.gz cannot be read"):
        load_fashion("test", folder)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(StudyError, match=r"has 2351 bytes where its header says \(3, 28, 28\)"):
        load_fashion("test", folder)
    write_idx(path, np.zeros((3, 28, 28), np.uint8), kind=13)
    with pytest.raises(StudyError, match="is no IDX file of bytes"):
        load_fashion("test", folder)
    write_idx(path, np.zeros((3, 27, 28), np.uint8))
    with pytest.raises(StudyError, match="are not Fashion-MNIST"):
        load_fashion("test", folder)
    write_idx(path, np.zeros((3, 28, 28), np.uint8))
    write_idx(folder / "t10k-labels-idx1-ubyte.gz", np.array([0, 1, 10], np.uint8))
    with pytest.raises(StudyError, match=r"a label is 10; it must be in \[0, 9\]"):
        load_fashion("test", folder)
