"""Learning to see for a policy that acts on keypoints: its keypoints are read off a picture instead.

An image encoder's spatial softmax gives places in the picture, from -1 to 1 along each side, and a policy of PushT sees
corners, normalised to [-1, 1] over the arena that the picture shows: the same numbers. So the encoder learns, from
pictures that the simulator draws of known states, where the corners are, and takes the corners' place; everything
behind it stays as the policy of keypoints had it. (Training both from actions alone, as Chi et al. 2023 do, takes days
of a GPU; that is the recipe `pusht-image`.)

Dimensions: b pictures of a batch, k numbers of keypoints (x and y of each).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from suffuse.backbone.train import TrainConfig, train
from suffuse.policy.data.demonstrations import Demonstrations
from suffuse.policy.errors import ModelError
from suffuse.policy.model.policy import DiffusionPolicy

MEASURED = 512
"""Pictures that the eyes are measured on."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures, as bytes, and where their keypoints are, from -1 (left, top edge) to 1."""

    pixels: UInt8[Tensor, "b 3 i j"]
    keypoints: Float[Tensor, "b k"]

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Pictures":
        """The same on another device."""
        return Pictures(
            pixels=self.pixels.to(device, non_blocking=non_blocking),
            keypoints=self.keypoints.to(device, non_blocking=non_blocking),
        )


class PictureSource(Protocol):
    """Draws pictures of states; `source[k]` is the batch number k, always the same."""

    def __getitem__(self, index: int, /) -> Pictures:
        """Pictures of states near the demonstrated ones."""
        ...

    def demonstrated(self, demonstrations: Demonstrations, count: int) -> Pictures:
        """Pictures of `count` states of demonstrations, spread over all, as they are."""
        ...

    def close(self) -> None:
        """Free the simulator."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a policy learns to see, instead of being given it.

    Attributes:
        init: the policy of keypoints, where none is named.
        keypoints: its observation that is seen instead.
        pixels: the picture it is seen in.
        shape: of a picture: height, width, channels.
        side: of the picture, in the units of the keypoints.
        pictures: makes a source of pictures from demonstrations, so many a batch, by a seed.
    """

    init: str
    keypoints: str
    pixels: str
    shape: tuple[int, int, int]
    side: float
    pictures: Callable[[Demonstrations, int, int], PictureSource]


def keypoint_loss(eyes: nn.Module, batch: Pictures, generator: Generator) -> dict[str, Float[Tensor, ""]]:
    """The mean squared distance along an axis, in halves of the picture's side."""
    del generator
    return {"loss": (eyes(batch.pixels.float() / 127.5 - 1).float() - batch.keypoints).square().mean()}


def seeing(blind: DiffusionPolicy, sight: Sight) -> DiffusionPolicy:
    """A policy that looks where another one is given keypoints, and acts as that one does. Its eyes are untrained.

    Raises:
        ModelError: there is no such observation, or its picture would not stand in its place.
    """
    size = blind.shapes.get(sight.keypoints, ())
    if len(size) != 1 or size[0] % 2 or sight.pixels in blind.shapes:
        raise ModelError(
            f"the policy to see for has the observations {', '.join(blind.shapes)}; "
            f"it must be given {sight.keypoints}, x and y of each point, and no {sight.pixels}"
        )
    shapes = {sight.pixels if name == sight.keypoints else name: list(of) for name, of in blind.shapes.items()}
    shapes[sight.pixels] = list(sight.shape)
    if sorted(shapes) != list(shapes):
        raise ModelError(f"{sight.pixels} would not stand where {sight.keypoints} is among {', '.join(blind.shapes)}")
    config = {name: value for name, value in blind.config.items() if not name.startswith("_")}
    policy = DiffusionPolicy(**{**config, "observations": shapes, "crop": 1.0, "keypoints": size[0] // 2})
    weights = blind.state_dict()
    given = {name: weights.pop(name) for name in list(weights) if f"normalisers.{sight.keypoints}." in name}
    scale = torch.full(size, sight.side / 2)
    if not all(torch.equal(value, scale) for value in given.values()):
        raise ModelError(f"{sight.keypoints} must be normalised from [0, {sight.side:g}] in the policy to see for")
    policy.load_state_dict({**policy.state_dict(), **weights})
    return policy


def train_sight(
    demonstrations: Demonstrations,
    measured: Demonstrations | None,
    directory: Path,
    sight: Sight,
    config: TrainConfig,
    *,
    batch: int,
    blind: DiffusionPolicy,
    resume: bool = False,
) -> DiffusionPolicy:
    """Train the eyes of a policy; checkpoints go to `directory/run`, the policy with the averaged eyes to `directory`.

    Raises what `seeing` and the source of pictures raise.
    """
    torch.manual_seed(config.seed)
    policy = seeing(blind, sight)
    source = sight.pictures(demonstrations, batch, config.seed)
    try:
        shown = None if measured is None else source.demonstrated(measured, MEASURED)

        def evaluate(averaged: nn.Module, step: int) -> dict[str, float]:
            del step
            return {} if shown is None else keypoint_error(averaged, shown, side=sight.side)

        result = train(
            model=policy.encoder.images[sight.pixels], loss=keypoint_loss, batches=source, config=config,
            directory=directory / "run", evaluate=evaluate, resume=resume,
        )  # fmt: skip
    finally:
        source.close()
    policy.encoder.images[sight.pixels] = result.model
    policy.save_pretrained(directory)
    return policy


@torch.no_grad()
def keypoint_error(eyes: nn.Module, shown: Pictures, *, side: float) -> dict[str, float]:
    """How far from where they are keypoints are seen: root mean square and 95th percentile, in units of `side`."""
    parts = torch.split(shown.pixels, 64)
    seen = torch.cat([eyes(part.float() / 127.5 - 1) for part in parts])
    away = (seen - shown.keypoints).reshape(len(seen), -1, 2).norm(dim=-1) * side / 2
    return {
        "keypoint_rms": float(away.square().mean().sqrt()),
        "keypoint_p95": float(away.flatten().quantile(0.95)),
    }
