"""Observations of several kinds to one vector a step.

An observation of one axis (joint angles, keypoints, a pose) is normalised and passed on; one of two axes is flattened
first; one of three is an image, uint8, (height, width, channels): cropped, in training at random, and encoded by
`ImageEncoder`.

Dimensions: b batch, o observation steps, c channels of an observation step.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from suffuse.policy.model.normaliser import Normaliser
from suffuse.policy.model.resnet import ImageEncoder


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether an observation of this shape is an image."""
    return len(shape) == 3


class ObservationEncoder(nn.Module):
    """Vectors of all observations side by side, in the order of their names.

    Args:
        shapes: the shape of one step of every observation, by name.
        crop: share of an image's height and width that is seen, in (0, 1]: a random part in training, else the middle.
        keypoints: of every image.

    Raises ValueError if `crop` is outside its range, or a shape has no axis or more than three.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], *, crop: float = 0.875, keypoints: int = 32) -> None:
        super().__init__()
        if not 0 < crop <= 1:
            raise ValueError(f"crop is {crop}; it must be in (0, 1]")
        for name, shape in shapes.items():
            if not 1 <= len(shape) <= 3:
                raise ValueError(f"{name} has shape {shape}; it must have one to three axes")
        self.shapes, self.crop = dict(shapes), crop
        plain = {name: shape for name, shape in shapes.items() if not is_image(shape)}
        self.normalisers = nn.ModuleDict({name: Normaliser(shape) for name, shape in plain.items()})
        self.images = nn.ModuleDict(
            {name: ImageEncoder(shape[2], keypoints) for name, shape in shapes.items() if is_image(shape)}
        )
        sizes = [int(torch.Size(shape).numel()) for shape in plain.values()]
        self.channels = sum(sizes) + 2 * keypoints * len(self.images)

    def forward(self, observations: Mapping[str, Shaped[Tensor, "b o ..."]]) -> Float[Tensor, "b o c"]:
        """The vector of every step."""
        parts = []
        for name, shape in self.shapes.items():
            values = observations[name]
            if is_image(shape):
                pictures = values.flatten(0, 1).movedim(-1, 1).float() / 127.5 - 1
                parts.append(self.images[name](self._cropped(pictures)).unflatten(0, values.shape[:2]))
            else:
                parts.append(self.normalisers[name](values.float()).flatten(2))
        return torch.cat(parts, dim=-1)

    def _cropped(self, images: Float[Tensor, "n x i j"]) -> Float[Tensor, "n x k l"]:
        """A part of every image: one place for all images of a call."""
        (height, width), (rows, columns) = images.shape[-2:], (int(self.crop * side) for side in images.shape[-2:])
        top, left = (height - rows) // 2, (width - columns) // 2
        if self.training:
            top, left = (int(torch.randint(room + 1, ())) for room in (height - rows, width - columns))
        return images[..., top : top + rows, left : left + columns]
