# SPDX-License-Identifier: Apache-2.0
"""3DYNet and 3DYNet-EE: two VGG19-like 3D encoders see the same volume, one decoder sees both.

d'Albenzio, Kamkova et al., "3DYNet: A Densely Interconnected Network for Volumetric Liver and Tumors
Segmentation", sections 2, 3.2 and 3.3, Figure 1. With a and b the two encoders' maps of one resolution before pooling
and u the decoder's map upsampled to it, a decoder block reads

    3DYNet:    [[a, u], [b, u]]    each map joins u, "the two feature maps obtained ... are again concatenated"
    3DYNet-EE: [a + b, u]          "first summed and then concatenated"

What the paper leaves open, and what was chosen:
- Four decoder blocks undo four poolings. So the fifth stage, whose pooling nothing would undo, is the bottom: its two
  maps are concatenated (EE: summed) and go up; edges are multiples of 16. The authors' code pools a fifth time and has
  a center of two convolutions and a fifth decoder block: option `center`, edges then are multiples of 32.
- "Feature fusion between the two VGG19" happens in the decoder; the encoders pass nothing to each other.
- Widths: 16, 32, 64, 128, 128, as in the authors' code of 3DYNet. Their EE has 64, 128, 256, 512, 512 and a center of
  1024 (261.6 M parameters, against 23.8 M) and concatenates; the paper compares both "under identical settings".
- A decoder block has the width of the encoders on its grid, from its transposed convolution on.
- No normalization, as the text names none; weights start from He's normal distribution (3.2). The authors' decoder has
  batch normalization (option `batch_norm`), SELU for leaky ReLU and trilinear upsampling for transposed convolutions.

The authors' code also joins the first encoder's finest map twice and the second's never.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool3d

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image

#: 3x3x3 convolutions per stage of VGG19.
VGG19 = (2, 2, 4, 4, 4)
#: Of the decoder's leaky ReLU; the paper names none, this is PyTorch's.
SLOPE = 0.01


class Encoder(nn.Module):
    """The convolutions of VGG19 in 3D: the map of every stage before its pooling, the finest first."""

    def __init__(self, channels_in: int, widths: Sequence[int], convolutions: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for (before, width), count in zip(pairwise((channels_in, *widths)), convolutions, strict=True):
            layers: list[nn.Module] = []
            for n in range(count):
                layers += [nn.Conv3d(before if n == 0 else width, width, kernel_size=3, padding=1), nn.ReLU()]
            self.stages.append(nn.Sequential(*layers))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.stages[0](x)]
        for stage in self.stages[1:]:
            maps.append(stage(max_pool3d(maps[-1], kernel_size=2)))  # n: (B, widths[n], D/2^n, H/2^n, W/2^n)
        return maps


class DecoderBlock(nn.Module):
    """`(B, below, d, h, w)` and both encoders' maps `(B, C, 2d, 2h, 2w)` to `(B, C, 2d, 2h, 2w)`."""

    def __init__(self, below: int, channels: int, sum_encoders: bool, batch_norm: bool) -> None:
        super().__init__()
        self.sum_encoders = sum_encoders
        self.up = nn.ConvTranspose3d(below, channels, kernel_size=3, stride=2, padding=1, output_padding=1)
        joined = (2 if sum_encoders else 4) * channels
        self.convolutions = nn.Sequential(
            *_convolution(joined, channels, batch_norm),
            *_convolution(channels, channels, batch_norm),
            *_convolution(channels, channels, batch_norm),
        )

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        up = self.up(x)
        parts = [first + second, up] if self.sum_encoders else [first, up, second, up]
        merged: Tensor = self.convolutions(torch.cat(parts, dim=1))
        return merged


class ThreeDYNet(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` float32 to `(B, classes, D, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT.
        classes: classes of the output, background included.
        sum_encoders: True for 3DYNet-EE.
        widths: channels per stage of each encoder, the finest first.
        convolutions: 3x3x3 convolutions per stage of each encoder.
        center: channels of two convolutions beyond a last pooling, as in the authors' code; None as in the paper.
        batch_norm: normalize the decoder's convolutions, as in the authors' code.

    Raises:
        InputError: fewer than two stages, a width or count below 1, or (in `forward`) a size that does not halve.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 3,
        sum_encoders: bool = False,
        widths: Sequence[int] = (16, 32, 64, 128, 128),
        convolutions: Sequence[int] = VGG19,
        center: int | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or len(widths) != len(convolutions) or min(*widths, *convolutions) < 1:
            raise InputError(
                f"widths {tuple(widths)} and convolutions {tuple(convolutions)} must be as many positive numbers, "
                "two or more"
            )
        if min(channels_in, classes, 1 if center is None else center) < 1:
            raise InputError(f"channels_in, classes, center must be positive: {channels_in, classes, center}")
        self.channels_in = channels_in
        self.sum_encoders = sum_encoders
        self.encoders = nn.ModuleList(Encoder(channels_in, widths, convolutions) for _ in range(2))
        bottom = widths[-1] if sum_encoders else 2 * widths[-1]
        self.center: nn.Sequential | None = None
        if center is not None:
            self.center = nn.Sequential(
                *_convolution(bottom, center, batch_norm), *_convolution(center, center, batch_norm)
            )
        #: Widths from where the decoder starts to the finest grid.
        path = (bottom, *widths[-2::-1]) if center is None else (center, *widths[::-1])
        self.decoder = nn.ModuleList(DecoderBlock(a, b, sum_encoders, batch_norm) for a, b in pairwise(path))
        self.head = nn.Conv3d(widths[0], classes, kernel_size=1)
        self.apply(_he_normal)

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return int(2 ** len(self.decoder))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where D, H or W is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple)
        first, second = (encoder(image) for encoder in self.encoders)  # as published: 16 channels at (D, H, W), 32 at
        x = self._fuse(first[-1], second[-1])  # 1/2, 64 at 1/4, 128 at 1/8; here (B, 256, D/16, H/16, W/16), EE 128
        if self.center is not None:
            x = self.center(max_pool3d(x, kernel_size=2))
        levels = len(self.decoder)
        for block, a, b in zip(self.decoder, first[levels - 1 :: -1], second[levels - 1 :: -1], strict=True):
            x = block(x, a, b)  # (B, 128, D/8, ..), (B, 64, D/4, ..), (B, 32, D/2, ..), (B, 16, D, H, W)
        logits: Tensor = self.head(x)  # (B, classes, D, H, W)
        return logits

    def _fuse(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second if self.sum_encoders else torch.cat([first, second], dim=1)


def _convolution(channels_in: int, channels_out: int, batch_norm: bool) -> list[nn.Module]:
    convolution = nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=1, bias=not batch_norm)
    norm: list[nn.Module] = [nn.BatchNorm3d(channels_out)] if batch_norm else []
    return [convolution, *norm, nn.LeakyReLU(SLOPE)]


def _he_normal(layer: nn.Module) -> None:
    """Weights of variance 2 / n, n the connections of one response (He et al. 2015, equation 10), and no bias."""
    if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
        connections = float(layer.in_channels * prod(layer.kernel_size))
        if isinstance(layer, nn.ConvTranspose3d):
            connections /= prod(layer.stride)  # of 27 taps, 27/8 meet a voxel on average
        nn.init.normal_(layer.weight, std=(2 / connections) ** 0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
