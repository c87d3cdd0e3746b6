# SPDX-License-Identifier: Apache-2.0
"""One level of MPU-Net's decoder: attention gate and multi-scale block, section 3.3 of the paper, (10) to (17)."""

from __future__ import annotations

import torch
from monai.networks.nets.attentionunet import AttentionBlock
from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """3x3x3 convolution and PReLU: `(B, in, D, H, W)` to `(B, out, D, H, W)`."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=dilation, dilation=dilation),
            nn.PReLU(channels_out),
        )


class AttentionGate(nn.Module):
    """Equations (10) to (12): scales each voxel of the skip by 0 to 1, `(B, skip, D, H, W)` to the same.

    (12) prints the sigmoid without its minus sign.
    """

    def __init__(self, skip: int, gating: int, between: int) -> None:
        super().__init__()
        self.skip = nn.Conv3d(skip, between, kernel_size=1, bias=False)  # W_x
        self.gating = nn.Conv3d(gating, between, kernel_size=1)  # W_g, b_g
        self.scale = nn.Conv3d(between, 1, kernel_size=1)  # phi, b_phi

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """`gating` is `(B, gating, D, H, W)`."""
        scale = torch.sigmoid(self.scale(torch.relu(self.skip(skip) + self.gating(gating))))  # (B, 1, D, H, W)
        return skip * scale


class MultiScaleBlock(nn.Module):
    """Equations (14) to (17): two receptive fields side by side, fused; `(B, C, D, H, W)` to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.near = nn.Sequential(ConvBlock(channels, half), ConvBlock(half, half))  # sees 5 voxels
        self.far = nn.Sequential(ConvBlock(channels, half, dilation=2), ConvBlock(half, half, dilation=2))  # sees 9
        self.fuse = ConvBlock(2 * half, channels)

    def forward(self, features: Tensor) -> Tensor:
        fused: Tensor = self.fuse(torch.cat([self.near(features), self.far(features)], dim=1))
        return fused


class DecoderLevel(nn.Module):
    """The paper's level: gate on the skip, concatenation, multi-scale block, residual.

    `(B, C, D, H, W)` from the coarser level and `(B, skip, D, H, W)` to `(B, C, D, H, W)`. Without `concatenate`, at
    the coarsest level, the former only gates the skip and is added in the end.
    """

    def __init__(self, skip: int, channels: int, concatenate: bool) -> None:
        super().__init__()
        self.concatenate = concatenate
        self.gate = AttentionGate(skip, channels, between=channels // 2)
        self.merge = ConvBlock(skip + channels * concatenate, channels)
        self.block = MultiScaleBlock(channels)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        gated = self.gate(skip, coarse)
        merged = self.merge(torch.cat([coarse, gated], dim=1) if self.concatenate else gated)
        level: Tensor = self.block(merged) + coarse
        return level


class PublishedDecoderLevel(nn.Module):
    """The same level in the authors' code: three plain convolutions, and the gate (with batch norm) behind them."""

    def __init__(self, skip: int, channels: int, concatenate: bool) -> None:
        super().__init__()
        self.concatenate = concatenate
        self.block = nn.Sequential(
            ConvBlock(skip + channels * concatenate, channels),
            ConvBlock(channels, channels),
            ConvBlock(channels, channels),
        )
        self.gate = AttentionBlock(spatial_dims=3, f_int=channels // 2, f_g=channels, f_l=channels)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        merged = self.block(torch.cat([coarse, skip], dim=1) if self.concatenate else skip) + coarse
        level: Tensor = self.gate(g=coarse, x=merged)
        return level
