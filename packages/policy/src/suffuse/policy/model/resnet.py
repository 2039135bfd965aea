"""Images to keypoints: a ResNet-18 (He et al. 2016) with group norm, and a spatial softmax (Finn et al. 2016).

Batch norm mixes the samples of a batch and quarrels with averaged weights; Diffusion Policy puts group norm in its
place, 16 channels a group (Chi et al. 2023, section III-B). The spatial softmax reads each feature map as a probability
over places and gives its mean: where in the picture a thing is, not what it is.

Dimensions: b batch, i and j rows and columns of pixels, p keypoints, x channels of a map.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

CHANNELS_A_GROUP = 16
STAGES = (64, 128, 256, 512)


def norm(channels: int) -> nn.GroupNorm:
    """Group norm of 16 channels a group."""
    return nn.GroupNorm(channels // CHANNELS_A_GROUP, channels)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is projected where the shape changes (He et al. 2016, figure 5)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.first_norm = norm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = norm(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), norm(channels))

    def forward(self, maps: Float[Tensor, "b x i j"]) -> Float[Tensor, "b y k l"]:
        """One block."""
        inner = relu(self.first_norm(self.first(maps)))
        return relu(self.shortcut(maps) + self.second_norm(self.second(inner)))


class ResNet18(nn.Module):
    """Feature maps of 512 channels at 1/32 of the size, rounded up."""

    def __init__(self, channels_in: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in, STAGES[0], 7, stride=2, padding=3, bias=False),
            norm(STAGES[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        blocks: list[nn.Module] = []
        width = STAGES[0]
        for number, channels in enumerate(STAGES):
            blocks += [BasicBlock(width, channels, 1 if number == 0 else 2), BasicBlock(channels, channels, 1)]
            width = channels
        self.stages = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "b x i j"]) -> Float[Tensor, "b 512 k l"]:
        """Feature maps of images."""
        return self.stages(self.stem(images))


def spatial_softmax(maps: Float[Tensor, "b p i j"]) -> Float[Tensor, "b p 2"]:
    """The mean place (x, y) of each map's softmax, from -1 (left, top edge) to 1; 0 along an axis of one pixel."""
    rows, columns = maps.shape[-2:]
    share = maps.flatten(2).softmax(dim=-1).reshape(maps.shape)
    across, down = (
        torch.linspace(-1, 1, n, device=maps.device, dtype=maps.dtype) if n > 1 else maps.new_zeros(1)
        for n in (columns, rows)
    )
    return torch.stack([(share.sum(dim=2) * across).sum(-1), (share.sum(dim=3) * down).sum(-1)], dim=-1)


class ImageEncoder(nn.Module):
    """A ResNet-18, a 1 x 1 convolution to `keypoints` maps, and where each of them is: 2 * `keypoints` channels."""

    def __init__(self, channels_in: int = 3, keypoints: int = 32) -> None:
        super().__init__()
        self.backbone = ResNet18(channels_in)
        self.maps = nn.Conv2d(STAGES[-1], keypoints, 1)
        self.channels = 2 * keypoints

    def forward(self, images: Float[Tensor, "b x i j"]) -> Float[Tensor, "b n"]:
        """Keypoints of images, as (x, y) pairs side by side."""
        return spatial_softmax(self.maps(self.backbone(images))).flatten(1)
