# SPDX-License-Identifier: Apache-2.0
"""UNet-ASPP: a UNet++ that also passes maps downwards, with atrous spatial pyramid pooling at its end.

Tran, Bona, Kazlouski, Hong, "Automatic Liver Tumor Segmentation", section 4.1, Figures 2 and 3; UNet++ is Zhou et al.
2018 (arXiv:1807.10165). Node x(i,j) is level i, column j; H a block, U upsampling, P pooling, [ ] concatenation:

    x(0,j) = H([x(0,0), ..., x(0,j-1), U(x(1,j-1))])
    x(i,j) = H([x(i,0), ..., x(i,j-1), U(x(i+1,j-1)), P(x(i-1,j))])    for i > 0
    H: y = max(0, B(C(max(0, B(C(x))))) + C(x)),    C a convolution, B batch normalization
    ASPP: y = R(x, r2) + C(x) + C(P(x)),            R an atrous convolution of rate 2, P the mean of the whole map

What the paper leaves open, and what was chosen:
- The second line stands in words only: "a max pooling operation from higher-level to lower-level layers", beginning
  from the second. P(x(i-1,j)) is the map above in the same column: levels 1 and below are the UNet++ "inside".
- The first line prints a sum over the row, the text says concatenated; so does UNet++.
- ASPP prints a sum; the authors' drawing concatenates and applies 1x1 convolution, batch normalization and ReLU. Built
  as drawn: a 1x1 convolution of a concatenation is the sum with a learned 1x1 weight on each term.
- Widths, 64 to 1024, and bilinear upsampling are those of the authors' code.
- "There are two types of architectures that can be used in encoder: DenseNet and ResNeXt, but DenseNet is prioritized":
  figures, equations and the authors' code have none. Its place would be the encoder, the nodes x(i,0) below the first;
  `encoder="densenet"` puts the dense blocks of DenseNet-121 there (Huang et al. 2017, arXiv:1608.06993, Table 1: 6, 12,
  24 and 16 layers of growth 32), each brought to its level's width. The default is what is drawn.
- Size: the authors draw 350x350 slices, which do not halve four times; pad them to 352x352.

The authors' code differs: x(0,4) has 3 channels, so that ASPP sees class scores instead of features; its pooled branch
convolves the map without pooling; ReLU ends the network, so that no logit is negative. It has 41.0 M parameters, ours
with 64 channels at the end 41.1 M; the paper counts none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from monai.networks.nets.densenet import _DenseBlock
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image

Encoder = Literal["blocks", "densenet"]
#: Layers per dense block.
DENSENET_121 = (6, 12, 24, 16)


class ResidualBlock(nn.Module):
    """H of Figure 3: `(B, in, H, W)` to `(B, out, H, W)`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.residual = nn.Conv2d(channels_in, channels_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.convolutions(x) + self.residual(x))


class DenseNode(nn.Sequential):
    """A dense block of DenseNet and its transition, without the pooling: `(B, in, H, W)` to `(B, out, H, W)`."""

    def __init__(self, channels_in: int, channels_out: int, layers: int, growth: int = 32) -> None:
        joined = channels_in + layers * growth
        super().__init__(
            _DenseBlock(2, layers, channels_in, bn_size=4, growth_rate=growth, dropout_prob=0.0),
            nn.BatchNorm2d(joined),
            nn.ReLU(inplace=True),
            nn.Conv2d(joined, channels_out, kernel_size=1, bias=False),
        )


class ASPP(nn.Module):
    """Looks at a point, around it and at the whole map: `(B, C, H, W)` to `(B, C, H, W)`."""

    def __init__(self, channels: int, rate: int = 2) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels, channels, kernel_size=1)
        self.atrous = nn.Conv2d(channels, channels, kernel_size=3, padding=rate, dilation=rate)
        self.pooled = nn.Conv2d(channels, channels, kernel_size=1)
        # Bias in front of a batch normalization is lost.
        self.project = nn.Conv2d(3 * channels, channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand_as(x)  # (B, C, 1, 1) to (B, C, H, W)
        branches = torch.cat([self.point(x), self.atrous(x), pooled], dim=1)  # (B, 3C, H, W)
        return torch.relu(self.norm(self.project(branches)))


class UNetASPP(nn.Module):
    """Logits per pixel and class: `(B, channels_in, H, W)` float32 to `(B, classes, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT slice.
        classes: classes of the output, background included.
        widths: channels per level, the finest first; each further level halves the grid.
        rate: dilation of the atrous convolution.
        encoder: "blocks", as drawn, or "densenet", with at most five levels.

    Raises:
        InputError: fewer than two levels, a width or count below 1, an encoder that there is not, or (in `forward`) a
            size that does not halve.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        rate: int = 2,
        encoder: Encoder = "blocks",
    ) -> None:
        super().__init__()
        if encoder not in get_args(Encoder):
            raise InputError(f"encoder '{encoder}' is none of {', '.join(get_args(Encoder))}")
        if encoder == "densenet" and len(widths) > len(DENSENET_121) + 1:
            raise InputError(f"a DenseNet has at most {len(DENSENET_121) + 1} levels, widths {tuple(widths)} are more")
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be two or more positive numbers of channels, finest first")
        if min(channels_in, classes, rate) < 1:
            raise InputError(f"channels_in, classes, rate must be positive: {channels_in, classes, rate}")
        self.channels_in = channels_in
        self.levels = len(widths)
        self.nodes = nn.ModuleDict()
        for j in range(self.levels):
            for i in range(self.levels - j):
                below = widths[i + 1] if j > 0 else 0
                above = widths[i - 1] if i > 0 else 0
                image = channels_in if i == j == 0 else 0
                read = j * widths[i] + below + above + image
                dense = encoder == "densenet" and j == 0 and i > 0
                self.nodes[f"{i}_{j}"] = (
                    DenseNode(read, widths[i], DENSENET_121[i - 1]) if dense else ResidualBlock(read, widths[i])
                )
        self.aspp = ASPP(widths[0], rate)
        self.head = nn.Conv2d(widths[0], classes, kernel_size=1)

    @property
    def size_multiple(self) -> int:
        """H and W must be multiples of this."""
        return int(2 ** (self.levels - 1))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where H or W is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple, dimensions=2)
        x: list[list[Tensor]] = [[] for _ in range(self.levels)]  # x[i][j]: (B, widths[i], H/2^i, W/2^i)
        for j in range(self.levels):
            for i in range(self.levels - j):
                below = [_upsample(x[i + 1][j - 1])] if j > 0 else []
                above = [max_pool2d(x[i - 1][j], kernel_size=2)] if i > 0 else []
                maps = [*x[i], *below, *above] or [image]
                x[i].append(self.nodes[f"{i}_{j}"](torch.cat(maps, dim=1)))
        logits: Tensor = self.head(self.aspp(x[0][-1]))  # (B, classes, H, W)
        return logits


def _upsample(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
