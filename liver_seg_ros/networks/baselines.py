# SPDX-License-Identifier: Apache-2.0
"""The convolutional baselines of the papers' tables, as MONAI builds them.

The papers print their baselines' parameter counts and no configuration: paper 2 (UCA-Net), Table 1, names the source of
each and its count. So each is MONAI's network of that name with the widths that come closest to the count
(classes: background, tumor and vessel, as paper 2 segments them):

    network                source                    paper     ours    MONAI
    2D U-Net               Ronneberger et al. 2015   2.14 M    2.14 M  blocks of BasicUNet, widths 32 ... 256
    2D residual U-Net      Xiao et al. 2018          3.26 M    3.27 M  UNet, widths 64 ... 512, 1 convolution per unit
    3D U-Net               Çiçek et al. 2016         6.42 M    6.42 M  blocks of BasicUNet, widths 32 ... 256
    3D residual U-Net      Xu et al. 2019            9.43 M    9.44 M  UNet, widths 32 ... 256, 4 convolutions per unit
    3D attention U-Net     Su et al. 2021           16.50 M   16.66 M  AttentionUnet, widths 32 ... 256, 320
    3D V-Net               Milletari et al. 2016    45.60 M   45.60 M  VNet, which has no choice of widths

Paper 1 (TransFusionNet), Tables I and II, compares with U-Net and UNet++ too and prints no counts. UNet++ has the
widths of its own paper (Zhou et al. 2018, arXiv:1807.10165): 9.1 M parameters.

What the papers leave open and was chosen: batch normalization and ReLU (ELU in V-Net), and the U-Net's transposed
convolutions of kernel 3, without which neither 2.14 M nor 6.42 M is met.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.basic_unet import Down, TwoConv
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from monai.networks.nets.unet import UNet as ResidualUNet
from monai.networks.nets.vnet import VNet
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image


class Baseline(nn.Module):
    """A network of MONAI that refuses an image that does not fit: `(B, channels_in, ...)` to `(B, classes, ...)`."""

    def __init__(self, network: nn.Module, dimensions: int, channels_in: int, size_multiple: int) -> None:
        super().__init__()
        self.network, self.dimensions, self.channels_in = network, dimensions, channels_in
        self._size_multiple = size_multiple

    @property
    def size_multiple(self) -> int:
        """Each edge must be a multiple of this."""
        return self._size_multiple

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where an edge is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple, self.dimensions)
        logits: Tensor = self.network(image)
        return logits


class UNet(nn.Module):
    """U-Net: two convolutions per level, maximum pooling, transposed convolutions of kernel 3, concatenated skips.

    Built from MONAI's blocks: its whole U-Nets of this kind have six levels or transposed convolutions of kernel 2.
    """

    def __init__(
        self, dimensions: int = 3, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128, 256)
    ) -> None:
        super().__init__()
        _check_widths(widths)
        self.dimensions, self.channels_in = dimensions, channels_in
        style: dict[str, Any] = {"act": ("relu", {"inplace": True}), "norm": "batch", "bias": False}
        self.stem = TwoConv(dimensions, channels_in, widths[0], **style)
        self.down = nn.ModuleList(Down(dimensions, a, b, **style) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            Convolution(dimensions, b, a, strides=2, kernel_size=3, is_transposed=True, conv_only=True)
            for a, b in pairwise(widths)
        )
        self.merge = nn.ModuleList(TwoConv(dimensions, 2 * a, a, **style) for a in widths[:-1])
        self.head = Convolution(dimensions, widths[0], classes, kernel_size=1, conv_only=True)

    @property
    def size_multiple(self) -> int:
        """Each edge must be a multiple of this."""
        return int(2 ** len(self.down))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where an edge is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple, self.dimensions)
        maps = [self.stem(image)]  # (B, widths[0], H, W), in 3D (B, widths[0], D, H, W)
        for down in self.down:
            maps.append(down(maps[-1]))  # level n: (B, widths[n], H/2^n, W/2^n)
        x = maps.pop()
        for up, merge, skip in zip(reversed(self.up), reversed(self.merge), reversed(maps), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))  # level n: (B, widths[n], H/2^n, W/2^n)
        logits: Tensor = self.head(x)  # (B, classes, H, W)
        return logits


def residual_unet(
    dimensions: int = 3,
    channels_in: int = 1,
    classes: int = 4,
    widths: Sequence[int] = (32, 64, 128, 256),
    convolutions: int = 4,
) -> Baseline:
    """U-Net of residual units, each of so many convolutions (Kerfoot et al. 2019, doi:10.1007/978-3-030-12029-0_40)."""
    _check_widths(widths)
    if convolutions < 1:
        raise InputError(f"convolutions must be at least 1, not {convolutions}")
    network = ResidualUNet(
        dimensions,
        channels_in,
        classes,
        channels=list(widths),
        strides=[2] * (len(widths) - 1),
        num_res_units=convolutions,
        act="relu",
        norm="batch",
    )
    return Baseline(network, dimensions, channels_in, 2 ** (len(widths) - 1))


def attention_unet(
    dimensions: int = 3, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128, 256, 320)
) -> Baseline:
    """U-Net whose skips are weighted by additive attention gates (Oktay et al. 2018, arXiv:1804.03999)."""
    _check_widths(widths)
    strides = [2] * (len(widths) - 1)
    network = AttentionUnet(dimensions, channels_in, classes, channels=list(widths), strides=strides)
    return Baseline(network, dimensions, channels_in, 2 ** (len(widths) - 1))


def vnet(channels_in: int = 1, classes: int = 4) -> Baseline:
    """V-Net: residual stages of 5x5x5 convolutions, widths 16 to 256."""
    if channels_in not in (1, 2, 4, 8, 16):
        raise InputError(f"channels_in must divide 16, not {channels_in}")  # the input is repeated to the first width
    return Baseline(VNet(3, channels_in, classes, act=("elu", {"inplace": True})), 3, channels_in, 16)


class UNetPlusPlusOutputs(NamedTuple):
    """Logits `(B, classes, H, W)` of the node X(0,4), and those of X(0,3), X(0,2) and X(0,1)."""

    logits: Tensor
    sides: tuple[Tensor, ...]


class UNetPlusPlus(nn.Module):
    """UNet++: nested nodes between encoder and decoder, each node of the finest level with a head of its own.

    `forward` gives the last node's logits, `outputs` those of all four for the loss `deep_supervision` (section 3.2).
    """

    def __init__(self, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        if len(widths) != 5 or min(widths) < 2 or any(n % 2 for n in widths):
            raise InputError(f"widths {tuple(widths)} must be five even numbers of channels, finest first")
        self.channels_in = channels_in
        self.network = BasicUNetPlusPlus(
            2,
            channels_in,
            classes,
            features=[*widths, widths[0]],
            deep_supervision=True,
            act=("relu", {"inplace": True}),
            norm="batch",
        )

    @property
    def size_multiple(self) -> int:
        """H and W must be multiples of this."""
        return 16

    def forward(self, image: Tensor) -> Tensor:
        """`(B, channels_in, H, W)` to logits `(B, classes, H, W)`; raises `InputError` where a size does not fit."""
        return self.outputs(image).logits

    def outputs(self, image: Tensor) -> UNetPlusPlusOutputs:
        """The logits of all four nodes."""
        check_image(image, self.channels_in, self.size_multiple, dimensions=2)
        first, second, third, last = self.network(image)
        return UNetPlusPlusOutputs(last, (third, second, first))


def _check_widths(widths: Sequence[int]) -> None:
    if len(widths) < 2 or min(widths) < 1:
        raise InputError(f"widths {tuple(widths)} must be two or more positive numbers of channels, finest first")
