"""Which step of which generation a call of the denoiser belongs to."""

import functools
from collections.abc import Callable
from typing import Any

from suffuse.backbone.engine.errors import ShortcutError


class Clock:
    """Counts calls, or is told; `tick` is asked at every call of the denoiser.

    Attributes:
        step: The step of the next call.
        generation: Goes up by one whenever a generation begins anew.
    """

    def __init__(self, steps: int | None, calls_per_step: int | None) -> None:
        if steps is not None and steps < 1:
            raise ShortcutError(f"steps must be at least 1, got {steps}")
        if calls_per_step is not None and calls_per_step < 1:
            raise ShortcutError(f"calls_per_step must be at least 1, got {calls_per_step}")
        self._steps, self._calls_per_step = steps, calls_per_step
        self.step, self.generation, self._calls = 0, 0, 0

    @property
    def steps(self) -> int:
        """Number of steps of a generation."""
        assert self._steps is not None
        return self._steps

    @property
    def counts(self) -> bool:
        """Whether calls are counted to know the step; False once somebody else tells it."""
        return self._calls_per_step is not None

    def tick(self) -> int:
        """A call begins: its step."""
        if self.counts and self._calls == self._calls_per_step:
            self.advance()
        if self.step >= self.steps:
            self.restart()
        self._calls += 1
        return self.step

    def advance(self) -> None:
        """A step is over."""
        self.step, self._calls = self.step + 1, 0

    def restart(self) -> None:
        """A generation begins."""
        self.step, self._calls, self.generation = 0, 0, self.generation + 1

    def tell(self, step: int) -> None:
        """The calls that follow belong to `step`. Going back begins a generation. From now on nothing is counted.

        Raises ShortcutError for a step outside the generation.
        """
        if not 0 <= step < self.steps:
            raise ShortcutError(f"step must be in [0, {self.steps - 1}], got {step}")
        self._calls_per_step = None
        if step < self.step or step == 0:
            self.restart()
        self.step, self._calls = step, 0

    def open(self) -> None:
        """A session begins."""
        self.restart()

    def close(self) -> None:
        """A session ends: let go of whatever was listened to."""


class PipelineClock(Clock):
    """Listens to the scheduler of a diffusers pipeline: `set_timesteps` begins a generation, `step` ends a step.

    The scheduler may be replaced between generations. A pipeline that samples only the last part of its timesteps
    (image to image) says so by its `num_timesteps` or the scheduler's `begin_index`.
    """

    def __init__(self, pipeline: Any, steps: int | None) -> None:
        super().__init__(steps, None)
        self._pipeline = pipeline
        self._scheduler: Any = None
        self._originals: dict[str, Callable[..., Any] | None] = {}

    @property
    def steps(self) -> int:
        """The number that was given, else what pipeline and scheduler say."""
        if self._steps is not None:
            return self._steps
        told = getattr(self._pipeline, "_num_timesteps", None)
        if isinstance(told, int) and told > 0:
            return told
        timesteps = getattr(self._scheduler, "timesteps", None)
        if timesteps is None:
            raise ShortcutError(
                f"the scheduler {type(self._scheduler).__name__} does not say how many steps there are; pass steps="
            )
        return max(1, len(timesteps) - (getattr(self._scheduler, "begin_index", None) or 0))

    def tick(self) -> int:
        """A call begins: its step."""
        if self._pipeline.scheduler is not self._scheduler:
            self.close()
            self.open()
        return super().tick()

    def open(self) -> None:
        """Listen to the scheduler that the pipeline has now."""
        self.restart()
        self._scheduler = self._pipeline.scheduler
        self._wrap("step", self.advance)
        self._wrap("set_timesteps", self.restart)

    def _wrap(self, name: str, then: Callable[[], None]) -> None:
        original = getattr(self._scheduler, name)
        self._originals[name] = self._scheduler.__dict__.get(name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            then()
            return result

        setattr(self._scheduler, name, wrapped)

    def close(self) -> None:
        """Leave the scheduler as it was."""
        for name, original in self._originals.items():
            if original is None:
                self._scheduler.__dict__.pop(name, None)
            else:
                setattr(self._scheduler, name, original)
        self._originals = {}
