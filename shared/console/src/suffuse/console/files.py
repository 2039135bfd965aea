"""Files and folders that appear whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from suffuse.console.errors import UserError, because


def check_writable(path: Path, *, error: type[UserError] = UserError) -> None:
    """Raise `error`, before any work is done, for a path that nothing can be written to."""
    folder = path.parent
    if not folder.is_dir():
        raise error(f"{path}: cannot be written: there is no folder {folder}")
    if path.is_dir():
        raise error(f"{path}: cannot be written: it is a folder")
    if not (_is_a_stream(path) or os.access(folder, os.W_OK | os.X_OK)):
        raise error(f"{path}: cannot be written: nobody may write in the folder {folder}")


@contextmanager
def replacing(
    path: Path, *, error: type[UserError] = UserError, also: tuple[type[Exception], ...] = ()
) -> Iterator[Path]:
    """A path named as `path` to write a file or folder to: put in its place at the end, removed if anything fails.

    It lies in a folder of its own beside `path`, so that what libraries write beside a file goes too. Where `path` is a
    link, what it points to is replaced; what is a device or a pipe gets the bytes. A folder is never written over.

    Args:
        path: what is to be there in the end.
        error: what to raise, with a sentence, where it cannot be written.
        also: exceptions of the writer in use that mean so too, beside OSError and SafetensorError.
    """
    check_writable(path, error=error)
    goal = Path(os.path.realpath(path))
    stream = _is_a_stream(path)
    cannot_be_written: tuple[type[Exception], ...] = (OSError, SafetensorError, *also)
    try:
        with tempfile.TemporaryDirectory(dir=None if stream else goal.parent, prefix=f".{path.name[:40]}-") as folder:
            temporary = Path(folder) / path.name
            usual = _usual_permissions(Path(folder))
            yield temporary
            if temporary.is_file():
                temporary.chmod(usual)
            if stream:
                with temporary.open("rb") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                os.replace(temporary, goal)
    except cannot_be_written as failure:
        raise error(f"{path}: cannot be written: {because(failure)}") from failure


def write_json(path: Path, value: Any, *, error: type[UserError] = UserError) -> None:
    """Write what JSON can hold, and anything else as its text. Raises `error` if `path` cannot be written."""
    with replacing(path, error=error) as temporary:
        temporary.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")


def _usual_permissions(folder: Path) -> int:
    """Permissions of a file that is made in the usual way; some writers (safetensors) let only the owner read."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        usual = Path(place) / "usual"
        usual.touch()
        return usual.stat().st_mode & 0o777


def _is_a_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
