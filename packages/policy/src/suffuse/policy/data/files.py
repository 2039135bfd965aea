"""Demonstrations from and to files: which format a path is in, and the readers and writers by name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from suffuse.console import check_writable, replacing
from suffuse.policy.data.demonstrations import Demonstrations
from suffuse.policy.data.lerobot_layout import INFO
from suffuse.policy.data.lerobot_read import read_lerobot
from suffuse.policy.data.lerobot_write import write_lerobot
from suffuse.policy.data.robomimic import read_robomimic, write_robomimic
from suffuse.policy.data.zarr_buffer import read_zarr, write_zarr
from suffuse.policy.errors import DataError

Format = Literal["zarr", "robomimic", "lerobot", "lerobot-v2.1"]

_HDF5 = (".hdf5", ".h5")
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def format_of(path: Path) -> Format:
    """The format of demonstrations that exist, by what is there.

    Raises:
        DataError: there is nothing, or it is in none of the formats.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        if (path / INFO).exists():
            return "lerobot"
        if any((path / name).exists() for name in (".zgroup", "zarr.json", "data", "meta")):
            return "zarr"
    else:
        with path.open("rb") as file:
            start = file.read(8)
        if start == _HDF5_MAGIC:
            return "robomimic"
        if start.startswith(b"PK\x03\x04"):
            return "zarr"
    raise DataError(
        f"{path}: is neither a zarr replay buffer (folder or zip), a robomimic HDF5 file nor a LeRobot dataset"
    )


def format_to_write(path: Path, name: str | None = None) -> Format:
    """The format to write: by name, else by suffix (.zarr, .zarr.zip, .hdf5), else LeRobot 3.0 for a folder.

    Raises:
        DataError: the name is none of the formats, or the suffix says nothing.
    """
    if name is not None:
        for known in get_args(Format):
            if name == known:
                return known
        raise DataError(f"format is {name!r}; it must be one of {', '.join(get_args(Format))}")
    if path.suffix == ".zarr" or path.suffixes[-2:] == [".zarr", ".zip"]:
        return "zarr"
    if path.suffix in _HDF5:
        return "robomimic"
    if not path.suffix:
        return "lerobot"
    raise DataError(f"{path}: the suffix {path.suffix} says no format: use .zarr, .zarr.zip, .hdf5, or a folder's name")


def check_target(path: Path, *, format: str | None = None) -> None:
    """Raise DataError, before any work is done, for a path or a format that nothing can be written to."""
    format_to_write(path, format)
    check_writable(path, error=DataError)


_READERS: dict[Format, Callable[..., Demonstrations]] = {
    "zarr": read_zarr,
    "robomimic": read_robomimic,
    "lerobot": read_lerobot,
}


def read_demonstrations(path: str | Path, *, columns: Sequence[str] | None = None) -> Demonstrations:
    """Demonstrations in any of the formats, told by what is there.

    Args:
        path: a zarr replay buffer (folder or zip), a robomimic file, or the folder of a LeRobot dataset (2.x, 3.0).
        columns: those to read, `action` always; None for all.

    Raises:
        DataError: one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    return _READERS[format_of(path)](path, columns=columns)


def write_demonstrations(demonstrations: Demonstrations, path: str | Path, *, format: str | None = None) -> None:
    """Write demonstrations; the format is told by the suffix unless it is named. They appear whole or not at all.

    Raises:
        DataError: the format is unknown or has no place for a column, or they cannot be written there.
    """
    path = Path(path)
    chosen = format_to_write(path, format)
    with replacing(path, error=DataError) as temporary:
        if chosen == "zarr":
            write_zarr(demonstrations, temporary)
        elif chosen == "robomimic":
            write_robomimic(demonstrations, temporary)
        else:
            write_lerobot(demonstrations, temporary, version="v3.0" if chosen == "lerobot" else "v2.1")
