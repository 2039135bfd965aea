"""How chunks come out of noise: the actions after every denoising step, drawn over what the policy sees.

Several chunks are drawn from one observation, so that the picture shows what the policy thinks possible.

Dimensions: k denoising steps, n chunks, h horizon.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Generator, Tensor

from suffuse.policy.environments.actors import PolicyActor
from suffuse.policy.environments.pusht_geometry import SIDE
from suffuse.policy.environments.task import PUSHT, Episode
from suffuse.policy.errors import TaskError
from suffuse.policy.model.policy import DiffusionPolicy
from suffuse.policy.show.pictures import MOVING, STILL, Picture, check_picture_suffix, write_pictures

PANELS = 6
"""Of a still picture."""

MARGIN = 60.0
"""Pixels of the arena around the final actions."""

FPS = 12.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ChunkStory:
    """Chunks on their way out of noise.

    Attributes:
        picture: the moment at which they are drawn.
        actions: in pixels of the arena, from the moment of the latest observation on; before the first denoising step
            and after every one.
        agent: where the disc is.
        sampler: how they are drawn.
        carried: actions of a chunk that are carried out.
    """

    picture: UInt8[np.ndarray, "i j 3"]
    actions: Float32[np.ndarray, "moments n h 2"]
    agent: Float32[np.ndarray, " 2"]
    sampler: str
    carried: int

    @property
    def denoising_steps(self) -> int:
        """How many there are."""
        return len(self.actions) - 1


def watch_chunk(policy: DiffusionPolicy, *, seed: int, at: int = 0, chunks: int = 32) -> ChunkStory:
    """Let a policy act `at` steps of an episode of PushT, then draw so many chunks and see how.

    Raises:
        TaskError: the policy is for another task: only in PushT are actions places in the picture.
        ValueError: the episode is over by then, or there are no chunks.
    """
    if policy.config["task"] not in ("", PUSHT.name):
        raise TaskError(f"chunks are shown where actions are places in the picture, as in {PUSHT.name}; this policy "
                        f"is for {policy.config['task']}")  # fmt: skip
    if chunks < 1 or at < 0:
        raise ValueError(f"chunks is {chunks} and at is {at}; they must be at least 1 and 0")
    actor = PolicyActor(policy)
    environment = PUSHT.showing(policy.shapes).make()
    try:
        episode = Episode(PUSHT, environment, seed)
        actor.begin(0, episode)
        for _ in range(at):
            if episode.over:
                raise ValueError(f"at is {at}; the episode of seed {seed} is over after {episode.steps} steps")
            episode.step(actor.act({0: episode})[0])
        actor.states[0].see({name: np.asarray(episode.observation[name]) for name in policy.shapes})
        picture = np.asarray(environment.render(), dtype=np.uint8)
    finally:
        environment.close()
    seen = {name: np.stack([value] * chunks) for name, value in actor.states[0].seen().items()}
    moments: list[Tensor] = []
    policy.sample(
        {name: torch.from_numpy(values).float() for name, values in seen.items()},
        [Generator().manual_seed(1000 * seed + row) for row in range(chunks)],
        watch=moments.append,
    )
    first = policy.config["observation_steps"] - 1
    return ChunkStory(
        picture=picture,
        actions=np.stack([moment[:, first:].cpu().numpy() for moment in moments]).astype(np.float32),
        agent=np.asarray(episode.observation["agent_pos"], dtype=np.float32),
        sampler=policy.sampler,
        carried=policy.config["action_steps"],
    )


def _frames(story: ChunkStory, groups: list[list[int]]) -> Iterator[Picture]:
    """A picture for each group of moments, a panel for each of its members."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    last = story.actions[-1].reshape(-1, 2)
    low, high = np.minimum(last.min(0), story.agent) - MARGIN, np.maximum(last.max(0), story.agent) + MARGIN
    half = float((high - low).max() / 2)
    x, y = np.clip((low + high) / 2, min(half, SIDE / 2), max(SIDE - half, SIDE / 2))
    colours = mpl.colormaps["plasma"](np.linspace(0, 0.9, story.actions.shape[2]))
    for group in groups:
        figure = Figure(figsize=(2.6 * len(group), 2.85), dpi=110, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for axes, moment in zip(np.atleast_1d(figure.subplots(1, len(group))), group, strict=True):
            axes.imshow(story.picture, extent=(0, SIDE, SIDE, 0), alpha=0.55)
            for chunk in story.actions[moment]:
                axes.plot(*chunk.T, color="0.35", linewidth=0.5, alpha=0.35, zorder=2)
                axes.scatter(*chunk.T, c=colours, s=7, zorder=3, linewidths=0)
            axes.set(xlim=(x - half, x + half), ylim=(y + half, y - half), xticks=[], yticks=[])
            axes.set_title("noise" if moment == 0 else f"step {moment} of {story.denoising_steps}", fontsize=9)
        canvas.draw()  # type: ignore[no-untyped-call]
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def plot_chunk(story: ChunkStory, out: Path) -> None:
    """Draw the chunks: six moments side by side (`.png`), or one after another (`.gif`, `.mp4`).

    Every dot is an action, the first ones dark, the last ones yellow, over the moment at which they are drawn.

    Raises:
        PolicyError: the suffix is another one, or `out` cannot be written.
    """
    check_picture_suffix(out, (*STILL, *MOVING))
    every = list(range(len(story.actions)))
    if out.suffix.lower() in STILL:
        groups = [sorted({round(place) for place in np.linspace(0, story.denoising_steps, PANELS).tolist()})]
    else:
        groups = [[moment] for moment in every]
    write_pictures(list(_frames(story, groups)), out, fps=min(FPS, max(2.0, len(every) / 3)))
