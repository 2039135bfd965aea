"""From the shell to a command: what runs before its libraries are there. Imports nothing but what Python brings."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from suffuse.console.errors import INTERRUPTED


def start(module: str) -> None:
    """Import a module of commands and call its `main`; Ctrl-C ends it in one sentence from the first moment on."""
    try:
        with interruptible():
            main = import_module(module).main
        main()
    except KeyboardInterrupt:
        _leave()


@contextmanager
def interruptible() -> Iterator[None]:
    """While libraries are imported, Ctrl-C ends the process at once, with a sentence and exit code 130.

    Python's own way, an exception, is no good there: some libraries swallow it, and from the others it would come out
    as a traceback. Nothing is half-written at that time. A process that was told to ignore Ctrl-C goes on ignoring it.
    """
    ours = threading.current_thread() is threading.main_thread()  # no other thread may say what a signal does
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*signal_and_frame: Any) -> NoReturn:
    os.write(2, b"Error: interrupted\n")
    os._exit(INTERRUPTED)
