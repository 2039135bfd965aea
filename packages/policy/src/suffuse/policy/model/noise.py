"""How actions are noised in training and denoised in sampling, by the schedulers of diffusers.

Processes: `diffusion` is the variance-preserving one of DDPM (Ho et al. 2020) with the squared-cosine schedule
(Nichol and Dhariwal 2021): x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e, sampled by DDPM, DDIM (Song et al. 2021) or
DPM-Solver++ (Lu et al. 2022). `flow` is rectified flow (Liu et al. 2023; Lipman et al. 2023): x_s = (1 - s) x + s e
with the velocity e - x, sampled by Euler's method. And none: `regression` shows the network nothing of the actions, of
which it gives the mean, in one step, so that behaviour cloning is a policy like the others. Times run from 0 (clean) to
`train_steps`.

Dimensions: b batch, h horizon, a action.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args, runtime_checkable

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from jaxtyping import Float, Num
from torch import Generator, Tensor

Process = Literal["diffusion", "flow", "regression"]
Prediction = Literal["epsilon", "sample", "v_prediction"]
Sampler = Literal["ddpm", "ddim", "dpm", "flow", "mean"]

SAMPLERS: dict[Process, tuple[Sampler, ...]] = {
    "diffusion": ("ddpm", "ddim", "dpm"), "flow": ("flow",), "regression": ("mean",),
}  # fmt: skip
"""The samplers of each process."""


@runtime_checkable
class Scheduler(Protocol):
    """What is used of a diffusers scheduler."""

    timesteps: Tensor

    def set_timesteps(self, num_inference_steps: int) -> None:
        """Spread so many steps over the noise levels."""
        ...

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, generator: Any, return_dict: bool
    ) -> tuple[Tensor, ...]:
        """The sample one step later, first of all that is returned."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoiseProcess:
    """What is done to actions, and what the network has to find.

    Attributes:
        process: see the module.
        train_steps: noise levels of `diffusion`, and the unit of time of both processes, > 1.
        prediction: what the network of a `diffusion` gives: the noise, the clean actions, or the velocity of Salimans
            and Ho 2022; that of a `flow` always gives its velocity.
        clip: clean actions are kept in [-clip, clip] between steps of DDPM and DDIM, > 0; None leaves them.

    Raises:
        ValueError: a field is outside its range.
    """

    process: Process = "diffusion"
    train_steps: int = 100
    prediction: Prediction = "epsilon"
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        """Check every field."""
        if self.process not in get_args(Process):
            raise ValueError(f"process is {self.process!r}; it must be one of {', '.join(get_args(Process))}")
        if self.prediction not in get_args(Prediction):
            raise ValueError(f"prediction is {self.prediction!r}; it must be one of {', '.join(get_args(Prediction))}")
        if self.train_steps < 2:
            raise ValueError(f"train_steps is {self.train_steps}; it must be at least 2")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"clip is {self.clip}; it must be positive, or None")

    def scheduler(self, sampler: Sampler, steps: int) -> Scheduler:
        """A diffusers scheduler, set to `steps` steps.

        Raises:
            ValueError: the process is a regression, which has none, or what `check_sampler` raises.
        """
        self.check_sampler(sampler, steps)
        if sampler == "mean":
            raise ValueError("a regression is not drawn by a scheduler")
        made = cast("Scheduler", self._make(sampler))
        with warnings.catch_warnings():  # diffusers' own: it hands tensors to numpy in an old way
            warnings.simplefilter("ignore", DeprecationWarning)
            made.set_timesteps(steps)
        return made

    def check_sampler(self, sampler: Sampler, steps: int) -> None:
        """Raises ValueError if the sampler is not one of this process, or `steps` is outside its range.

        The range is [1, train_steps]; a regression has one step.
        """
        if sampler not in SAMPLERS[self.process]:
            raise ValueError(
                f"sampler is {sampler!r}; a {self.process} model is sampled by {', '.join(SAMPLERS[self.process])}"
            )
        most = 1 if sampler == "mean" else self.train_steps
        if not 1 <= steps <= most:
            raise ValueError(f"steps is {steps}; it must be in [1, {most}]")

    def _make(self, sampler: Sampler) -> Any:
        if sampler == "flow":
            return FlowMatchEulerDiscreteScheduler(num_train_timesteps=self.train_steps)  # type: ignore[no-untyped-call]
        shared: dict[str, Any] = {
            "num_train_timesteps": self.train_steps,
            "beta_schedule": "squaredcos_cap_v2",
            "prediction_type": self.prediction,
        }
        if sampler == "dpm":
            shared["lambda_min_clipped"] = -5.1  # as diffusers advises: this schedule's last level is almost pure noise
            return DPMSolverMultistepScheduler(  # type: ignore[no-untyped-call]
                **shared, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
            )
        clipped = {"clip_sample": self.clip is not None, "clip_sample_range": self.clip or 1.0}
        if sampler == "ddpm":
            return DDPMScheduler(**shared, **clipped, variance_type="fixed_small")  # type: ignore[no-untyped-call]
        return DDIMScheduler(**shared, **clipped, timestep_spacing="trailing")  # type: ignore[no-untyped-call]

    def draw_times(self, count: int, generator: Generator) -> Num[Tensor, " b"]:
        """A time for each of `count` samples: a level of the diffusion, or anything in (0, train_steps) of the flow."""
        device = generator.device
        if self.process == "regression":
            return torch.zeros(count, device=device)
        if self.process == "diffusion":
            return torch.randint(self.train_steps, (count,), generator=generator, device=device)
        normal = torch.randn(count, generator=generator, device=device)  # logit-normal (Esser et al. 2024, section 3.1)
        return normal.sigmoid() * self.train_steps

    def add_noise(
        self, clean: Float[Tensor, "b h a"], noise: Float[Tensor, "b h a"], times: Num[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b h a"], Float[Tensor, "b h a"]]:
        """The noisy actions at the given times, and what the network has to find in them."""
        if self.process == "regression":
            return torch.zeros_like(clean), clean
        if self.process == "flow":
            share = (times / self.train_steps)[:, None, None]
            return (1 - share) * clean + share * noise, noise - clean
        signal, spread = (part.to(clean.device)[times][:, None, None] for part in self._levels())
        noisy = signal * clean + spread * noise
        if self.prediction == "epsilon":
            return noisy, noise
        return noisy, clean if self.prediction == "sample" else signal * noise - spread * clean

    def _levels(self) -> tuple[Float[Tensor, " t"], Float[Tensor, " t"]]:
        """sqrt(abar_t) and sqrt(1 - abar_t) for every t."""
        schedule: Any = DDPMScheduler(num_train_timesteps=self.train_steps, beta_schedule="squaredcos_cap_v2")  # type: ignore[no-untyped-call]
        kept = schedule.alphas_cumprod
        return kept.sqrt(), (1 - kept).sqrt()
