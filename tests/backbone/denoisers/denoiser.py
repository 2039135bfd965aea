"""A tiny denoiser, and what it makes of noise."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Denoiser:
    """A model and the keyword arguments of a call; `sample` and `time` name those that change from step to step."""

    model: nn.Module
    inputs: dict[str, Any]
    sample: str
    time: str

    def generate(self, steps: int, seed: int = 1) -> Tensor:
        """Euler steps from noise, as a flow model would take them; the outputs of all steps, in a row.

        Models whose output has another shape than their input are called with a new random input each time.
        """
        generator = torch.Generator().manual_seed(seed)
        first = self.inputs[self.sample]
        is_list = isinstance(first, list)
        x = torch.stack(first) if is_list else first
        tokens = not x.is_floating_point()
        drift = torch.randn(x.shape, generator=generator)
        outputs = []
        with torch.no_grad():
            for step in range(steps):
                time = self.inputs[self.time]
                time = time * (1 - 0.2 * step / steps) if isinstance(time, Tensor) else time
                call = self.inputs | {self.sample: list(x) if is_list else x, self.time: time}
                output = _first_tensor(self.model(**call))
                outputs.append(output.flatten())
                if not tokens:
                    x = x - output / steps if output.shape == x.shape else x + 0.1 * drift / steps
        return torch.cat(outputs)


def _first_tensor(output: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = output[0]
        if isinstance(output, list | tuple) and output and isinstance(output[0], Tensor):
            output = torch.stack(list(output))
    return output
