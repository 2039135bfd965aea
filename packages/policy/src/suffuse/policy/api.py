"""What one does with a policy in a simulated task: evaluate it, or watch one episode."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from suffuse.policy.data.video import write_video
from suffuse.policy.environments.actors import Actor, PolicyActor, RandomActor
from suffuse.policy.environments.evaluation import (
    FIRST_HELD_OUT_SEED,
    Evaluation,
    Outcome,
    roll_out,
    summarise,
    time_of,
)
from suffuse.policy.environments.task import Episode, Task, task_by_name
from suffuse.policy.errors import ModelError, ObservationError
from suffuse.policy.experts.scripted import expert_for
from suffuse.policy.model.noise import Sampler
from suffuse.policy.model.policy import DiffusionPolicy, OutOfBounds
from suffuse.policy.model.pretrained import load_policy
from suffuse.policy.shortcuts import ShortcutName, use_shortcut

BASELINES: dict[str, Callable[[Task], Actor]] = {
    "random": lambda task: RandomActor(),
    "expert": lambda task: expert_for(task).make(task),
    "planner": lambda task: expert_for(task).make(task),  # what the expert of PushT is
}
"""What acts without a model: uniform actions, and the scripted expert of the task."""

TIMED_CHUNKS = 50
SLOTS = 50


def load_actor(
    name_or_path: str | Path,
    task: Task,
    *,
    sampler: Sampler | None = None,
    steps: int | None = None,
    action_steps: int | None = None,
    shortcut: ShortcutName | None = None,
    budget: float | None = None,
    out_of_bounds: OutOfBounds = "clamp",
) -> Actor:
    """A baseline by name, or a policy (shipped, or a model directory) that sees what the task shows.

    `action_steps` actions of a chunk are carried out before the next one is drawn; the model's own number by default. A
    shortcut leaves out part of the denoiser, down to `budget`, a share of its work in (0, 1]; see
    `suffuse.policy.shortcuts`.

    Raises:
        ModelError: there is no such model, it was trained for another task, or a baseline is told how to draw chunks.
        ObservationError: the task does not show what the policy sees.
        ValueError: the sampler, a number of steps, the shortcut or its budget does not fit the model.
    """
    if (shortcut is None) != (budget is None):
        raise ValueError("a shortcut and its budget go together: name both or neither")
    name = str(name_or_path)
    if name in BASELINES and not Path(name).exists():
        if any(given is not None for given in (sampler, steps, action_steps, shortcut)):
            raise ModelError(f"{name} draws no chunks: leave sampler, steps, action steps and shortcut out")
        return BASELINES[name](task)
    policy = load_policy(name_or_path)
    if policy.config["task"] not in ("", task.name):
        raise ModelError(f"{name} was trained for {policy.config['task']}, not for {task.name}")
    if sampler is not None or steps is not None:
        policy.use_sampler(sampler or policy.sampler, steps or policy.sampling_steps)
    if action_steps is not None:
        policy.use_action_steps(action_steps)
    check_sees(policy, task)
    actor = PolicyActor(policy, out_of_bounds=out_of_bounds)
    if shortcut is not None and budget is not None:
        calibration = use_shortcut(policy, shortcut, budget=budget, model=name_or_path, task=task)
        actor.settings = {"shortcut": shortcut, "budget": budget}
        if calibration is not None:
            names = ("fraction", "episodes", "spread", "error")
            actor.settings |= {f"calibration_{name}": getattr(calibration, name) for name in names}
    return actor


def check_sees(policy: DiffusionPolicy, task: Task) -> None:
    """Raises ObservationError unless the task shows everything that the policy sees, in the same shape."""
    environment = task.showing(policy.shapes).make()
    try:
        shown = dict(environment.observation_space)  # type: ignore[call-overload]
    finally:
        environment.close()
    for name, shape in policy.shapes.items():
        if name not in shown or tuple(shown[name].shape) != shape:
            found = f"has shape {tuple(shown[name].shape)} there" if name in shown else "is not shown there"
            raise ObservationError(f"the policy sees {name} of shape {shape}, which in {task.name} {found}")


def _shown_to(actor: Actor, task: Task) -> Task:
    """The task as a policy has to be shown it; others see what it shows by itself."""
    return task.showing(actor.policy.shapes) if isinstance(actor, PolicyActor) else task


def evaluate(
    model: str | Path | Actor,
    env: str,
    *,
    episodes: int = 100,
    first_seed: int = FIRST_HELD_OUT_SEED,
    sampler: Sampler | None = None,
    steps: int | None = None,
    action_steps: int | None = None,
    shortcut: ShortcutName | None = None,
    budget: float | None = None,
    slots: int = SLOTS,
    on_end: Callable[[Outcome], None] | None = None,
) -> Evaluation:
    """How good a policy or baseline is, over episodes with the seeds `first_seed`, `first_seed + 1` ...

    Args:
        model: a shipped model, a model directory, `random`, `expert` (`planner` is the same), or an actor.
        env: the gymnasium id of a task.
        episodes: how many, > 0.
        first_seed: seeds from 100000 on are held out from training and demonstrations.
        sampler, steps: how chunks are drawn; the model's own way by default.
        action_steps: actions of a chunk that are carried out; the model's own number by default.
        shortcut, budget: what is left out, see `load_actor`; nothing by default.
        slots: episodes run at once; with one, actions are those of `select_action` bit for bit (see `PolicyActor`).
        on_end: told every outcome as it comes.

    `cpu_ms_per_chunk` is measured afterwards on one robot, over 50 chunks.

    Raises:
        PolicyError: the model or the task cannot be used.
        ValueError: a number is out of range.
    """
    task = task_by_name(env)
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; it must be at least 1")
    if isinstance(model, str | Path):
        actor = load_actor(
            model, task, sampler=sampler, steps=steps, action_steps=action_steps, shortcut=shortcut, budget=budget
        )
    else:
        actor = model
    task = _shown_to(actor, task)
    seeds = range(first_seed, first_seed + episodes)
    outcomes = roll_out(task, actor, seeds, slots=min(slots, episodes), on_end=on_end)
    label = str(model) if isinstance(model, str | Path) else type(actor).__name__
    if not isinstance(actor, PolicyActor):
        return summarise(task, label, outcomes)
    policy = actor.policy
    environment = task.make()
    try:
        start = Episode(task, environment, first_seed).observation
    finally:
        environment.close()
    seen = {name: np.stack([start[name]] * policy.config["observation_steps"]) for name in policy.shapes}
    policy.reset(first_seed)
    return summarise(
        task, label, outcomes,
        chunk_ms=time_of(lambda: policy.predict_action_chunk(seen), TIMED_CHUNKS),
        clamped_share=actor.clamped / actor.drawn,
        settings={
            "sampler": policy.sampler, "steps": policy.sampling_steps, "action_steps": policy.config["action_steps"],
            "slots": min(slots, episodes), **actor.settings,
        },
    )  # fmt: skip


def run(
    model: str | Path | Actor,
    env: str,
    *,
    seed: int = FIRST_HELD_OUT_SEED,
    sampler: Sampler | None = None,
    steps: int | None = None,
    action_steps: int | None = None,
    shortcut: ShortcutName | None = None,
    budget: float | None = None,
    video: Path | None = None,
    on_step: Callable[[Episode], None] | None = None,
) -> Outcome:
    """One episode from its seed to its end, with a video of it (MP4) if a path is given.

    Raises:
        PolicyError: the model or the task cannot be used, or the video cannot be written.
    """
    task = task_by_name(env)
    if isinstance(model, str | Path):
        actor = load_actor(
            model, task, sampler=sampler, steps=steps, action_steps=action_steps, shortcut=shortcut, budget=budget
        )
    else:
        actor = model
    task = _shown_to(actor, task)
    environment = task.make()
    frames: list[UInt8[np.ndarray, "i j 3"]] = []
    try:
        episode = Episode(task, environment, seed)
        actor.begin(0, episode)
        while not episode.over:
            episode.step(actor.act({0: episode})[0])
            if video is not None:
                picture: Any = environment.render()
                frames.append(np.asarray(picture, dtype=np.uint8))
            if on_step is not None:
                on_step(episode)
    finally:
        environment.close()
    if video is not None:
        write_video(frames, video, fps=task.fps)
    return Outcome(seed=seed, max_reward=episode.max_reward, steps=episode.steps, success=episode.success)
