# SPDX-License-Identifier: Apache-2.0
"""3D UX-Net (Lee et al. 2022, arXiv:2209.15076), a baseline of paper 2 (UCA-Net), Table 1.

An encoder of large-kernel depthwise convolutions in place of the windows of a Swin transformer (section 3.1), and the
decoder of UNETR from MONAI (section 3.3). One block, with z of C channels (equation 2 and Figure 2):

    a = depthwise convolution 7x7x7 (z),  z + gamma * scale(GELU(expand(LN(a))))

`expand` and `scale` are depthwise 1x1x1 convolutions to 4 C channels and back (section 3.2, depthwise convolutional
scaling); gamma is a learned scale per channel that begins at 1e-6, which leaves a block the identity at first.

Its authors print 53.0 M parameters, which this has. Paper 2 prints 57.43 M and says nothing of how it was built: with
the widths, kernels and depthwise scaling that 3D UX-Net's own paper names, that count is impossible. The authors' code
has had dense 1x1x1 convolutions, which give 56.1 M with kernels of 7 and 58.8 M with its kernels of 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks.unetr_block import UnetrBasicBlock, UnetrUpBlock
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image

LEVELS = 4
EXPANSION = 4


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of each voxel of `(B, C, D, H, W)`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


class UXBlock(nn.Module):
    """Large-kernel depthwise convolution and depthwise scaling around a residual: `(B, C, d, h, w)` to the same."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.spread = nn.Conv3d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = ChannelNorm(channels, eps=1e-6)
        self.expand = nn.Conv3d(channels, EXPANSION * channels, kernel_size=1, groups=channels)
        self.scale = nn.Conv3d(EXPANSION * channels, channels, kernel_size=1, groups=channels)
        self.gamma = nn.Parameter(torch.full((channels, 1, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        wide = nn.functional.gelu(self.expand(self.norm(self.spread(x))))  # (B, 4C, d, h, w)
        out: Tensor = x + self.gamma * self.scale(wide)
        return out


class UXNet3D(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` to `(B, classes, D, H, W)`, float32.

    Args:
        channels_in: channels of the input.
        classes: classes of the output, background included.
        widths: channels at 1/2, 1/4, 1/8, 1/16 of the grid; the decoder's finest level has `widths[0]` too.
        hidden: channels of the decoder's coarsest level.
        blocks: per level of the encoder.
        kernel: edge of the depthwise convolutions, odd.

    Raises:
        InputError: other than four widths, an even kernel, or (in `forward`) a size that does not halve.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        widths: Sequence[int] = (48, 96, 192, 384),
        hidden: int = 768,
        blocks: int = 2,
        kernel: int = 7,
    ) -> None:
        super().__init__()
        if len(widths) != LEVELS or min(*widths, hidden, blocks) < 1:
            raise InputError(f"widths {tuple(widths)} must be four positive numbers, and so hidden and blocks")
        if kernel % 2 == 0:
            raise InputError(f"kernel must be odd, not {kernel}")
        self.channels_in = channels_in
        stem = nn.Sequential(
            nn.Conv3d(channels_in, widths[0], kernel_size=7, stride=2, padding=3), ChannelNorm(widths[0], eps=1e-6)
        )
        halvings = (
            nn.Sequential(ChannelNorm(a, eps=1e-6), nn.Conv3d(a, b, kernel_size=2, stride=2))
            for a, b in pairwise(widths)
        )
        self.encoder = nn.ModuleList(
            nn.Sequential(halve, *(UXBlock(width, kernel) for _ in range(blocks)))
            for halve, width in zip((stem, *halvings), widths, strict=True)
        )
        self.norms = nn.ModuleList(ChannelNorm(width, eps=1e-6) for width in widths)
        levels = [*widths, hidden]  # of the decoder, finest first
        self.skips = nn.ModuleList(_residual(a, b) for a, b in pairwise([channels_in, levels[0]]))
        self.skips.extend(_residual(a, b) for a, b in pairwise(levels))
        self.up = nn.ModuleList(
            UnetrUpBlock(3, b, a, kernel_size=3, upsample_kernel_size=2, norm_name="instance", res_block=True)
            for a, b in pairwise(levels)
        )
        self.finest = _residual(levels[0], levels[0])
        self.head = nn.Conv3d(levels[0], classes, kernel_size=1)

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return 2**LEVELS

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where D, H or W is no multiple of `size_multiple`."""
        # Instance normalization needs more than one voxel at the coarsest level.
        check_image(image, self.channels_in, self.size_multiple, smallest=2 * self.size_multiple)
        x, maps = image, [image]
        for stage, norm in zip(self.encoder, self.norms, strict=True):
            x = stage(x)
            maps.append(norm(x))  # level n of the encoder: (B, widths[n], D/2^(n+1), H/2^(n+1), W/2^(n+1))
        skips = [skip(level) for skip, level in zip(self.skips, maps, strict=True)]  # (B, levels[n], D/2^n, ...)
        x = skips.pop()  # (B, hidden, D/16, H/16, W/16)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(x, skip)  # (B, levels[n], D/2^n, H/2^n, W/2^n)
        logits: Tensor = self.head(self.finest(x))  # (B, classes, D, H, W)
        return logits


def _residual(channels_in: int, channels_out: int) -> UnetrBasicBlock:
    """Two 3x3x3 convolutions with instance normalization around a shortcut."""
    return UnetrBasicBlock(3, channels_in, channels_out, kernel_size=3, stride=1, norm_name="instance", res_block=True)
