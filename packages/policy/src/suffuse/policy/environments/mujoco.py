"""What all tasks in MuJoCo need: a library that draws without a screen, and one sentence where it is not there."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from typing import Any

import numpy as np
from jaxtyping import UInt8

from suffuse.console import because
from suffuse.policy.errors import TaskError


@contextmanager
def loading() -> Iterator[None]:
    """MuJoCo is imported within. Where there is no screen but EGL, that draws, unless MUJOCO_GL says otherwise.

    Raises:
        ImportError: what is imported is not installed.
        TaskError: MUJOCO_GL names a library that is not there, without which MuJoCo does not start.
    """
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and find_library("EGL"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # each graphics library has errors of its own
        raise TaskError(
            f"MuJoCo cannot be loaded with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}: {because(error)}; unset it"
        ) from error


def picture(render: Callable[[], Any], of: str) -> UInt8[np.ndarray, "i j 3"]:
    """What a task's `render` gives. Raises TaskError, with `of` as the task's name, where no picture can be drawn."""
    try:
        return np.asarray(render())
    except Exception as error:  # each graphics library has errors of its own
        raise TaskError(
            f"no picture of {of} can be drawn with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}: "
            f"{because(error)}; set it to egl, osmesa or glfw, whichever is installed"
        ) from error
