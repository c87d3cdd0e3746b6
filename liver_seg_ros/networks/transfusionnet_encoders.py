# SPDX-License-Identifier: Apache-2.0
"""The two encoders of TransFusionNet, sections II-A and II-B of the paper; see transfusionnet.py.

Both give their maps by level: those of level n have edges of H / 2^n and W / 2^n.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.blocks.squeeze_and_excitation import ChannelSELayer
from torch import Tensor, nn

from liver_seg_ros.networks.blocks import ConvBlock2d
from liver_seg_ros.networks.resnet_transformer import ResNetV2, VisionTransformer

#: Level at which both encoders end.
DEEPEST = 7


class ResidualBlock(nn.Module):
    """A body and a shortcut, summed: `(B, in, h, w)` to `(B, out, h, w)`; the shortcut is 1x1 where widths differ."""

    def __init__(self, body: nn.Sequential, channels_in: int, channels_out: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, kernel_size=1)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.dropout(self.body(x)) + self.shortcut(x))
        return out


class PlainBlock(ResidualBlock):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        body = nn.Sequential(
            ConvBlock2d(channels_in, channels_out),
            nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        super().__init__(body, channels_in, channels_out, dropout)


class SEBottleneck(ResidualBlock):
    """1x1, 3x3, squeeze and excitation (equations 3 to 5), 1x1, and a shortcut; the inner width is a quarter."""

    def __init__(self, channels_in: int, channels_out: int, dropout: float) -> None:
        middle = channels_out // 4
        # Of very few units, all can end up below zero, and then nothing is learned any more.
        reduction = max(1, min(16, middle // 8))
        body = nn.Sequential(
            nn.Conv2d(channels_in, middle, kernel_size=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            ConvBlock2d(middle, middle),
            ChannelSELayer(spatial_dims=2, in_channels=middle, r=reduction),
            nn.Conv2d(middle, channels_out, kernel_size=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        super().__init__(body, channels_in, channels_out, dropout)


class LocalEncoder(nn.Module):
    """Multi-layer local feature extraction: a CNN of three blocks, then five SE-bottlenecks, a pool before each block.

    `(B, channels_in, H, W)` to one map per level 0 to 7 of `(B, widths[n], H/2^n, W/2^n)`.
    """

    def __init__(self, channels_in: int, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.stem = ConvBlock2d(channels_in, widths[0])
        self.pool = nn.MaxPool2d(kernel_size=2)
        self.blocks = nn.ModuleList(
            (PlainBlock if level < 3 else SEBottleneck)(widths[level - 1], widths[level], dropout)
            for level in range(1, DEEPEST + 1)
        )

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        maps = {0: self.stem(image)}  # 32, H, W
        for level, block in enumerate(self.blocks, start=1):
            # 64, H/2; 128, H/4; 256, H/8; 512, H/16; 512, H/32; 512, H/64; 512, H/128
            maps[level] = block(self.pool(maps[level - 1]))
        return maps


class SemanticEncoder(nn.Module):
    """Transformer-based semantic feature extraction: ResNet, transformer layers, three convolutions.

    `(B, channels_in, H, W)` to maps of the levels 0 (stem), 1 to 3 (ResNet), 6 and 7 (transformer), of `channels`.
    """

    def __init__(
        self,
        channels_in: int,
        stem_width: int,
        resnet: ResNetV2,
        transformer: VisionTransformer,
        hidden: int,
        width: int,
    ) -> None:
        """`resnet` reads `stem_width` channels; `width` is that of the maps of levels 6 and 7."""
        super().__init__()
        self.stem = ConvBlock2d(channels_in, stem_width)
        self.resnet = resnet
        self.transformer = transformer
        self.convolutions = nn.ModuleList(
            [ConvBlock2d(hidden, width), ConvBlock2d(width, width), ConvBlock2d(width, width)]
        )
        self.pool = nn.MaxPool2d(kernel_size=2)
        #: Channels of the map of each level that there is.
        self.channels = dict(enumerate((stem_width, *self.resnet.channels[:3]))) | {6: width, 7: width}

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        stem = self.stem(image)  # (B, 32, H, W)
        *maps, coarse = self.resnet(stem)  # (B, 64, H/2), (B, 256, H/4), (B, 512, H/8); (B, 1024, H/16)
        tokens = self.transformer(coarse)  # (B, 768, H/32, W/32)
        first, second, third = self.convolutions
        level6 = self.pool(second(first(tokens)))  # (B, 512, H/64, W/64)
        level7 = self.pool(third(level6))  # (B, 512, H/128, W/128)
        return {0: stem, **dict(enumerate(maps, start=1)), 6: level6, 7: level7}
