# SPDX-License-Identifier: Apache-2.0
"""Fusion module and multi-scale decoder of TransFusionNet, section II-D of the paper, Figures 1 (c) and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from liver_seg_ros.networks.blocks import ConvBlock2d
from liver_seg_ros.networks.transfusionnet_encoders import DEEPEST


class EdgePyramid(nn.Module):
    """The edge maps on every grid down to 1/64, halved by 2x2 convolutions: where an edge lies is not lost to a mean.

    `(B, channels_in, H, W)` to one map per level 0 to 6 of `(B, channels[n], H/2^n, W/2^n)`.
    """

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.channels = (channels_in, *(min(32, 8 << level) for level in range(DEEPEST - 1)))
        self.halvings = nn.ModuleList(_halve(a, b) for a, b in pairwise(self.channels))

    def forward(self, edges: Tensor) -> list[Tensor]:
        maps = [edges]
        for halving in self.halvings:
            maps.append(halving(maps[-1]))
        return maps


class FusionModule(nn.Module):
    """Three receptive fields of the encoders' last maps: 3x3, 1x1 and pooled, the edges added to the latter.

    `(B, channels_in, H/128, W/128)` to `(B, channels_out, H/128, W/128)`: a half, a quarter and a quarter of them.
    """

    def __init__(self, channels_in: int, channels_out: int, edge_channels: int = 0) -> None:
        super().__init__()
        quarter = channels_out // 4
        self.area = ConvBlock2d(channels_in, channels_out - 2 * quarter)
        self.point = nn.Sequential(
            nn.Conv2d(channels_in, quarter, kernel_size=1, bias=False), nn.BatchNorm2d(quarter), nn.ReLU(inplace=True)
        )
        # No batch norm on what is pooled to one pixel: it could not be trained with one image.
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels_in, quarter, kernel_size=1))
        self.edges: nn.Module | None = None
        if edge_channels:
            self.edges = nn.Conv2d(edge_channels, quarter, kernel_size=2, stride=2, bias=False)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor, edges: Tensor | None = None) -> Tensor:
        """`edges` is `(B, edge_channels, H/64, W/64)`."""
        whole = self.whole(x).expand(-1, -1, *x.shape[2:])  # (B, quarter, H/128, W/128)
        if self.edges is not None:
            whole = whole + self.edges(edges)
        return torch.cat([self.area(x), self.point(x), self.activation(whole)], dim=1)


class DecoderStage(nn.Module):
    """Joins the semantic map, doubles the grid, joins the local map and the edges of that grid, and convolves twice.

    `(B, channels_in, h, w)`, `(B, semantic, h, w)`, `(B, local, 2h, 2w)` and `(B, edges, 2h, 2w)` to
    `(B, width, 2h, 2w)`.
    """

    def __init__(
        self, channels_in: int, semantic: int, project: int, local: int, edges: int, width: int, dropout: float
    ) -> None:
        """Widths of 0 stand for what is not joined; `project` is the width that the semantic map is brought to."""
        super().__init__()
        self.project = nn.Conv2d(semantic, project, kernel_size=1) if semantic != project else nn.Identity()
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.convolutions = nn.Sequential(
            ConvBlock2d(channels_in + project + local + edges, width),
            nn.Dropout(dropout),
            ConvBlock2d(width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, semantic: Tensor | None, local: Tensor | None, edges: Tensor | None) -> Tensor:
        if semantic is not None:
            x = torch.cat([x, self.project(semantic)], dim=1)
        maps = (local, self.upsample(x), edges)
        out: Tensor = self.convolutions(torch.cat([map_ for map_ in maps if map_ is not None], dim=1))
        return out


class Decoder(nn.Module):
    """From `(B, channels_in, H/128, W/128)` to `(B, widths[0], H, W)`, one stage per level.

    Args:
        channels_in: channels of the fused map.
        widths: channels per level, those of the local encoder.
        semantic: channels of the transformer branch's maps by level, none without its skips; those of the levels 6
            (from the transformer), 3, 2 and 1 (from its ResNet) are joined.
        local: whether the local encoder's maps are joined.
        edges: channels of the edge maps by level, none where they are not joined.
        dropout: while training.
    """

    def __init__(
        self,
        channels_in: int,
        widths: Sequence[int],
        semantic: Mapping[int, int],
        local: bool,
        edges: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.joined = tuple(level for level in (6, 3, 2, 1) if level in semantic)
        self.local = local
        self.stages = nn.ModuleList(
            DecoderStage(
                channels_in=channels_in if level + 1 == DEEPEST else widths[level + 1],
                semantic=semantic[level + 1] if level + 1 in self.joined else 0,
                project=widths[level + 1] if level + 1 in self.joined else 0,
                local=widths[level] if local else 0,
                edges=edges[level] if edges else 0,
                width=widths[level],
                dropout=dropout,
            )
            for level in reversed(range(DEEPEST))
        )

    def forward(
        self, x: Tensor, semantic: Mapping[int, Tensor], local: Mapping[int, Tensor], edges: Sequence[Tensor]
    ) -> Tensor:
        for level, stage in zip(reversed(range(DEEPEST)), self.stages, strict=True):
            # reads (B, 1536, H/64, W/64), then 1536, 1024, 768, 640, 320 and 160 channels with all skips
            coarser = semantic[level + 1] if level + 1 in self.joined else None
            x = stage(x, coarser, local[level] if self.local else None, edges[level] if edges else None)
        return x  # (B, 32, H, W)


def _halve(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=2, stride=2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
