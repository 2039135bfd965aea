"""Shortcuts in a latent space: photographs of flowers, in colour, by a DiT over the real TAESD of Stable Diffusion 3.

    python benchmarks/backbone_colour.py --directory colour

Ten minutes of one idle core, most of it training; threads are pinned to one. Stopped in training, it goes on. The 3,480
photographs of 32 x 32 pixels and five kinds (CC BY, with their credits) and the autoencoder (MIT) are not part of the
product: they are looked for where SUFFUSE_DATA says. Each photograph becomes 16 channels of 4 x 4, and those 16 tokens
are what the transformer learns to make from noise, by the flow of the study. What is compared is decoded first. The
distance between sets is over means and deviations of the 16 channels, and to photographs that were not trained on.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.models.embeddings import LabelEmbedding
from machine import DATA, begin  # type: ignore[import-not-found]
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone import accelerate, calibrate
from suffuse.backbone.engine import Shortcut
from suffuse.backbone.sites import FlopCounter
from suffuse.backbone.train import TrainConfig, train
from suffuse.backbone_cli.study.measures import frechet_distance, interval, jackknife, moments

KINDS, CHANNELS, SIDE = 5, 16, 4
NO_KIND, DROPPED = KINDS, 0.1
STEPS, FINER, TRUTH, GUIDANCE = 30, 60, 200, 2.0
TUNING, MEASURED = 1_000, 0
"""Seeds of the noise."""


@dataclass(frozen=True)
class Photographs:
    """Latents and kinds; batch number k is drawn with replacement and depends on k alone."""

    latents: Tensor
    kinds: Tensor
    size: int = 64

    def __getitem__(self, index: int, /) -> dict[str, Tensor]:
        """A batch."""
        rows = torch.from_numpy(np.random.default_rng((0, index)).integers(len(self.kinds), size=self.size))
        return {"latents": self.latents[rows], "kinds": self.kinds[rows]}


def load(folder: Path) -> tuple[Any, Photographs, Photographs, Tensor]:
    """The autoencoder, the photographs for training and those held out, and the pixels of the latter."""
    kind: Any = diffusers.AutoencoderTiny  # diffusers has no types
    autoencoder = kind.from_pretrained(folder / "taesd/taesd3").eval().requires_grad_(False)
    data = np.load(folder / "flowers_ccby_32/flowers_ccby_32.npz")
    pixels = torch.from_numpy(data["images"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    latents = torch.cat([autoencoder.encode(some).latents for some in pixels.split(256)])
    kinds, held_out = torch.from_numpy(data["label"].astype(np.int64)), torch.from_numpy(data["is_heldout"])
    parts = [Photographs(latents[chosen], kinds[chosen]) for chosen in (~held_out, held_out)]
    return autoencoder, parts[0], parts[1], pixels[held_out]


def make() -> nn.Module:
    """A DiT of eight blocks, width 128, a token for each place."""
    torch.manual_seed(0)
    kind: Any = diffusers.DiTTransformer2DModel
    model: nn.Module = kind(
        num_attention_heads=4, attention_head_dim=32, in_channels=CHANNELS, out_channels=CHANNELS, num_layers=8,
        sample_size=SIDE, patch_size=1, num_embeds_ada_norm=KINDS,
    )  # fmt: skip
    for module in model.modules():
        if isinstance(module, LabelEmbedding):
            module.dropout_prob = 0.0  # the loss drops kinds once for all blocks
    return model


def velocity(model: nn.Module, x: Tensor, t: Tensor, kinds: Tensor) -> Tensor:
    """What the model says of noise less latents."""
    output: Tensor = model(x, 1000 * t, class_labels=kinds).sample
    return output


def loss(model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Mean squared error of the velocity."""
    clean, count = batch["latents"], len(batch["latents"])
    noise = torch.randn(clean.shape, generator=generator)
    t = torch.sigmoid(torch.randn(count, generator=generator))
    told = torch.where(torch.rand(count, generator=generator) < DROPPED, NO_KIND, batch["kinds"])
    noisy = torch.lerp(clean, noise, t[:, None, None, None])
    return {"loss": F.mse_loss(velocity(model, noisy, t, told), noise - clean)}


@torch.no_grad()
def sample(model: nn.Module, count: int, seed: int, steps: int) -> Tensor:
    """Latents by Euler's method; kinds go round."""
    generator, kinds = torch.Generator().manual_seed(seed), torch.arange(count) % KINDS
    x = torch.randn(count, CHANNELS, SIDE, SIDE, generator=generator)
    both = torch.cat([kinds, torch.full_like(kinds, NO_KIND)])
    for step in range(steps):
        t = torch.full((2 * count,), 1 - step / steps)
        told, free = velocity(model, x.repeat(2, 1, 1, 1), t, both).chunk(2)
        x = x - (free + GUIDANCE * (told - free)) / steps
    return x


def features(latents: Tensor) -> Tensor:
    """Means and deviations of the channels."""
    return torch.cat([latents.mean(dim=(2, 3)), latents.std(dim=(2, 3))], dim=1)


def compare(model: nn.Module, autoencoder: Any, real: Tensor, count: int, budgets: list[float]) -> None:
    """Print the table."""
    truth = decoded(autoencoder, sample(model, count, MEASURED, TRUTH))
    known = moments(features(real))

    def apart(one: Tensor, other: Tensor) -> float:
        return frechet_distance(*moments(one), *known) - frechet_distance(*moments(other), *known)

    def run(steps: int, shortcut: Shortcut | None = None) -> tuple[Tensor, float, float]:
        with FlopCounter() as counter:
            begun = time.process_time()
            if shortcut is None:
                latents = sample(model, count, MEASURED, steps)
            else:
                with accelerate(model, shortcut, steps=steps):
                    latents = sample(model, count, MEASURED, steps)
        return latents, float(counter.total), time.process_time() - begun

    def calibrated(name: str, share: float, steps: int) -> Callable[[], tuple[Tensor, float, float]]:
        found = calibrate(
            model, name, lambda episode: sample(model, 16, TUNING + episode, steps), budget=share, episodes=1,
            steps=steps,
        )  # fmt: skip
        return lambda: run(steps, found.make())

    full = run(STEPS)
    rows: list[tuple[str, str, Callable[[], tuple[Tensor, float, float]]]] = [("1", "full", lambda: full)]
    for budget in budgets:
        fewer = round(budget * STEPS)
        rows += [
            (f"{budget:g}", f"fewer steps ({fewer})", lambda fewer=fewer: run(fewer)),  # type: ignore[misc]
            (f"{budget:g}", "delta-cache", calibrated("delta-cache", budget, STEPS)),
            (f"{budget:g}", "forecast-cache", calibrated("forecast-cache", budget, STEPS)),
            (f"{budget:g}", f"forecast-cache, {FINER} steps", calibrated("forecast-cache", budget / 2, FINER)),
        ]
    print(
        "| budget | method | work | CPU s | PSNR dB, decoded | distance | distance over full |\n"
        "|---|---|---|---|---|---|---|"
    )
    for share, name, take in rows:
        latents, flops, cpu = take()
        mean, around = interval(psnr(decoded(autoencoder, latents), truth))
        distance = frechet_distance(*moments(features(latents)), *known)
        over, width = jackknife(apart, features(latents), features(full[0]))
        print(
            f"| {share} | {name} | {flops / full[1]:.2f} | {cpu:.1f} | {mean:.2f} ± {around:.2f} | {distance:.3f} "
            f"| {over:+.3f} ± {width:.3f} |",
            flush=True,
        )


def psnr(images: Tensor, truth: Tensor) -> Tensor:
    """Of each image in [-1, 1], in dB."""
    return 10 * torch.log10(4 / (images - truth).square().flatten(1).mean(dim=1).clamp(min=1e-12))


def decoded(autoencoder: Any, latents: Tensor) -> Tensor:
    """Pixels in [-1, 1]."""
    pixels: Tensor = autoencoder.decode(latents).sample.clamp(-1, 1)
    return pixels


def main() -> None:
    """Train, sample, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("-n", type=int, default=100, help="samples")
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.3, 0.6])
    given = parser.parse_args()
    torch.set_num_threads(1)
    begin(DATA / "flowers_ccby_32", "photographs")
    autoencoder, training, held_out, pixels = load(DATA)
    lost = float(psnr(decoded(autoencoder, held_out.latents), pixels).mean())
    print(f"TAESD encodes and decodes {len(pixels)} held-out photographs with {lost:.1f} dB")

    def evaluate(model: nn.Module, step: int) -> dict[str, float]:
        batch = {"latents": held_out.latents, "kinds": held_out.kinds}
        return {"held_out_loss": float(loss(model, batch, torch.Generator().manual_seed(0))["loss"])}

    begun = time.process_time()
    result = train(
        model=make(),
        loss=loss,
        batches=training,
        config=TrainConfig(steps=given.updates, learning_rate=1.5e-3, warmup_steps=100, ema_decay=0.998),
        directory=given.directory,
        evaluate=evaluate,
        resume=True,
    )
    print(
        f"{given.updates} updates of {training.size} photographs, {time.process_time() - begun:.0f} s CPU in this run, "
        f"held-out loss {result.evaluation['held_out_loss']:.4f}; {given.n} samples, guidance {GUIDANCE}, "
        f"full = {STEPS} steps, truth = {TRUTH}\n"
    )
    rows = np.random.default_rng(0).permutation(len(held_out.kinds))[: given.n]
    floor = frechet_distance(*moments(features(training.latents[rows])), *moments(features(held_out.latents)))
    print(f"Distance of {len(rows)} photographs that were trained on to those held out: {floor:.3f}\n")
    compare(result.model.requires_grad_(False), autoencoder, held_out.latents, given.n, given.budgets)


if __name__ == "__main__":
    main()
