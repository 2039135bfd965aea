"""Plain behaviour cloning: an MLP from what is seen to the actions that followed, their mean. A baseline.

It answers the calls of a denoiser, and looks neither at noisy actions nor at the time: with the process `regression`
there are none. Where people did one thing or another, it does what lies between.

Dimensions: b batch, h horizon, a action, o observation steps, c channels of an observation step, k times.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from suffuse.backbone.models import PretrainedModel, register_to_config
from suffuse.policy.model.denoiser import exactly


class ActionMLP(PretrainedModel):
    """Linear maps with GELUs between them.

    Args:
        action_size: channels a of an action.
        horizon: actions h of a chunk.
        observation_steps: observation steps o that are seen.
        observation_size: channels c of an observation step.
        width: channels of a hidden layer, > 0.
        depth: hidden layers, > 0.

    Raises ValueError if there are no hidden layers or channels.
    """

    @register_to_config
    def __init__(
        self,
        *,
        action_size: int,
        horizon: int,
        observation_steps: int,
        observation_size: int,
        width: int = 512,
        depth: int = 4,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ValueError(f"width is {width} and depth {depth}; each must be at least 1")
        self.horizon = horizon
        self.first = nn.Linear(observation_steps * observation_size, width)
        hidden = [part for _ in range(depth - 1) for part in (nn.Linear(width, width), nn.GELU())]
        self.rest = nn.Sequential(nn.GELU(), *hidden, nn.Linear(width, horizon * action_size))

    def observe(self, observation: Float[Tensor, "b o c"]) -> Float[Tensor, "b h a"]:
        """The actions: all there is to do, once per chunk."""
        return self.rest(exactly(self.first, observation.flatten(1))).unflatten(1, (self.horizon, -1))

    def embed_time(self, times: Num[Tensor, " k"]) -> Float[Tensor, "k 1"]:
        """Nothing is made of a time."""
        return torch.zeros(len(times), 1, device=times.device)

    def denoise(
        self, actions: Float[Tensor, "b h a"], time: Float[Tensor, "#b 1"], observed: Float[Tensor, "b h a"]
    ) -> Float[Tensor, "b h a"]:
        """The result of `observe`."""
        del actions, time
        return observed

    def forward(
        self, actions: Float[Tensor, "b h a"], times: Num[Tensor, " b"], observation: Float[Tensor, "b o c"]
    ) -> Float[Tensor, "b h a"]:
        """The actions after each observation."""
        return self.denoise(actions, self.embed_time(times), self.observe(observation))
