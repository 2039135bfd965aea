"""The steps of a sampler as numbers, worked out once: what is left to do for a chunk is a few sums a step.

Every sampler here takes a linear step. From noisy actions x and what the network found, f, follow the clean actions,
c = p x + q f, kept within the clip where there is one; the next x is A x + B c + C c' + D f + S e, with c' the clean
actions of the step before and e fresh noise. The timesteps and noise levels are those of the diffusers scheduler, and
so are the results, but for rounding; its own `step` takes longer than a small network's kept values.

Dimensions: b batch, h horizon, a action.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Generator, Tensor

from suffuse.policy.model.continuation import Towards
from suffuse.policy.model.noise import NoiseProcess, Prediction, Sampler


@dataclass(frozen=True, kw_only=True)
class Step:
    """The numbers of one step, named as in the module: `clean` is (p, q), the rest A, B, C, D, S."""

    clean: tuple[float, float]
    here: float = 0.0
    now: float = 0.0
    before: float = 0.0
    found: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """All steps of a sampler.

    Attributes:
        times: the time of each step, as the network is told it.
        steps: the numbers of each.
        clip: clean actions are kept in [-clip, clip]; None leaves them.
    """

    times: Num[Tensor, " k"]
    steps: tuple[Step, ...]
    clip: float | None

    def start(self) -> "Sampling":
        """A chunk, or several side by side, before the first step."""
        return Sampling(self)


class Sampling:
    """Chunks under way: remembers the clean actions of the step before."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._before: Tensor | None = None

    def step(
        self,
        number: int,
        x: Float[Tensor, "b h a"],
        found: Float[Tensor, "b h a"],
        generators: list[Generator],
        *,
        towards: Towards | None = None,
    ) -> Float[Tensor, "b h a"]:
        """Noisy actions one step on; fresh noise, where there is any, comes from each sample's own generator.

        `towards` moves the clean actions, and what the network found by as much as makes it speak of those.
        """
        step = self._schedule.steps[number]
        onward = x * step.here
        if step.now or step.before or towards is not None:
            clean = torch.add(x * step.clean[0], found, alpha=step.clean[1])
            if self._schedule.clip is not None:
                clean.clamp_(-self._schedule.clip, self._schedule.clip)
            if towards is not None:
                moved = towards(clean) - clean
                clean, found = clean + moved, found + moved / step.clean[1]
            onward.add_(clean, alpha=step.now)
            if step.before:
                assert self._before is not None
                onward.add_(self._before, alpha=step.before)
            self._before = clean
        if step.found:
            onward.add_(found, alpha=step.found)
        if step.noise:
            onward.add_(draw(x.shape[1:], generators, x.device), alpha=step.noise)
        return onward


def draw(shape: torch.Size, generators: list[Generator], device: torch.device) -> Float[Tensor, "b h a"]:
    """Standard normal numbers for each sample from its own generator, which may be one for several."""
    if len(generators) == 1:
        return torch.randn(shape, generator=generators[0], device=generators[0].device)[None].to(device)
    return torch.stack([torch.randn(shape, generator=own, device=own.device) for own in generators]).to(device)


def make_schedule(process: NoiseProcess, sampler: Sampler, steps: int) -> Schedule:
    """The steps of a sampler.

    Raises:
        ValueError: the sampler is not one of the process, or `steps` is outside [1, train_steps].
    """
    process.check_sampler(sampler, steps)
    if sampler == "mean":
        return Schedule(times=torch.zeros(1), steps=(Step(clean=(0.0, 1.0), now=1.0),), clip=None)
    theirs: Any = process.scheduler(sampler, steps)
    times: Tensor = theirs.timesteps
    if sampler == "flow":
        spread = theirs.sigmas.tolist()
        return Schedule(
            times=times, clip=None,
            steps=tuple(
                Step(clean=(1.0, -now), here=1.0, found=after - now) for now, after in pairwise(spread)
            ),
        )  # fmt: skip
    if sampler == "dpm":
        return Schedule(times=times, clip=None, steps=_second_order(theirs.sigmas.tolist(), process.prediction))
    kept = theirs.alphas_cumprod.tolist()
    hop = process.train_steps // steps
    made = []
    for time in times.tolist():
        before = kept[time - hop] if time >= hop else 1.0
        if sampler == "ddpm":
            made.append(_ancestral(kept[time], before, process.prediction, last=time == 0))
        else:
            made.append(_implicit(kept[time], before, process.prediction))
    return Schedule(times=times, steps=tuple(made), clip=process.clip)


def _clean(signal: float, spread: float, prediction: Prediction) -> tuple[float, float]:
    """p and q: clean actions from x = signal c + spread e and what the network says."""
    if prediction == "sample":
        return 0.0, 1.0
    return (signal, -spread) if prediction == "v_prediction" else (1 / signal, -spread / signal)


def _ancestral(kept: float, before: float, prediction: Prediction, *, last: bool) -> Step:
    """DDPM (Ho et al. 2020, equations 6 and 7), with the variance of the posterior."""
    alpha = kept / before
    variance = max((1 - before) / (1 - kept) * (1 - alpha), 1e-20)
    return Step(
        clean=_clean(math.sqrt(kept), math.sqrt(1 - kept), prediction),
        here=math.sqrt(alpha) * (1 - before) / (1 - kept),
        now=math.sqrt(before) * (1 - alpha) / (1 - kept),
        noise=0.0 if last else math.sqrt(variance),
    )


def _implicit(kept: float, before: float, prediction: Prediction) -> Step:
    """DDIM (Song et al. 2021, equation 12) without fresh noise; the noise in x is that of unclipped clean actions."""
    signal, spread = math.sqrt(kept), math.sqrt(1 - kept)
    of_x, of_found = {
        "epsilon": (0.0, 1.0),
        "v_prediction": (spread, signal),
        "sample": (1 / spread, -signal / spread),
    }[prediction]
    onward = math.sqrt(1 - before)
    return Step(
        clean=_clean(signal, spread, prediction), here=onward * of_x, now=math.sqrt(before), found=onward * of_found
    )


def _second_order(ratios: list[float], prediction: Prediction) -> tuple[Step, ...]:
    """DPM-Solver++ (2M) (Lu et al. 2022, algorithm 2) from the ratios of noise to signal at every step and after it.

    The first and the last step are of first order, and so is one after a step that went nowhere: with many steps, some
    share a noise level.
    """
    count = len(ratios) - 1
    signal = [1 / math.sqrt(ratio**2 + 1) for ratio in ratios]
    spread = [ratio * part for ratio, part in zip(ratios, signal, strict=True)]
    level = [-math.log(ratio) if ratio > 0 else math.inf for ratio in ratios]
    steps = []
    for i in range(count):
        pace = -signal[i + 1] * math.expm1(level[i] - level[i + 1])
        first = i in (0, count - 1) or level[i] == level[i - 1]
        back = 0.0 if first else 0.5 * pace * (level[i + 1] - level[i]) / (level[i] - level[i - 1])
        steps.append(
            Step(
                clean=_clean(signal[i], spread[i], prediction),
                here=spread[i + 1] / spread[i],
                now=pace + back,
                before=-back,
            )
        )
    return tuple(steps)
