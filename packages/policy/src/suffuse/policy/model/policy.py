"""A diffusion policy: what a robot sees in, what it does next out.

The policy of Chi et al. 2023 (arXiv:2303.04137): a denoiser is conditioned on the last `observation_steps` observations
and draws a chunk of `horizon` actions, of which the next `action_steps` are carried out before it is asked again.

Actions may be told relative to an observation (`relative_to`), as in the relative trajectories of Chi et al. 2024 (UMI,
arXiv:2402.10329): to where the robot is when the chunk begins. Outside the model they are always absolute.

Dimensions: b batch, o observation steps, h horizon, s action steps, a action.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Shaped
from torch import Generator, Tensor

from suffuse.backbone.models import PretrainedModel, register_to_config
from suffuse.backbone.shortcuts import BlockAdaptiveCache
from suffuse.backbone.sites import Backbone
from suffuse.console import because
from suffuse.policy.errors import ActionError, ObservationError
from suffuse.policy.model.continuation import Continuation, Towards, soft_mask
from suffuse.policy.model.denoiser import Denoiser
from suffuse.policy.model.mlp import ActionMLP
from suffuse.policy.model.noise import NoiseProcess, Sampler
from suffuse.policy.model.normaliser import Normaliser
from suffuse.policy.model.observation_encoder import ObservationEncoder, is_image
from suffuse.policy.model.receding_horizon import RecedingHorizon
from suffuse.policy.model.sampling import draw, make_schedule
from suffuse.policy.model.stepping import DenoisingStep, begin_chunk
from suffuse.policy.model.transformer import ActionTransformer
from suffuse.policy.model.unet import ActionUNet

Network = ActionTransformer | ActionUNet | ActionMLP
DENOISERS: dict[str, type[Network]] = {"transformer": ActionTransformer, "unet": ActionUNet, "mlp": ActionMLP}
OutOfBounds = Literal["clamp", "refuse"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ActionChunk:
    """Actions to carry out, in order, and which numbers of them had to be moved into their bounds."""

    actions: Float32[np.ndarray, "*b s a"]
    clamped: Bool[np.ndarray, "*b s a"]


class DiffusionPolicy(PretrainedModel):
    """Draws chunks of actions from observations.

    Args:
        observations: the shape of one step of every observation, by name; three axes are an image (see the encoder).
        action_size: numbers a in an action.
        observation_steps: observations o that are seen, the latest last.
        horizon: actions h of a chunk, from the moment of the first observation seen.
        action_steps: actions s of a chunk that are carried out.
        denoiser: arguments of the denoiser besides its sizes, and its `type`: transformer, unet or mlp.
        noise: arguments of `NoiseProcess`.
        relative_to: name of the observation that actions are told relative to; None for absolute actions.
        action_low: smallest number of every action that may reach the robot; None for no bound.
        action_high: largest number.
        sampler: how chunks are drawn unless `use_sampler` says otherwise: ddpm, ddim, dpm, flow or mean.
        sampling_steps: denoising steps of a chunk.
        crop: share of an image's height and width that is seen.
        keypoints: places that are looked for in every image.
        task: what the policy was trained for, in a word.

    Raises ValueError for arguments that do not fit together.
    """

    @register_to_config
    def __init__(
        self,
        *,
        observations: dict[str, list[int]],
        action_size: int,
        observation_steps: int = 2,
        horizon: int = 16,
        action_steps: int = 8,
        denoiser: dict[str, Any] | None = None,
        noise: dict[str, Any] | None = None,
        relative_to: str | None = None,
        action_low: list[float] | None = None,
        action_high: list[float] | None = None,
        sampler: Sampler = "ddim",
        sampling_steps: int = 10,
        crop: float = 0.875,
        keypoints: int = 32,
        task: str = "",
    ) -> None:
        super().__init__()
        needed = observation_steps - 1 + action_steps
        if min(observation_steps, action_steps) < 1 or horizon < needed:
            raise ValueError(
                f"horizon is {horizon}; it must be at least observation_steps - 1 + action_steps = {needed}, each >= 1"
            )
        shapes = {name: tuple(shape) for name, shape in sorted(observations.items())}
        if relative_to is not None and shapes.get(relative_to) != (action_size,):
            raise ValueError(
                f"relative_to is {relative_to!r}; it must name an observation of shape ({action_size},) as actions have"
            )
        for name, bound in (("action_low", action_low), ("action_high", action_high)):
            if bound is not None and len(bound) != action_size:
                raise ValueError(f"{name} has {len(bound)} numbers, an action has {action_size}")
        settings = dict(denoiser or {})
        kind = settings.pop("type", "transformer")
        if kind not in DENOISERS:
            raise ValueError(f"denoiser type is {kind!r}; it must be one of {', '.join(DENOISERS)}")
        self.shapes = shapes
        self.process = NoiseProcess(**(noise or {}))
        self.encoder = ObservationEncoder(shapes, crop=crop, keypoints=keypoints)
        self.action_normaliser = Normaliser((horizon, action_size))
        self.network: Network = DENOISERS[kind](
            action_size=action_size,
            horizon=horizon,
            observation_steps=observation_steps,
            observation_size=self.encoder.channels,
            **settings,
        )
        assert isinstance(self.network, Denoiser)
        self.low = torch.tensor([-torch.inf] * action_size if action_low is None else action_low)
        self.high = torch.tensor([torch.inf] * action_size if action_high is None else action_high)
        self._step = (DenoisingStep(self.network),)  # in a tuple: it is no part of the state dict
        self.use_sampler(sampler, sampling_steps)
        self.reset()

    # --- training

    def forward(
        self,
        observations: Mapping[str, Shaped[Tensor, "b o ..."]],
        actions: Float[Tensor, "b h a"],
        generator: Generator,
    ) -> Float[Tensor, "b h a"]:
        """Squared error of one prediction for each window, at times and with noise from `generator`."""
        clean = self.action_normaliser(actions - self._origin(observations))
        times = self.process.draw_times(len(clean), generator)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        noisy, wanted = self.process.add_noise(clean, noise, times)
        return (self.network(noisy, times, self.encoder(observations)).float() - wanted) ** 2

    def _origin(self, observations: Mapping[str, Shaped[Tensor, "b o ..."]]) -> Float[Tensor, "b 1 a"] | float:
        """Where actions are told from: the latest of the observation `relative_to`."""
        name = self.config["relative_to"]
        return 0.0 if name is None else observations[name][:, -1:].float()

    # --- drawing chunks

    def use_sampler(self, sampler: Sampler, steps: int) -> None:
        """Draw chunks by another sampler, or in another number of steps, from now on, and without a shortcut.

        Raises:
            ValueError: the sampler is not one of the model's noise process, or the number is outside its range.
        """
        self.schedule = make_schedule(self.process, sampler, steps)
        self.sampler, self.sampling_steps = sampler, steps
        self.shortcut: BlockAdaptiveCache | None = None

    def use_shortcut(self, shortcut: BlockAdaptiveCache | None) -> None:
        """Leave out residual branches of the denoiser in some steps, from now on; None computes all.

        Raises:
            ValueError: it is for another number of steps, or the denoiser has no such branches.
        """
        if shortcut is not None:
            if not isinstance(self.network, ActionTransformer):
                raise ValueError("there are no residual branches to leave out in this network: use a transformer")
            if shortcut.steps != self.sampling_steps:
                raise ValueError(f"the shortcut is for {shortcut.steps} steps; a chunk has {self.sampling_steps}")
            shortcut.sites(Backbone(self.step))
        self.shortcut = shortcut

    def use_action_steps(self, count: int) -> None:
        """Carry out so many actions of every chunk from now on; the policy is saved with that number.

        Raises:
            ValueError: the number is outside [1, horizon - observation_steps + 1].
        """
        most = self.config["horizon"] - self.config["observation_steps"] + 1
        if not 1 <= count <= most:
            raise ValueError(f"action_steps is {count}; it must be in [1, {most}]")
        self.register_to_config(action_steps=count)  # type: ignore[no-untyped-call]

    @property
    def step(self) -> DenoisingStep:
        """The network as the shared engine meets it, one call a denoising step."""
        return self._step[0]

    @torch.inference_mode()
    def sample(
        self,
        observations: Mapping[str, Shaped[Tensor, "b o ..."]],
        generators: Sequence[Generator],
        *,
        continuations: Sequence[Continuation | None] | None = None,
        pack: bool = True,
        watch: Callable[[Float[Tensor, "b h a"]], None] | None = None,
    ) -> Float[Tensor, "b h a"]:
        """A chunk of absolute actions for each sample, drawn with its own generator; not kept within bounds.

        Those with a continuation go on from what is planned. On a CPU a transformer computes in its packed form unless
        `pack` is False: the same but for rounding. `watch` is told the absolute actions before the first step and after
        every one.
        """
        own, times = list(generators), self.schedule.times.to(self.device)
        x = draw(torch.Size((self.config["horizon"], self.config["action_size"])), own, self.device)
        sampling, towards = self.schedule.start(), self._towards(observations, continuations)
        origin = self._origin(observations)
        with begin_chunk(self.step, self.encoder(observations), times, self.shortcut, pack=pack) as denoise:
            for number in range(len(times)):
                if watch is not None:
                    watch(self.action_normaliser.invert(x) + origin)
                x = sampling.step(number, x, denoise(x, number), own, towards=towards)
        actions = self.action_normaliser.invert(x) + origin
        if watch is not None:
            watch(actions)
        return actions

    def _towards(
        self,
        observations: Mapping[str, Shaped[Tensor, "b o ..."]],
        continuations: Sequence[Continuation | None] | None,
    ) -> Towards | None:
        """The planned actions of all samples in the units of the network."""
        given = list(continuations or [])
        if not any(given):
            return None
        first, horizon = self.config["observation_steps"] - 1, self.config["horizon"]
        wanted = torch.zeros(len(given), horizon, self.config["action_size"])
        weights = torch.zeros(len(given), horizon, 1)
        for row, one in enumerate(given):
            if one is not None:
                count = min(len(one.planned), horizon - first)
                wanted[row, first : first + count] = torch.from_numpy(one.planned[:count])
                mask = torch.from_numpy(soft_mask(min(one.fixed, count), count))
                weights[row, first : first + count, 0] = mask.float()
        return Towards(
            self.action_normaliser(wanted.to(self.device) - self._origin(observations)), weights.to(self.device)
        )

    def predict_action_chunk(
        self,
        observations: Mapping[str, Shaped[np.ndarray, "..."] | Shaped[Tensor, "..."]],
        *,
        generators: Sequence[Generator] | None = None,
        out_of_bounds: OutOfBounds = "clamp",
        continuations: Sequence[Continuation | None] | None = None,
    ) -> ActionChunk:
        """The next actions of one robot or of several.

        Args:
            observations: by name, the last `observation_steps` of one robot (o, ...), or of several (b, o, ...).
            generators: one for each robot; without them, the policy's own, which `reset` seeds.
            out_of_bounds: whether an action outside its bounds is moved to them, or refused.
            continuations: for each robot, what is planned and to be continued (real-time chunking), or None.

        Raises:
            ValueError: there are not as many generators or continuations as robots.
            ObservationError: an observation is missing, has another shape, or is not finite.
            ActionError: an action is not finite, or it is out of its bounds and that is refused.
        """
        given, single = self._checked(observations)
        count = len(next(iter(given.values())))
        own = generators if generators is not None else [self.generator] * count
        if len(own) != count:
            raise ValueError(f"there are {len(own)} generators for {count} robots")
        if continuations is not None and len(continuations) != count:
            raise ValueError(f"there are {len(continuations)} continuations for {count} robots")
        first = self.config["observation_steps"] - 1
        drawn = self.sample(given, own, continuations=continuations)[
            :, first : first + self.config["action_steps"]
        ].cpu()
        if not bool(torch.isfinite(drawn).all()):
            raise ActionError("the model gave an action that is not finite; nothing is sent to the robot")
        kept = drawn.clamp(self.low, self.high)
        moved = kept != drawn
        if out_of_bounds == "refuse" and bool(moved.any()):
            row, step, number = (int(i) for i in moved.nonzero()[0])
            raise ActionError(
                f"number {number} of action {step} is {float(drawn[row, step, number]):.6g}; it must be in "
                f"[{float(self.low[number]):.6g}, {float(self.high[number]):.6g}]"
            )
        actions, flags = kept.numpy().astype(np.float32), moved.numpy()
        return (
            ActionChunk(actions=actions[0], clamped=flags[0]) if single else ActionChunk(actions=actions, clamped=flags)
        )

    def check_one(self, observations: Mapping[str, Any]) -> dict[str, Shaped[np.ndarray, "o ..."]]:
        """The last observations of one robot as they must be. Raises ObservationError for any other."""
        given, single = self._checked(observations)
        if not single:
            raise ObservationError("there are observations of several robots; one was expected")
        return {name: values[0].cpu().numpy() for name, values in given.items()}

    def _checked(self, observations: Mapping[str, Any]) -> tuple[dict[str, Tensor], bool]:
        """Observations as tensors with a batch axis, and whether there was none."""
        steps = self.config["observation_steps"]
        found = {name: self._fitting(observations, name, (steps, *shape)) for name, shape in self.shapes.items()}
        single = {name: values.ndim == 1 + len(self.shapes[name]) for name, values in found.items()}
        batched = {name: values[None] if single[name] else values for name, values in found.items()}
        if len({len(values) for values in batched.values()}) > 1 or len(set(single.values())) > 1:
            raise ObservationError("observations are of different numbers of robots")
        return {name: values.to(self.device) for name, values in batched.items()}, all(single.values())

    def _fitting(
        self, observations: Mapping[str, Any], name: str, wanted: tuple[int, ...], *, robots: bool = True
    ) -> Shaped[Tensor, "..."]:
        """One observation as a tensor of the wanted shape, or with an axis more for robots. Raises ObservationError."""
        if name not in observations:
            raise ObservationError(f"there is no observation {name!r}, which the policy sees")
        try:
            values = torch.as_tensor(observations[name])
        except (TypeError, ValueError, RuntimeError) as error:
            raise ObservationError(f"{name} cannot be read as numbers: {because(error)}") from error
        if values.shape != wanted and not (robots and values.ndim == len(wanted) + 1 and values.shape[1:] == wanted):
            more = f" or (robots, {', '.join(map(str, wanted))})" if robots else ""
            raise ObservationError(f"{name} has shape {tuple(values.shape)}; it must be {wanted}{more}")
        if is_image(self.shapes[name]):
            if values.dtype != torch.uint8:
                raise ObservationError(f"{name} is {values.dtype}; an image must be uint8, from 0 to 255")
            return values
        if values.is_complex():
            raise ObservationError(f"{name} is {values.dtype}; it must be real numbers")
        values = values.float()
        if not bool(torch.isfinite(values).all()):
            raise ObservationError(f"{name} has a value that is not finite in single precision")
        return values

    # --- one robot in a loop

    def reset(self, seed: int | None = None) -> None:
        """Begin an episode: forget what was seen and planned; with a `seed`, its actions can be had again."""
        self.generator = Generator()
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)
        self.receding = RecedingHorizon(self.config["observation_steps"])

    def select_action(
        self, observation: Mapping[str, Any], *, out_of_bounds: OutOfBounds = "clamp"
    ) -> Float32[np.ndarray, " a"]:
        """The next action after one more observation (arrays by name; others than the policy's are not looked at).

        Call it once every control step.

        A chunk is drawn when the last one is used up. Raises what `predict_action_chunk` raises; an observation that is
        refused is forgotten, and the next one may be right.
        """
        fitting = {
            name: self._fitting(observation, name, shape, robots=False).numpy() for name, shape in self.shapes.items()
        }
        self.receding.see(fitting)
        if not self.receding.planned:
            self.receding.plan(self.predict_action_chunk(self.receding.seen(), out_of_bounds=out_of_bounds).actions)
        return self.receding.act()
