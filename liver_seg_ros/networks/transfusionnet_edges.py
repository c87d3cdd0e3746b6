# SPDX-License-Identifier: Apache-2.0
"""The Edge Extraction Module of TransFusionNet, section II-C of the paper, equations 6 and 7, Figure 1 (d).

A stream at full resolution, narrowed from gate to gate, in which coarser maps of both encoders choose what stays. The
stream is so narrow that its squeeze and excitation does not reduce the channels.

Levels of the gates: the paper gives the maps t_i and c_i one index and one resolution, 1/2^i, and cancels the gate "on
the shallow feature maps", here level 0, from which the stream starts. It says no more; Figure 1 draws three gates. Both
encoders have maps at 1/2, 1/4, 1/8, 1/64 and 1/128. The four of the default are those at which the authors' code takes
its semantic maps, which leaves out 1/8. Option `gates`.

Where the authors' code differs: its last two gates pair a semantic map with a local map of twice the resolution; it
normalizes and convolves before the excitation of (6); it passes the
predicted edges to the fusion module, not the last gate's output e_n; its Canny map is made in `forward`, of the
normalized image cut to whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from monai.networks.blocks.squeeze_and_excitation import ChannelSELayer
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.blocks import ConvBlock2d
from liver_seg_ros.networks.transfusionnet_encoders import ResidualBlock

#: Levels at which both encoders have a map, but for the shallow one, which has no gate.
GATED = (1, 2, 3, 6, 7)


class SEBlock(ResidualBlock):
    """ "SE Model" of Figure 1 (d): two 3x3 convolutions, squeeze and excitation, and a shortcut."""

    def __init__(self, channels: int, dropout: float) -> None:
        body = nn.Sequential(
            ConvBlock2d(channels, channels),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            ChannelSELayer(spatial_dims=2, in_channels=channels, r=1),
        )
        super().__init__(body, channels, channels, dropout)


class GatedExcitation(nn.Module):
    """Gated Excitation Convolution: `(B, channels, H, W)` to the same, weighted by what maps of one level see.

    With t and c the maps of both encoders, each brought to one channel and to (H, W):

        alpha = sigmoid(C_1x1(SE(cat(t, c, e))))      (6), (B, 1, H, W)
        e'    = C_1x1(e * alpha + e)                  (7)
    """

    def __init__(self, channels: int, semantic: int, local: int, level: int) -> None:
        super().__init__()
        self.semantic = nn.Conv2d(semantic, 1, kernel_size=1)
        self.local = nn.Conv2d(local, 1, kernel_size=1)
        self.upsample = nn.Upsample(scale_factor=2**level, mode="bilinear", align_corners=False)
        self.excitation = ChannelSELayer(spatial_dims=2, in_channels=channels + 2, r=1)
        self.attention = nn.Conv2d(channels + 2, 1, kernel_size=1)
        self.convolution = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, e: Tensor, semantic: Tensor, local: Tensor) -> Tensor:
        """`semantic` and `local` are `(B, ..., H / 2^level, W / 2^level)`."""
        maps = self.upsample(torch.cat([self.semantic(semantic), self.local(local)], dim=1))  # (B, 2, H, W)
        alpha = torch.sigmoid(self.attention(self.excitation(torch.cat([maps, e], dim=1))))  # (B, 1, H, W)
        out: Tensor = self.convolution(e * alpha + e)
        return out


class EdgeExtraction(nn.Module):
    """What is an edge of a tumor or a vessel, from the maps of both encoders.

    Args:
        semantic: channels of the transformer branch's maps by level: 0 and those of `gates`.
        local: channels of the local encoder's maps by level.
        gates: levels of the gates, some of `GATED`, the finest first.
        widths: channels of the stream at each gate.
        dropout: of the residual blocks, while training.
    """

    def __init__(
        self,
        semantic: Mapping[int, int],
        local: Sequence[int],
        gates: Sequence[int],
        widths: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        levels = tuple(gates)
        if not levels or not set(levels) <= set(GATED) or sorted(set(levels)) != list(levels):
            raise InputError(f"gates {levels} must be some of the levels {GATED}, the finest first")
        if len(widths) != len(levels) or min(widths) < 2:
            raise InputError(f"edge_widths {tuple(widths)} must be {len(levels)} numbers of 2 or more channels")
        self.levels = levels
        self.semantic_block = SEBlock(semantic[0], dropout)
        self.local_block = SEBlock(local[0], dropout)
        self.join = nn.Conv2d(semantic[0] + local[0], widths[0], kernel_size=1)
        self.gates = nn.ModuleList(
            GatedExcitation(width, semantic[level], local[level], level)
            for level, width in zip(levels, widths, strict=True)
        )
        self.between = nn.ModuleList(
            nn.Sequential(SEBlock(a, dropout), nn.Conv2d(a, b, kernel_size=1)) for a, b in pairwise(widths)
        )
        self.head = nn.Conv2d(widths[-1], 1, kernel_size=1)

    def forward(self, semantic: Mapping[int, Tensor], local: Mapping[int, Tensor]) -> Tensor:
        """The last gate's output, `(B, widths[-1], H, W)`; `head` makes the logits of the edges of it."""
        both = torch.cat([self.semantic_block(semantic[0]), self.local_block(local[0])], dim=1)
        stream = self.join(both)  # (B, 32, H, W)
        for step, (level, gate) in enumerate(zip(self.levels, self.gates, strict=True)):
            if step > 0:
                stream = self.between[step - 1](stream)  # (B, 16, H, W); 8; 4
            stream = gate(stream, semantic[level], local[level])
        out: Tensor = stream
        return out
