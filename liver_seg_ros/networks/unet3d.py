# SPDX-License-Identifier: Apache-2.0
"""A small 3D U-Net (Çiçek et al. 2016, arXiv:1606.06650) that runs on a few CPU cores.

Two things differ from the paper, both for speed. Skips are added, not concatenated, which halves the channels that the
decoder's convolutions read. Upsampling is a 1x1x1 convolution on the coarse grid followed by trilinear interpolation.
Normalization is by batch statistics: at inference it is a fixed scale and shift that folds into the convolution before
it, so that a voxel's result does not depend on what else is in its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image


class ConvBlock(nn.Sequential):
    """3x3x3 convolution, batch norm, ReLU: `(B, in, D, H, W)` to `(B, out, D/stride, H/stride, W/stride)`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm3d(channels_out),
            nn.ReLU(inplace=True),
        )


class UpBlock(nn.Module):
    """Brings a coarse map to the grid of its skip and adds it: `(B, in, d, h, w)` to `(B, out, 2d, 2h, 2w)`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv3d(channels_in, channels_out, kernel_size=1)
        self.merge = ConvBlock(channels_out, channels_out)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """`skip` is `(B, out, 2d, 2h, 2w)`."""
        up = interpolate(self.reduce(coarse), scale_factor=2.0, mode="trilinear", align_corners=False)
        merged: Tensor = self.merge(up + skip)
        return merged


class UNet3D(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` float32 to `(B, classes, D, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT.
        classes: classes of the output, background included.
        widths: channels per level, the finest first; each further level halves the grid.
        convolutions: 3x3x3 convolutions per encoder level (the decoder has one).

    Raises:
        InputError: fewer than two levels, a width or count below 1, or (in `forward`) a size that does not halve.
    """

    def __init__(
        self, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (16, 32, 64, 128), convolutions: int = 2
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be two or more positive numbers of channels, finest first")
        if min(channels_in, classes, convolutions) < 1:
            raise InputError(
                f"channels_in, classes, convolutions must be positive: {channels_in, classes, convolutions}"
            )
        self.channels_in = channels_in
        self.stem = _level(channels_in, widths[0], convolutions, stride=1)
        self.down = nn.ModuleList(_level(a, b, convolutions, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(UpBlock(b, a) for a, b in pairwise(widths))
        self.head = nn.Conv3d(widths[0], classes, kernel_size=1)

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return int(2 ** len(self.down))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where D, H or W is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple)
        maps = [self.stem(image)]  # (B, widths[0], D, H, W)
        for down in self.down:
            maps.append(down(maps[-1]))  # level n: (B, widths[n], D/2^n, H/2^n, W/2^n)
        x = maps[-1]
        for up, skip in zip(reversed(self.up), reversed(maps[:-1]), strict=True):
            x = up(x, skip)
        logits: Tensor = self.head(x)  # (B, classes, D, H, W)
        return logits


def _level(channels_in: int, channels_out: int, convolutions: int, stride: int) -> nn.Sequential:
    first = ConvBlock(channels_in, channels_out, stride)
    return nn.Sequential(first, *(ConvBlock(channels_out, channels_out) for _ in range(convolutions - 1)))
