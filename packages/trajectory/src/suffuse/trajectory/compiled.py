"""Where Numba keeps what it has compiled: beside the code or in the user's cache, else in a folder that goes again.

To import this module sees to it; that has to come before the modules that define compiled functions.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numba

VARIABLE = "NUMBA_CACHE_DIR"


def usual_places() -> list[Path]:
    """Where Numba writes unless `NUMBA_CACHE_DIR` says otherwise."""
    places = [Path(__file__).parent]
    with contextlib.suppress(RuntimeError):  # nobody's home
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))
    return places


def is_writable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and takes a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def keep_compiled(places: Iterable[Path]) -> None:
    """Let Numba cache in a folder of this process and its children where it can in none of these.

    Without any place Numba raises RuntimeError as soon as a function that is to be cached is defined.
    """
    if os.environ.get(VARIABLE) or any(is_writable(place) for place in places):
        return
    folder = tempfile.mkdtemp(prefix="suffuse-numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = folder
    setattr(numba.config, "CACHE_DIR", folder)  # noqa: B010 - it has read the environment already


keep_compiled(usual_places())
