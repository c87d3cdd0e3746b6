# SPDX-License-Identifier: Apache-2.0
"""SegNet (Badrinarayanan et al. 2017, arXiv:1511.00561), a baseline of paper 1 (TransFusionNet), Tables I and II.

The encoder is VGG16's thirteen convolutions; the decoder is its mirror image. Instead of skips, each decoder stage puts
its values back to where the encoder's pooling found the maxima (section 3, Figure 3), and zeros elsewhere.

TensorRT has no unpooling by indices, so the position of each maximum is kept as four masks, one per corner of its 2x2
window: the same result from comparisons, a space-to-depth and a depth-to-space. Paper 1 prints no parameter count; the
widths are SegNet's own, 29.4 M parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pixel_shuffle, pixel_unshuffle

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.blocks import ConvBlock2d
from liver_seg_ros.networks.sizes import check_image


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima of the 2x2 windows of `(B, C, 2h, 2w)`: `(B, C, h, w)`, and where they are: `(B, C, 4, h, w)` of 0 and 1.

    Of equal maxima the first counts, as in `torch.nn.functional.max_pool2d`: exactly one of the four is 1.
    """
    corners = pixel_unshuffle(x, 2).unflatten(1, (-1, 4)).unbind(2)  # four of (B, C, h, w), row by row
    largest = max_pool2d(x, kernel_size=2)
    masks = [corners[0] == largest]
    taken = masks[0]
    for corner in corners[1:]:
        masks.append((corner == largest) & ~taken)
        taken = taken | masks[-1]
    return largest, torch.stack([mask.to(x.dtype) for mask in masks], dim=2)


def unpool(x: Tensor, where: Tensor) -> Tensor:
    """`(B, C, h, w)` put back to `where`, `(B, C, 4, h, w)`: `(B, C, 2h, 2w)`, zero elsewhere."""
    return pixel_shuffle((x.unsqueeze(2) * where).flatten(1, 2), 2)


class SegNet(nn.Module):
    """Logits per pixel and class: `(B, channels_in, H, W)` to `(B, classes, H, W)`, float32.

    Args:
        channels_in: channels of the input.
        classes: classes of the output, background included.
        widths: channels per stage, the finest first; each stage ends by halving the grid.
        convolutions: 3x3 convolutions per stage.

    Raises:
        InputError: lists of different lengths or values below 1, or (in `forward`) a size that does not halve.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        convolutions: Sequence[int] = (2, 2, 3, 3, 3),
    ) -> None:
        super().__init__()
        if len(widths) != len(convolutions) or not widths or min(*widths, *convolutions) < 1:
            raise InputError(
                f"widths {tuple(widths)} and convolutions {tuple(convolutions)} must be as many positive numbers"
            )
        self.channels_in = channels_in
        stages = list(zip(pairwise((channels_in, *widths)), convolutions, strict=True))
        self.encoder = nn.ModuleList(_stage([before, *[width] * n]) for (before, width), n in stages)
        # A stage's last convolution already has the width of the next finer stage; the finest one's is the head.
        self.decoder = nn.ModuleList(_stage([*[width] * n, before]) for (before, width), n in reversed(stages[1:]))
        self.finest = _stage([widths[0]] * convolutions[0])
        self.head = nn.Conv2d(widths[0], classes, kernel_size=3, padding=1)

    @property
    def size_multiple(self) -> int:
        """H and W must be multiples of this."""
        return int(2 ** len(self.encoder))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where H or W is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple, dimensions=2)
        x, places = image, []
        for stage in self.encoder:
            x, where = pool(stage(x))  # stage n: (B, widths[n], H/2^(n+1), W/2^(n+1))
            places.append(where)
        for stage in self.decoder:
            x = stage(unpool(x, places.pop()))  # stage n: (B, widths[n-1], H/2^n, W/2^n)
        x = self.finest(unpool(x, places.pop()))  # (B, widths[0], H, W)
        logits: Tensor = self.head(x)  # (B, classes, H, W)
        return logits


def _stage(channels: Sequence[int]) -> nn.Sequential:
    """Convolutions from each of `channels` to the next."""
    return nn.Sequential(*(ConvBlock2d(a, b) for a, b in pairwise(channels)))
