"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pyogrio.errors import DataLayerError, DataSourceError

from suffuse.trajectory.errors import RoadNetworkError, because


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path`, with its suffix, to write to: renamed to `path` at the end, removed if anything fails."""
    temporary = path.with_name(f".{uuid4().hex[:8]}-{path.name}")
    if not path.parent.is_dir():
        raise RoadNetworkError(f"{path}: cannot be written: there is no folder {path.parent}")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, DataSourceError, DataLayerError) as error:
        raise RoadNetworkError(f"{path}: cannot be written: {because(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)
