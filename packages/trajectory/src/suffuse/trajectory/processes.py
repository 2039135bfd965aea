"""Work spread over processes: each is started with what it needs, then answers one part after the other, in order.

What is wrong with the start of a process is kept for its first answer, which can carry it home.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Part = TypeVar("Part")
Answer = TypeVar("Answer")

_answer: Callable[[Any], Any] | Exception | None = None


def in_processes(
    start: Callable[[], Callable[[Part], Answer]], parts: Sequence[Part], *, workers: int
) -> Iterator[Answer]:
    """The answers to the parts, in order. `start` is called once in each process and gives the function that answers.

    With one worker, or one part, all is done here. Otherwise `start` and the parts have to be picklable.

    Raises:
        MemoryError: if a process was ended from outside.

    """
    if workers == 1 or len(parts) <= 1:
        answer = start()
        for part in parts:
            yield answer(part)
        return
    begun: list[BaseProcess] = []
    count = min(workers, len(parts))
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start, initargs=(start,))
    try:
        with _uninterrupted():
            pending = [pool.submit(_reply, part) for part in parts]
            begun += active_children()
        for future in pending:
            yield future.result()
    except BrokenProcessPool as error:
        pool.shutdown(cancel_futures=True)  # another thread waits for the processes too: ask when it is done
        if any(process.exitcode == -signal.SIGINT for process in begun):  # Ctrl-C, told to them before it was to us
            raise KeyboardInterrupt from None
        raise MemoryError("a process was ended from outside, as happens where memory runs out") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(start: Callable[[], Callable[[Any], Any]]) -> None:
    global _answer
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        _answer = start()
    except Exception as error:
        _answer = error


def _reply(part: Any) -> Any:
    assert _answer is not None
    if isinstance(_answer, Exception):
        raise _answer
    return _answer(part)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that are started here do not hear Ctrl-C while they import; it comes to this one at the end.

    They inherit that it is blocked. Here another thread may hear it all the same, so it is only noted meanwhile.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = []
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    usual = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, usual)
        if heard:
            signal.raise_signal(signal.SIGINT)
