"""One thread that draws all chunks: those that wait together are drawn together."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from torch import Generator

from suffuse.policy.errors import ActionError, ServeError
from suffuse.policy.model.continuation import Continuation
from suffuse.policy.model.policy import DiffusionPolicy, OutOfBounds


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Actions for one client, what was clamped, and how long it took: waiting, drawing, and how many at once."""

    actions: Float32[np.ndarray, "s a"]
    clamped: Bool[np.ndarray, "s a"]
    queue_ms: float
    compute_ms: float
    batch: int


@dataclass(kw_only=True)
class Waiting:
    """A request that waits to be drawn.

    Attributes:
        observations: by name, checked.
        generator: of the client's noise.
        continuation: what is to be continued, if anything.
        until: when nobody waits for it any more, on `time.monotonic`.
        wanted: whether somebody still does.
    """

    observations: dict[str, Shaped[np.ndarray, "o ..."]]
    generator: Generator
    continuation: Continuation | None
    until: float
    wanted: Callable[[], bool]
    since: float = field(default_factory=time.monotonic)
    result: "Future[Drawn]" = field(default_factory=Future)


class LateError(ServeError):
    """A request whose deadline passed before it was drawn."""


class Batcher:
    """Draws chunks in a thread of its own until it is closed."""

    def __init__(self, policy: DiffusionPolicy, *, most: int, out_of_bounds: OutOfBounds) -> None:
        """At most `most` chunks of `policy` at once."""
        self._policy, self._most, self._out_of_bounds = policy, most, out_of_bounds
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="suffuse-policy-batcher", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and not self._closed

    def submit(self, request: Waiting) -> "Future[Drawn]":
        """Queue a request. Raises ServeError once the batcher is closed."""
        with self._changed:
            if self._closed:
                raise ServeError("the server is shutting down")
            self._waiting.append(request)
            self._changed.notify()
        return request.result

    def close(self) -> None:
        """Finish what is being drawn, refuse what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    left, self._waiting = self._waiting, []
                else:
                    self._waiting.sort(key=lambda one: one.until)  # the most urgent first
                    taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if self._closed:
                for one in left:
                    one.result.set_exception(ServeError("the server is shutting down"))
                return
            self._draw(taken)

    def _draw(self, taken: list[Waiting]) -> None:
        due = []
        for one in taken:
            if time.monotonic() >= one.until or not one.wanted():
                one.result.set_exception(LateError("the deadline passed before the request was drawn"))
            else:
                due.append(one)
        if not due:
            return
        began = time.monotonic()
        try:
            chunk = self._policy.predict_action_chunk(
                {name: np.stack([one.observations[name] for one in due]) for name in self._policy.shapes},
                generators=[one.generator for one in due],
                out_of_bounds=self._out_of_bounds,
                continuations=[one.continuation for one in due],
            )
        except ActionError as error:  # somebody's actions are bad; the others' are not
            if len(due) == 1:
                due[0].result.set_exception(error)
            else:
                for one in due:
                    self._draw([one])
            return
        except Exception as error:
            for one in due:
                one.result.set_exception(error)
            return
        took = (time.monotonic() - began) * 1000
        for row, one in enumerate(due):
            one.result.set_result(
                Drawn(
                    actions=chunk.actions[row], clamped=chunk.clamped[row], queue_ms=(began - one.since) * 1000,
                    compute_ms=took, batch=len(due),
                )
            )  # fmt: skip
