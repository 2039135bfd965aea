"""The scripted experts that Metaworld ships, as an actor: what they see is what a policy sees."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from suffuse.policy.environments.task import Episode, Task
from suffuse.policy.errors import TaskError


class MetaworldActor:
    """Metaworld's expert for one of its tasks, in several episodes. An expert remembers nothing."""

    def __init__(self, task: Task) -> None:
        """The expert of a task. Raises TaskError if Metaworld is not installed."""
        try:
            from metaworld.policies import ENV_POLICY_MAP
        except ImportError as error:
            raise TaskError(
                f"the expert for {task.name} needs {error.name}, which is not installed: "
                f"pip install 'suffuse-policy[{task.extra}]'"
            ) from error
        make: Any = ENV_POLICY_MAP[task.name.partition("/")[2]]
        self.expert = make()

    def begin(self, slot: int, episode: Episode) -> None:
        """Nothing is kept from one episode to the next."""

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, Float32[np.ndarray, " a"]]:
        """The next action of every episode under way, by slot, in [-1, 1], where the environment would cut it too."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the expert asks for more than that
            return {
                slot: np.clip(self.expert.get_action(episode.observation["state"]), -1, 1).astype(np.float32)
                for slot, episode in episodes.items()
            }
