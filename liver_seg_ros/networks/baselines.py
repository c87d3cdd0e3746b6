"""The convolutional baselines of the papers' tables, as MONAI builds them.

The papers print their baselines' parameter counts and no configuration: paper 2 (UCA-Net), Table 1, names the source of
each and its count. So each function here is MONAI's network of that name with the widths that come closest to the count
(classes: background, tumor and vessel, as paper 2 segments them):

    network                source                    paper     ours    MONAI
    2D U-Net               Ronneberger et al. 2015   2.14 M    2.14 M  DynUNet, widths 32 ... 256
    2D residual U-Net      Xiao et al. 2018          3.26 M    3.27 M  UNet, widths 64 ... 512, 1 convolution per unit
    3D U-Net               Çiçek et al. 2016         6.42 M    6.42 M  DynUNet, widths 32 ... 256
    3D residual U-Net      Xu et al. 2019            9.43 M    9.44 M  UNet, widths 32 ... 256, 4 convolutions per unit
    3D attention U-Net     Su et al. 2021           16.50 M   16.66 M  AttentionUnet, widths 32 ... 256, 320
    3D V-Net               Milletari et al. 2016    45.60 M   45.60 M  VNet, which has no choice of widths

Paper 1 (TransFusionNet), Tables I and II, compares with U-Net and UNet++ too and prints no counts. UNet++ has the
widths of its own paper (Zhou et al. 2018, arXiv:1807.10165): 9.1 M parameters.

What the papers leave open and was chosen: batch normalization and ReLU, U-Nets that halve the grid by strided
convolutions, as MONAI's do, and transposed convolutions of kernel 3, without which neither 2.14 M nor 6.42 M is met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus
from monai.networks.nets.dynunet import DynUNet
from monai.networks.nets.unet import UNet
from monai.networks.nets.vnet import VNet
from torch import Tensor, nn

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
        """Raises `ValueError` where an edge is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple, self.dimensions)
        logits: Tensor = self.network(image)
        return logits


def unet(
    dimensions: int = 3, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128, 256)
) -> Baseline:
    """U-Net with concatenated skips, two convolutions per level."""
    _check_levels(widths, 3)
    levels = len(widths)
    network = DynUNet(
        dimensions,
        channels_in,
        classes,
        kernel_size=[3] * levels,
        strides=[1, *[2] * (levels - 1)],
        upsample_kernel_size=[3] * (levels - 1),
        filters=list(widths),
        norm_name="batch",
        act_name=("relu", {"inplace": True}),
    )
    return Baseline(network, dimensions, channels_in, 2 ** (levels - 1))


def residual_unet(
    dimensions: int = 3,
    channels_in: int = 1,
    classes: int = 4,
    widths: Sequence[int] = (32, 64, 128, 256),
    convolutions: int = 4,
) -> Baseline:
    """U-Net of residual units, each of so many convolutions (Kerfoot et al. 2019, doi:10.1007/978-3-030-12029-0_40)."""
    _check_levels(widths, 2)
    if convolutions < 1:
        raise ValueError(f"convolutions must be at least 1, not {convolutions}")
    network = UNet(
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
    _check_levels(widths, 2)
    strides = [2] * (len(widths) - 1)
    network = AttentionUnet(dimensions, channels_in, classes, channels=list(widths), strides=strides)
    return Baseline(network, dimensions, channels_in, 2 ** (len(widths) - 1))


def vnet(channels_in: int = 1, classes: int = 4) -> Baseline:
    """V-Net: residual stages of 5x5x5 convolutions, widths 16 to 256. `channels_in` must divide 16."""
    return Baseline(VNet(3, channels_in, classes, act=("elu", {"inplace": True})), 3, channels_in, 16)


class UNetPlusPlusOutputs(NamedTuple):
    """Logits `(B, classes, H, W)` of the nodes X(0,4) ... X(0,1)."""

    logits: Tensor
    third: Tensor
    second: Tensor
    first: Tensor


class UNetPlusPlus(nn.Module):
    """UNet++: nested nodes between encoder and decoder, each node of the finest level with a head of its own.

    `forward` gives the last node's logits; a loss over `outputs` supervises all four (deep supervision, section 3.2).
    """

    def __init__(self, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        if len(widths) != 5 or min(widths) < 2 or any(n % 2 for n in widths):
            raise ValueError(f"widths {tuple(widths)} must be five even numbers of channels, finest first")
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
        """`(B, channels_in, H, W)` to logits `(B, classes, H, W)`; raises `ValueError` where a size does not fit."""
        return self.outputs(image).logits

    def outputs(self, image: Tensor) -> UNetPlusPlusOutputs:
        """The logits of all four nodes."""
        check_image(image, self.channels_in, self.size_multiple, dimensions=2)
        first, second, third, last = self.network(image)
        return UNetPlusPlusOutputs(last, third, second, first)


def _check_levels(widths: Sequence[int], least: int) -> None:
    if len(widths) < least or min(widths) < 1:
        raise ValueError(f"widths {tuple(widths)} must be {least} or more positive numbers of channels, finest first")
