"""The convolutional denoiser of Diffusion Policy (Chi et al. 2023, section III-A; Janner et al. 2022), written anew.

A U-Net along the horizon. Time and observation reach every residual block as a scale and a shift of its channels (FiLM,
Perez et al. 2018). Both go through a Mish and a linear map; the map of the two side by side is the sum of two maps, so
that of the observation is taken once a chunk (`observe`) and that of each time once a chunk for all times
(`embed_time`).

Dimensions: b batch, h horizon, a action, o observation steps, c channels of an observation step, k times, x channels,
n scales and shifts of all blocks.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.functional import mish

from suffuse.backbone.models import PretrainedModel, register_to_config
from suffuse.policy.model.denoiser import exactly, sinusoids

Films = Mapping[nn.Module, Float[Tensor, "b two_y"]]
"""Scales and shifts of each residual block."""


class ConvBlock(nn.Module):
    """Convolution, group norm, Mish."""

    def __init__(self, channels_in: int, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(groups, channels)

    def forward(self, x: Float[Tensor, "b x h"]) -> Float[Tensor, "b y h"]:
        """One block."""
        return mish(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two convolutions with a scale (told as its difference from 1) and a shift between them, and a shortcut."""

    def __init__(self, channels_in: int, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.channels = channels
        self.first = ConvBlock(channels_in, channels, kernel, groups)
        self.second = ConvBlock(channels, channels, kernel, groups)
        self.shortcut = nn.Conv1d(channels_in, channels, 1) if channels_in != channels else nn.Identity()

    def forward(self, x: Float[Tensor, "b x h"], film: Float[Tensor, "b two_y"]) -> Float[Tensor, "b y h"]:
        """One block; `film` has the scales, then the shifts."""
        scale, shift = film[..., None].chunk(2, dim=1)
        return self.second((1 + scale) * self.first(x) + shift) + self.shortcut(x)


class Level(nn.Module):
    """Two residual blocks at one resolution, and the way to the next one."""

    def __init__(self, channels_in: int, channels: int, kernel: int, groups: int, onward: nn.Module) -> None:
        super().__init__()
        self.first = ResidualBlock(channels_in, channels, kernel, groups)
        self.second = ResidualBlock(channels, channels, kernel, groups)
        self.onward = onward

    def forward(self, x: Float[Tensor, "b x h"], films: Films) -> Float[Tensor, "b y h"]:
        """The blocks, without the way onward."""
        return self.second(self.first(x, films[self.first]), films[self.second])


class ActionUNet(PretrainedModel):
    """A U-Net over the horizon, told time and observation by FiLM.

    Args:
        action_size: channels a of an action.
        horizon: actions h of a chunk; a multiple of 2 ** (len(widths) - 1).
        observation_steps: observation steps o that are seen.
        observation_size: channels c of an observation step.
        widths: channels at each resolution; each a multiple of `groups`.
        kernel: width of the convolutions, odd.
        groups: of the group norms.
        time_size: channels of the time embedding, even.

    Raises ValueError for a horizon, a width, a kernel or a time size that does not fit.
    """

    @register_to_config
    def __init__(
        self,
        *,
        action_size: int,
        horizon: int,
        observation_steps: int,
        observation_size: int,
        widths: Sequence[int] = (256, 512, 1024),
        kernel: int = 5,
        groups: int = 8,
        time_size: int = 128,
    ) -> None:
        super().__init__()
        if horizon % 2 ** (len(widths) - 1):
            raise ValueError(f"horizon is {horizon}; it must be a multiple of {2 ** (len(widths) - 1)}")
        if any(width % groups for width in widths) or kernel % 2 == 0 or time_size % 2:
            raise ValueError(
                f"widths {tuple(widths)} must be multiples of groups ({groups}), kernel ({kernel}) odd and "
                f"time_size ({time_size}) even"
            )
        pairs = list(zip((action_size, *widths), widths, strict=False))
        self.time_in = nn.Sequential(
            nn.Linear(time_size, 4 * time_size), nn.Mish(), nn.Linear(4 * time_size, time_size)
        )
        self.down = nn.ModuleList()
        for number, (before, after) in enumerate(pairs):
            halve = nn.Conv1d(after, after, 3, stride=2, padding=1) if number + 1 < len(pairs) else nn.Identity()
            self.down.append(Level(before, after, kernel, groups, halve))
        self.middle = Level(widths[-1], widths[-1], kernel, groups, nn.Identity())
        self.up = nn.ModuleList()
        for before, after in reversed(pairs[1:]):
            double = nn.ConvTranspose1d(before, before, 4, stride=2, padding=1)
            self.up.append(Level(2 * after, before, kernel, groups, double))
        self.out = nn.Sequential(ConvBlock(widths[0], widths[0], kernel, groups), nn.Conv1d(widths[0], action_size, 1))
        self.blocks = [module for module in self.modules() if isinstance(module, ResidualBlock)]
        films = sum(2 * block.channels for block in self.blocks)
        self.time_film = nn.Linear(time_size, films)
        self.observation_film = nn.Linear(observation_steps * observation_size, films, bias=False)

    def observe(self, observation: Float[Tensor, "b o c"]) -> Float[Tensor, "b n"]:
        """What the observation adds to the scales and shifts of all blocks."""
        return exactly(self.observation_film, mish(observation.flatten(1)))

    def embed_time(self, times: Num[Tensor, " k"]) -> Float[Tensor, "k n"]:
        """What each time adds to the scales and shifts of all blocks."""
        return self.time_film(mish(self.time_in(sinusoids(times, self.config["time_size"]).to(self.dtype))))

    def denoise(
        self, actions: Float[Tensor, "b h a"], time: Float[Tensor, "#b n"], observed: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b h a"]:
        """One prediction, from rows of `embed_time` (one for all, or one each) and the result of `observe`."""
        parts = torch.split(time + observed, [2 * block.channels for block in self.blocks], dim=-1)
        films: Films = dict(zip(self.blocks, parts, strict=True))
        x, skips = actions.transpose(1, 2), []
        for level in self.down:
            assert isinstance(level, Level)
            x = level(x, films)
            skips.append(x)
            x = level.onward(x)
        x = self.middle(x, films)
        for level in self.up:
            assert isinstance(level, Level)
            x = level.onward(level(torch.cat([x, skips.pop()], dim=1), films))
        return self.out(x).transpose(1, 2)

    def forward(
        self, actions: Float[Tensor, "b h a"], times: Num[Tensor, " b"], observation: Float[Tensor, "b o c"]
    ) -> Float[Tensor, "b h a"]:
        """The prediction for noisy actions at a time each."""
        return self.denoise(actions, self.embed_time(times), self.observe(observation))
