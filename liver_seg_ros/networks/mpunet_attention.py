# SPDX-License-Identifier: Apache-2.0
"""Attention between all positions of MPU-Net's coarsest map, section 3.2.3 of the paper, (6) to (9), Figure 4.

The section tells of two. Multi-head self-attention, (6) and (7), comes first; its memory "has become the primary
drawback", "therefore, here the framework of Position Attention will be applied", (8) and (9). The latter is the
default, the former an option.

What the section leaves open, and what was chosen:
- A and B of (8) "are created when BatchNorm and PReLU activate the original information flow", both of F's shape. The
  linear maps that make two of them are those of (6), "the dimensions of Q, K, and V are the same as the dimensions of
  z_i": a 1x1x1 convolution of full width, batch norm, PReLU. C is one by "the convolutional layer".
- (8) prints a sum over j without j in it: its softmax is over j, the positions that (9) sums. That sum starts at j = 1,
  not, as printed, at i. There is no factor 1/sqrt(d) in (8), unlike in (7).
- Heads: how many is not said. Their joined answer passes "the linear output" and then, as (9)'s, joins F by lambda.

The authors' code has A and B of an eighth of the channels, without norm and activation: `published`.
"""

from __future__ import annotations

import torch
from monai.networks.utils import pixelunshuffle
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from liver_seg_ros.errors import InputError


def sequentialize(image: Tensor, patch: int = 1) -> Tensor:
    """Image sequentialization (1): `(B, C, D, H, W)` to a sequence of N patches of P^3 voxels, `(B, N, C P^3)`.

    N = D H W / P^3. By (3) and (4), a linear layer on the sequence is a convolution of kernel and stride P. In this
    network three strided convolutions take the place of P = 8, and their features are sequenced with P = 1.
    """
    patches = image if patch == 1 else pixelunshuffle(image, spatial_dims=3, scale_factor=patch)
    return patches.flatten(2).transpose(1, 2)


class PositionAttention(nn.Module):
    """PAM, equations (8) and (9): each position adds those like it, `(B, C, D, H, W)` to the same."""

    def __init__(self, channels: int, weight: float, published: bool = False) -> None:
        """`weight` is lambda of (9) before training; `published` takes A and B as in the authors' code."""
        super().__init__()
        self.query, self.key = _activated(channels), _activated(channels)  # B and A of (8)
        if published:
            self.query = nn.Conv3d(channels, channels // 8, kernel_size=1)
            self.key = nn.Conv3d(channels, channels // 8, kernel_size=1, bias=False)  # it would cancel in the softmax
        self.value = nn.Conv3d(channels, channels, kernel_size=1)  # C
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = (sequentialize(part(features)) for part in (self.query, self.key, self.value))
        attention = torch.softmax(query @ key.transpose(1, 2), dim=-1)  # (B, N, N): row i has s_ji of all j
        attended = (attention @ value).transpose(1, 2).reshape(features.shape)
        return self.weight * attended + features


class MultiHeadAttention(nn.Module):
    """Equations (6) and (7) in several heads: `(B, C, D, H, W)` to the same."""

    def __init__(self, channels: int, weight: float, heads: int) -> None:
        """`weight` is lambda before training."""
        super().__init__()
        if heads < 1 or channels % heads:
            raise InputError(f"heads {heads} must divide the last of widths, {channels}")
        self.heads = heads
        self.query_key_value = nn.Linear(channels, 3 * channels)  # W_Q, W_K, W_V
        self.output = nn.Linear(channels, channels)
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, features: Tensor) -> Tensor:
        split = self.query_key_value(sequentialize(features)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, d), d = C / heads
        attended = scaled_dot_product_attention(query, key, value)  # softmax(Q K^T / sqrt(d)) V
        joined: Tensor = self.output(attended.transpose(1, 2).flatten(2))  # (B, N, C)
        return self.weight * joined.transpose(1, 2).reshape(features.shape) + features


def _activated(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv3d(channels, channels, kernel_size=1, bias=False), nn.BatchNorm3d(channels), nn.PReLU())
