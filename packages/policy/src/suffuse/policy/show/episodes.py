"""Contact sheets of episodes: a row of moments of each (PNG), or all of them moving side by side (GIF, MP4)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from suffuse.policy.environments.actors import Actor, PolicyActor
from suffuse.policy.environments.task import Episode, Task
from suffuse.policy.show.pictures import (
    MOVING,
    STILL,
    Picture,
    captioned,
    check_picture_suffix,
    grid,
    shrunk,
    write_pictures,
)

SUCCEEDED, FAILED, UNDER_WAY = (44, 140, 60), (200, 80, 30), (190, 190, 190)
"""Colours of a cell's frame."""

MOMENTS = 7
"""Of an episode in a still sheet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """One episode.

    Attributes:
        seed: of it.
        frames: what it looked like before the first step, after each `every`th, and at its end.
        rewards: the best one up to then, before the first step and after every one.
        success: whether it succeeded.
        every: steps from one frame to the next.
    """

    seed: int
    frames: UInt8[np.ndarray, "frames i j 3"]
    rewards: tuple[float, ...]
    success: bool
    every: int = 1

    def cell(self, step: int) -> Picture:
        """The episode after so many steps, or its end, with a caption; the frame's colour says how it ended."""
        last = len(self.rewards) - 1
        step = min(step, last)
        colour = UNDER_WAY if step < last else SUCCEEDED if self.success else FAILED
        frame = self.frames[-1 if step == last else step // self.every]
        reward = f": {self.rewards[step] + 0.0:.2f}" if step else ""
        return captioned(frame, f"{self.seed}, step {step}{reward}", colour)


def film(
    task: Task,
    actor: Actor,
    seeds: Sequence[int],
    *,
    height: int = 160,
    every: int = 1,
    on_end: Callable[[], None] | None = None,
) -> list[Film]:
    """Run an episode for each seed and keep what it looks like at every `every`th step, `height` pixels high.

    Raises:
        ValueError: there are no seeds, the height is below 16, or `every` below 1.
        TaskError: the task is not installed.
    """
    if not seeds or height < 16 or every < 1:
        raise ValueError(
            f"there are {len(seeds)} seeds, height is {height} and every {every}; it takes at least 1, 16 and 1"
        )
    shown = task.showing(actor.policy.shapes) if isinstance(actor, PolicyActor) else task
    environments = [shown.make() for _ in seeds]

    def look(slot: int) -> Picture:
        return shrunk(np.asarray(environments[slot].render(), dtype=np.uint8), height)

    try:
        episodes = {slot: Episode(shown, environments[slot], seed) for slot, seed in enumerate(seeds)}
        for slot, episode in episodes.items():
            actor.begin(slot, episode)
        frames = {slot: [look(slot)] for slot in episodes}
        rewards = {slot: [0.0] for slot in episodes}
        running = dict(episodes)
        while running:
            for slot, action in actor.act(running).items():
                running[slot].step(action)
                if running[slot].over or running[slot].steps % every == 0:
                    frames[slot].append(look(slot))
                rewards[slot].append(running[slot].max_reward)
                if running[slot].over and on_end is not None:
                    on_end()
            running = {slot: episode for slot, episode in running.items() if not episode.over}
    finally:
        for environment in environments:
            environment.close()
    return [
        Film(
            seed=episode.seed, frames=np.stack(frames[slot]), rewards=tuple(rewards[slot]), success=episode.success,
            every=every,
        )
        for slot, episode in episodes.items()
    ]  # fmt: skip


def plot_episodes(films: Sequence[Film], out: Path, *, fps: float, every: int = 2) -> None:
    """Draw a sheet: `.png`, a row of moments for each episode; `.gif` or `.mp4`, all at once, each `every`th step.

    Args:
        films: of one size.
        out: where to; replaced if there.
        fps: control steps a second.
        every: steps from one picture of a moving sheet to the next, > 0.

    Raises:
        PolicyError: the suffix is another one, or `out` cannot be written.
        ValueError: there is nothing to draw, or `every` is below 1.
    """
    check_picture_suffix(out, (*STILL, *MOVING))
    if not films or every < 1:
        raise ValueError(f"there are {len(films)} episodes and every is {every}; it takes at least 1 of each")
    if out.suffix.lower() in STILL:
        cells = [
            one.cell(int(step))
            for one in films
            for step in np.linspace(0, len(one.rewards) - 1, MOMENTS).round()
        ]  # fmt: skip
        write_pictures([grid(cells, MOMENTS)], out, fps=fps)
        return
    longest = max(len(one.rewards) for one in films)
    columns = math.ceil(math.sqrt(len(films) * 1.5))
    shown = [*range(0, longest - 1, every), longest - 1]
    write_pictures([grid([one.cell(step) for one in films], columns) for step in shown], out, fps=fps)
