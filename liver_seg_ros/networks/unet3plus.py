# SPDX-License-Identifier: Apache-2.0
"""UNet 3+ (Huang et al. 2020, arXiv:2004.08790), a baseline of paper 1 (TransFusionNet), Tables I and II.

Every decoder node sees all five scales (section 2.1, equation 1): the encoder's finer and equal ones, brought down by
max pooling, and the coarser nodes of the decoder, brought up bilinearly; each by one convolution to the same number of
channels, joined by one more. Each node has a side output at full size (section 2.2, deep supervision), which the loss
`deep_supervision` reads; without it the heads of the side outputs learn nothing.

Left out: the hybrid loss of section 2.2 (focal, MS-SSIM and IoU), and the classification-guided module (section 2.3),
which switches off a single organ's output in images without it. Paper 1 names the network alone and prints no parameter
count; the widths are UNet 3+'s own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.blocks import ConvBlock2d
from liver_seg_ros.networks.sizes import check_image


class UNet3PlusOutputs(NamedTuple):
    """Logits `(B, classes, H, W)` of the finest node, and those of the coarser ones, finest first, bottleneck last."""

    logits: Tensor
    sides: tuple[Tensor, ...]


class FullScaleNode(nn.Module):
    """One decoder node: joins maps of all scales at its own, `(B, scales * width, H/2^n, W/2^n)`.

    Args:
        level: n, 0 for the finest.
        channels: of the map that it gets of each scale, finest first.
        width: to which each of them is brought.
    """

    def __init__(self, level: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.level = level
        self.bring = nn.ModuleList(ConvBlock2d(c, width) for c in channels)
        self.join = ConvBlock2d(len(channels) * width, len(channels) * width)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`maps[m]` is `(B, channels[m], H/2^m, W/2^m)`."""
        brought = []
        for level, (bring, x) in enumerate(zip(self.bring, maps, strict=True)):
            if level < self.level:
                x = max_pool2d(x, kernel_size=2 ** (self.level - level))
            elif level > self.level:
                x = interpolate(x, scale_factor=2.0 ** (level - self.level), mode="bilinear", align_corners=False)
            brought.append(bring(x))  # (B, width, H/2^n, W/2^n)
        joined: Tensor = self.join(torch.cat(brought, dim=1))
        return joined


class UNet3Plus(nn.Module):
    """Logits per pixel and class: `(B, channels_in, H, W)` to `(B, classes, H, W)`, float32.

    Args:
        channels_in: channels of the input.
        classes: classes of the output, background included.
        widths: channels per encoder level, the finest first; each further level halves the grid.
        width: channels per scale in a decoder node; `widths[0]` if not given, as in the paper.

    Raises:
        InputError: fewer than two levels or a width below 1, or (in `forward`) a size that does not halve.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        width: int | None = None,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be two or more positive numbers of channels, finest first")
        self.channels_in = channels_in
        width, levels = width or widths[0], len(widths)
        self.encoder = nn.ModuleList(
            nn.Sequential(ConvBlock2d(a, b), ConvBlock2d(b, b)) for a, b in pairwise((channels_in, *widths))
        )
        joined = levels * width
        self.decoder = nn.ModuleList(  # coarsest first
            FullScaleNode(n, [*widths[: n + 1], *[joined] * (levels - n - 2), widths[-1]], width)
            for n in reversed(range(levels - 1))
        )
        self.heads = nn.ModuleList(  # finest first
            nn.Conv2d(c, classes, kernel_size=3, padding=1) for c in (*[joined] * (levels - 1), widths[-1])
        )

    @property
    def size_multiple(self) -> int:
        """H and W must be multiples of this."""
        return int(2 ** len(self.decoder))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where H or W is no multiple of `size_multiple`."""
        logits: Tensor = self.heads[0](self._maps(image)[0])
        return logits

    def outputs(self, image: Tensor) -> UNet3PlusOutputs:
        """Logits of every node, all brought to the image's size."""
        logits = [
            interpolate(head(x), scale_factor=2.0**n, mode="bilinear", align_corners=False) if n else head(x)
            for n, (head, x) in enumerate(zip(self.heads, self._maps(image), strict=True))
        ]
        return UNet3PlusOutputs(logits[0], tuple(logits[1:]))

    def _maps(self, image: Tensor) -> list[Tensor]:
        """The decoder's nodes, finest first, and the bottleneck."""
        check_image(image, self.channels_in, self.size_multiple, dimensions=2)
        maps: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            maps.append(stage(max_pool2d(maps[-1], kernel_size=2) if level else image))  # (B, widths[n], H/2^n, W/2^n)
        for level, node in zip(reversed(range(len(self.decoder))), self.decoder, strict=True):
            maps[level] = node(maps)  # (B, levels * width, H/2^n, W/2^n), in the encoder's place
        return maps
