# SPDX-License-Identifier: Apache-2.0
"""A residual network with a transformer on its last map: the encoder called R50-ViT-B/16.

Dosovitskiy et al. 2021 (An Image is Worth 16x16 Words, arXiv:2010.11929, section 3.1 "Hybrid architecture") put the
transformer on a ResNet-50 without its fourth stage, whose units go to the third: 3, 4, 9. Convolutions are
weight-standardized and followed by group norm (Kolesnikov et al. 2020, Big Transfer, arXiv:1912.11370), as in the
weights that were published for it. Its root is 7x7, stride 2, then a pool: the three stages lie at 1/4, 1/8 and 1/16.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, scaled_dot_product_attention

from liver_seg_ros.errors import InputError


class StandardizedConv2d(nn.Conv2d):
    """Convolution whose weights are brought to mean 0 and variance 1 per output channel; no bias."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel_size, stride, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return conv2d(x, weight, None, self.stride, self.padding)


def group_norm(channels: int) -> nn.GroupNorm:
    """32 groups, or as many as a width that is no multiple of 32 allows."""
    return nn.GroupNorm(gcd(32, channels), channels, eps=1e-6)


class ResidualUnit(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut: `(B, in, h, w)` to `(B, out, h/stride, w/stride)`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        middle = channels_out // 4
        self.body = nn.Sequential(
            StandardizedConv2d(channels_in, middle, 1),
            group_norm(middle),
            nn.ReLU(inplace=True),
            StandardizedConv2d(middle, middle, 3, stride),
            group_norm(middle),
            nn.ReLU(inplace=True),
            StandardizedConv2d(middle, channels_out, 1),
            group_norm(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            # One group per channel, as in the published weights.
            self.shortcut = nn.Sequential(
                StandardizedConv2d(channels_in, channels_out, 1, stride), nn.GroupNorm(channels_out, channels_out)
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


class ResNetV2(nn.Module):
    """Maps at 1/2, 1/4, 1/8 and 1/16 of `(B, channels_in, H, W)`, of `width` times 1, 4, 8 and 16 channels.

    Args:
        channels_in: channels of the input.
        width: channels of the root.
        units: residual units per stage; three stages.
    """

    def __init__(self, channels_in: int, width: int = 64, units: Sequence[int] = (3, 4, 9)) -> None:
        super().__init__()
        if width < 4 or width % 4 or len(units) != 3 or min(units) < 1:
            raise InputError(f"resnet_width {width} must be a multiple of 4, resnet_units {tuple(units)} three counts")
        self.channels = (width, 4 * width, 8 * width, 16 * width)
        self.root = nn.Sequential(
            StandardizedConv2d(channels_in, width, 7, stride=2), group_norm(width), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                ResidualUnit(channels_in, channels_out, stride),
                *(ResidualUnit(channels_out, channels_out) for _ in range(count - 1)),
            )
            for channels_in, channels_out, stride, count in zip(
                self.channels[:-1], self.channels[1:], (1, 2, 2), units, strict=True
            )
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [self.root(image)]  # (B, width, H/2, W/2)
        x = self.pool(maps[0])  # (B, width, H/4, W/4)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)  # (B, 4, 8, 16 width, H/4, H/8, H/16, ...)
        return maps


class TransformerLayer(nn.Module):
    """Self-attention and a perceptron, each after a layer norm and with a shortcut: `(B, N, hidden)` to the same."""

    def __init__(self, hidden: int, heads: int, dropout: float, scaled: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.scale = None if scaled else 1.0
        self.attention_norm = nn.LayerNorm(hidden, eps=1e-6)
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.projection = nn.Linear(hidden, hidden)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(hidden, eps=1e-6),
            nn.Linear(hidden, 4 * hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * hidden, hidden),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(self.attention_norm(tokens))
        out: Tensor = tokens + self.perceptron(tokens)
        return out

    def attend(self, tokens: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(d)) V in each head, with d = hidden / heads, then one projection of all heads.

        Without `scaled` there is no 1 / sqrt(d).
        """
        split = self.query_key_value(tokens).unflatten(-1, (3, self.heads, -1))  # (B, N, 3, heads, d)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, d)
        attended = scaled_dot_product_attention(query, key, value, scale=self.scale)
        out: Tensor = self.projection(attended.transpose(1, 2).flatten(2))  # (B, N, hidden)
        return out


class VisionTransformer(nn.Module):
    """A map as tokens through transformer layers and back: `(B, in, h, w)` to `(B, hidden, h/patch, w/patch)`.

    Args:
        channels_in: channels of the map.
        size: its `(h, w)`, which the learned position embedding fixes.
        patch: edge of the square that becomes one token.
        hidden: numbers per token.
        layers: how many.
        heads: attention heads per layer; `hidden` is a multiple.
        dropout: of tokens and perceptrons, while training.
        scaled: whether the attention's products are divided by the square root of their length.
    """

    def __init__(
        self,
        channels_in: int,
        size: tuple[int, int],
        patch: int = 2,
        hidden: int = 768,
        layers: int = 12,
        heads: int = 12,
        dropout: float = 0.1,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        if min(layers, heads) < 1 or hidden % heads:
            raise InputError(f"layers {layers} and heads {heads} must be positive, hidden {hidden} a multiple of heads")
        self.grid = (size[0] // patch, size[1] // patch)
        self.patch_embedding = nn.Conv2d(channels_in, hidden, kernel_size=patch, stride=patch)
        self.position_embedding = nn.Parameter(torch.empty(1, self.grid[0] * self.grid[1], hidden))
        nn.init.trunc_normal_(self.position_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(TransformerLayer(hidden, heads, dropout, scaled) for _ in range(layers)))
        self.norm = nn.LayerNorm(hidden, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2)  # (B, N, hidden), N = grid area
        tokens = self.dropout(tokens + self.position_embedding)
        tokens = self.norm(self.layers(tokens))
        out: Tensor = tokens.transpose(1, 2).unflatten(2, self.grid)  # (B, hidden, h/patch, w/patch)
        return out
