# SPDX-License-Identifier: Apache-2.0
"""TransUNet with a spatial-channel attention block in every upsampling stage, and without.

Tran, Bona, Kazlouski, Hong, "Automatic Liver Tumor Segmentation", sections 4.2 and 7.2, Figure 4; "inspired by"
TransUNet (Chen et al. 2021, arXiv:2102.04306), whose equations for the transformer are in `resnet_transformer.py`.
A ResNet (7.2), transformer layers on its last map, 6 for LiTS and 12 for Kvasir-SEG, skip connections, a decoder.

What the paper leaves open, and what was chosen:
- The attention block is described by its purpose, to "recalibrate the channel-wise feature responses by taking into
  account the spatial dependencies", one "for each upsampling stage". It is the one of Woo et al. 2018, which the paper
  cites for it (CBAM, arXiv:1807.06521, equations 1 to 3), on what a stage gives:
      F' = F s(W1 max(0, W0 avg F) + W1 max(0, W0 max F)),   avg and max over all pixels, s the sigmoid
      F'' = F' s(C7[avg F'; max F']),                        avg and max over the channels, C7 a 7x7 convolution
  with a reduction of 8 in W0, as in the authors' code, but no fewer than 8 units.
- The ResNet is ResNet-50, as in the authors' code, and from MONAI; its last map lies at 1/32.
- Tokens, heads and position embedding are TransUNet's: 768, 12, learned. The authors' code keeps the ResNet's 2048
  numbers per token, 8 heads and no position embedding (options `hidden` and `heads`; its perceptrons are as wide as
  its tokens, ours four times).
- The decoder is TransUNet's, with one step more, as its tokens lie on a grid of 1/32 and not of 1/16.
- Size: 352x352; the authors' slices are 350x350, which do not halve five times.

The authors' code differs: for LiTS it has no skips, and a fixed output of 350x350; for Kvasir-SEG it has channel
attention on the skips, made anew in each forward pass, so that its weights are never trained. It starts from ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.blocks import ConvBlock2d, UpBlock2d
from liver_seg_ros.networks.resnet_transformer import VisionTransformer
from liver_seg_ros.networks.sizes import check_fixed_image

#: The tokens lie on a grid of 1/32.
MULTIPLE = 32
#: Hidden units of the channel attention, at least.
FEWEST_UNITS = 8


class SpatialChannelAttention(nn.Module):
    """Weighs every channel, then every pixel: `(B, C, h, w)` to `(B, C, h, w)`."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        # Their inputs are never negative, so half of these units are off for every image; of few, all may be.
        middle = max(FEWEST_UNITS, channels // reduction)
        self.channels = nn.Sequential(
            nn.Conv2d(channels, middle, kernel_size=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, channels, kernel_size=1, bias=False),
        )
        self.pixels = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, highest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        x = x * torch.sigmoid(self.channels(mean) + self.channels(highest))
        over_channels = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (B, 2, h, w)
        return x * torch.sigmoid(self.pixels(over_channels))


class ResNetEncoder(nn.Module):
    """A ResNet of bottlenecks without its classifier: maps at 1/2, 1/4, 1/8, 1/16 and 1/32.

    Args:
        channels_in: channels of the input.
        widths: inner channels per stage; its map has four times as many, that of the root the first.
        units: bottlenecks per stage.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], units: Sequence[int]) -> None:
        super().__init__()
        self.resnet = ResNet(
            "bottleneck",
            list(units),
            list(widths),
            spatial_dims=2,
            n_input_channels=channels_in,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.channels = (widths[0], *(4 * width for width in widths))

    def forward(self, image: Tensor) -> list[Tensor]:
        net = self.resnet
        maps = [net.act(net.bn1(net.conv1(image)))]  # (B, 64, H/2, W/2)
        x = net.maxpool(maps[0])  # (B, 64, H/4, W/4)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            maps.append(x)  # (B, 256, H/4), (B, 512, H/8), (B, 1024, H/16), (B, 2048, H/32)
        return maps


class TransUNetAttention(nn.Module):
    """Logits per pixel and class: `(B, channels_in, H, W)` float32 to `(B, classes, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT slice.
        classes: classes of the output, background included.
        image_size: (H, W), multiples of 32, which the position embedding fixes.
        attention: False for the paper's plain TransUNet.
        resnet_widths: inner channels of the ResNet's four stages.
        resnet_units: bottlenecks per stage of the ResNet.
        hidden: numbers per token.
        layers: transformer layers, 6 for LiTS, 12 for Kvasir-SEG.
        heads: attention heads per layer.
        widths: channels of the decoder, the coarsest first: before the first stage, and after each of the five.
        dropout: of tokens and perceptrons, while training.

    Raises:
        InputError: an option outside of these, or (in `forward`) an image of another size.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 3,
        image_size: Sequence[int] = (352, 352),
        attention: bool = True,
        resnet_widths: Sequence[int] = (64, 128, 256, 512),
        resnet_units: Sequence[int] = (3, 4, 6, 3),
        hidden: int = 768,
        layers: int = 6,
        heads: int = 12,
        widths: Sequence[int] = (512, 512, 256, 128, 64, 16),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if min(channels_in, classes) < 1:
            raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
        if len(resnet_widths) != 4 or len(resnet_units) != 4 or min(*resnet_widths, *resnet_units) < 1:
            raise InputError(
                f"resnet_widths {tuple(resnet_widths)} and resnet_units {tuple(resnet_units)} must be four positive "
                "numbers each"
            )
        if len(widths) != 6 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be six positive numbers of channels, coarsest first")
        if len(image_size) != 2 or min(image_size) < 1 or any(n % MULTIPLE for n in image_size):
            raise InputError(f"image_size {tuple(image_size)} must be two multiples of {MULTIPLE}, e.g. (352, 352)")
        self.channels_in = channels_in
        self.image_size = (image_size[0], image_size[1])
        self.resnet = ResNetEncoder(channels_in, resnet_widths, resnet_units)
        grid = (image_size[0] // MULTIPLE, image_size[1] // MULTIPLE)
        self.transformer = VisionTransformer(self.resnet.channels[-1], grid, 1, hidden, layers, heads, dropout)
        self.bridge = ConvBlock2d(hidden, widths[0])
        skips = (*self.resnet.channels[-2::-1], 0)  # at 1/16, 1/8, 1/4 and 1/2; none at the full grid
        self.decoder = nn.ModuleList(
            UpBlock2d(a, skip, b) for (a, b), skip in zip(pairwise(widths), skips, strict=True)
        )
        self.attention = nn.ModuleList(
            SpatialChannelAttention(width) if attention else nn.Identity() for width in widths[1:]
        )
        self.head = nn.Conv2d(widths[-1], classes, kernel_size=3, padding=1)

    @property
    def size_multiple(self) -> int:
        """H and W of `image_size` are multiples of this."""
        return MULTIPLE

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where the image is not `(B, channels_in, *image_size)`."""
        check_fixed_image(image, self.channels_in, self.image_size)
        *maps, coarse = self.resnet(image)
        x = self.bridge(self.transformer(coarse))  # (B, 768, H/32, W/32), (B, 512, H/32, W/32)
        for block, attention, skip in zip(self.decoder, self.attention, (*reversed(maps), None), strict=True):
            x = attention(block(x, skip))  # (B, 512, H/16), (B, 256, H/8), (B, 128, H/4), (B, 64, H/2), (B, 16, H)
        logits: Tensor = self.head(x)  # (B, classes, H, W)
        return logits
