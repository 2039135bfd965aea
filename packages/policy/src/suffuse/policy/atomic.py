"""Files and folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from suffuse.policy.errors import PolicyError, because


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path`, with its suffix, to write a file or folder to: renamed to `path` at the end.

    What was written is removed if anything fails. A file that exists is replaced, a folder that exists is not.

    Raises:
        PolicyError: it cannot be written, or `path` is a folder already.
    """
    if path.is_dir():
        raise PolicyError(f"{path}: is there already, and a folder is never written over")
    if not path.parent.is_dir():
        raise PolicyError(f"{path}: cannot be written: there is no folder {path.parent}")
    temporary = path.with_name(f".{uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise PolicyError(f"{path}: cannot be written: {because(error)}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
