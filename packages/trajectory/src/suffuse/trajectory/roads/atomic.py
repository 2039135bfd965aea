"""Files that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyogrio.errors import DataLayerError, DataSourceError
from safetensors import SafetensorError

from suffuse.trajectory.errors import RoadNetworkError, because


def check_writable(path: Path) -> None:
    """Raise RoadNetworkError, before any work is done, for a path that no file can be written to."""
    folder = path.parent
    if not folder.is_dir():
        raise RoadNetworkError(f"{path}: cannot be written: there is no folder {folder}")
    if path.is_dir():
        raise RoadNetworkError(f"{path}: cannot be written: it is a folder")
    if not (is_a_stream(path) or os.access(folder, os.W_OK | os.X_OK)):
        raise RoadNetworkError(f"{path}: cannot be written: nobody may write in the folder {folder}")


def is_a_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path with the suffix of `path` to write to: put in its place at the end, removed if anything fails.

    It lies in a folder of its own beside `path`, so that what libraries write beside a file goes too. Where `path` is a
    link, what it points to is replaced; what is a device or a pipe gets the bytes. Raises RoadNetworkError if that is
    not to be had.
    """
    check_writable(path)
    goal = Path(os.path.realpath(path))
    stream = is_a_stream(path)
    try:
        with tempfile.TemporaryDirectory(dir=None if stream else goal.parent, prefix=f".{path.name[:40]}-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            if stream:
                with temporary.open("rb") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                os.replace(temporary, goal)
    except (OSError, DataSourceError, DataLayerError, SafetensorError) as error:
        raise RoadNetworkError(f"{path}: cannot be written: {because(error)}") from error
