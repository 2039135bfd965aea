"""The study's diffusion: a straight path between image and noise, and its velocity.

x_t = (1 - t) x_0 + t e with e ~ N(0, 1), t in [0, 1]; the model predicts v = e - x_0 (rectified flow, Liu, Gong and Liu
2023, arXiv 2209.03003, eq. 1). t is drawn from a logit-normal (Esser et al. 2024, arXiv 2403.03206, eq. 19). A class is
replaced by "none" in a tenth of the cases, for guidance.

Dimensions: b samples.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone_cli.study.fashion import CLASSES, SIZE

NO_CLASS = len(CLASSES)
"""The label that says nothing."""

DROPPED = 0.1
TIMESTEPS = 1000
"""t = 1 is the model's timestep 1000."""

Images = Float[Tensor, "b 1 32 32"]
Labels = Int64[Tensor, " b"]


def scaled(images: Tensor) -> Tensor:
    """Bytes to [-1, 1]."""
    return images.float() / 127.5 - 1


def velocity(model: nn.Module, x: Images, t: Float[Tensor, " b"], labels: Labels) -> Images:
    """What the model says of v at (x, t)."""
    output: Tensor = model(x, TIMESTEPS * t, class_labels=labels).sample
    return output


def flow_loss(model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
    """Mean squared error of the velocity. A batch has bytes, "images", and "labels"."""
    clean, labels = scaled(batch["images"]), batch["labels"]
    device, samples = clean.device, len(clean)
    noise = torch.randn(clean.shape, generator=generator, device=device)
    t = torch.sigmoid(torch.randn(samples, generator=generator, device=device))
    dropped = torch.rand(samples, generator=generator, device=device) < DROPPED
    noisy = torch.lerp(clean, noise, t[:, None, None, None])
    told = torch.where(dropped, NO_CLASS, labels)
    return {"loss": F.mse_loss(velocity(model, noisy, t, told).float(), noise - clean)}


def start(labels: Labels, seed: int) -> Images:
    """The noise that sampling begins with, the same for each (seed, place in the batch), whatever the batch's size."""
    rows = [
        torch.randn(1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed * 1_000_003 + row))
        for row in range(len(labels))
    ]
    return torch.stack(rows)


@torch.no_grad()
def sample(
    model: nn.Module,
    labels: Labels,
    noise: Images,
    *,
    steps: int,
    guidance: float = 1.0,
    before: Callable[[int], None] | None = None,
) -> Images:
    """Euler's method from t = 1 to 0 in equal steps.

    Args:
        model: Predicts velocities.
        labels: The classes wanted.
        noise: Where to begin, see `start`.
        steps: Number of steps.
        guidance: Scale of classifier-free guidance; 1 is none. Otherwise each call has both branches in one batch.
        before: Is told the number of each step before it.
    """
    x = noise
    for step in range(steps):
        if before is not None:
            before(step)
        t = torch.full((len(x),), 1 - step / steps)
        if guidance == 1:
            v = velocity(model, x, t, labels)
        else:
            both = velocity(
                model, x.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([labels, torch.full_like(labels, NO_CLASS)])
            )
            told, free = both.chunk(2)
            v = free + guidance * (told - free)
        x = x - v / steps
    return x
