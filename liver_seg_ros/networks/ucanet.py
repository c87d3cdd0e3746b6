# SPDX-License-Identifier: Apache-2.0
"""UCA-Net: a 3D U-Net whose skip connections are channel-wise and slice-wise cross attention.

Kuang et al. 2023, "Towards Simultaneous Segmentation of Liver Tumors and Intrahepatic Vessels via Cross-Attention
Mechanism", section 2.2.3: channel-wise cross attention (CCA), equations (1) and (2); slice-wise (SCA), (3) and (4);
their sum (CSCA); Table 2: none, SCA, CCA, both. No code of the authors is public.

The paper prints no widths. Its four counts of parameters give them: 32, 64, 128, 256 channels, two 3x3x3 convolutions a
level, transposed convolutions of kernel 3, a decoder that reads C channels with attention, 2 C without, and PyTorch's
default biases in every convolution: 6.42, 5.84, 5.90 and 5.91 M, to the last digit, for background, tumor and vessel.

What the paper leaves open, and what was chosen:
- W of (1) and (3) is a 1x1x1 convolution. "R^(C x L)", as printed, is the shape of the product: weights of that shape
  would be 105 million at level 1. The equations print no bias, the counts need it.
- What the decoder reads: U_i + O_i, the usual residual of an attention. O_i alone would pass the coarser levels on only
  as C x C and D x D weights of the encoder's features; `residual=False` gives this reading, of as many parameters.
- The softmaxes are over sums of L products, at level 1 of CCA 3.3 million. `scaled` divides them by sqrt(L), as Vaswani
  et al. 2017 do. `scaled=False` is (2) and (4) to the letter: the softmax saturates, and W_Q and W_K stop learning.
- Normalization (batch), activation (ReLU), downsampling (maximum), and no norm or activation after a transposed
  convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image

Attention = Literal["none", "sca", "cca", "csca"]


class ChannelCrossAttention(nn.Module):
    """CCA: each channel of the decoder picks among those of the encoder, equations (1) and (2)."""

    def __init__(self, channels: int, scaled: bool) -> None:
        super().__init__()
        self.query = nn.Conv3d(channels, channels, kernel_size=1)
        self.key = nn.Conv3d(channels, channels, kernel_size=1)
        self.value = nn.Conv3d(channels, channels, kernel_size=1)
        self.scaled = scaled

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """`up` U_i and `skip` E_i `(B, C, D, H, W)` to CCA_i of the same shape."""
        query = self.query(up).flatten(2)  # (B, C, L), L = D H W
        key = self.key(skip).flatten(2)  # (B, C, L)
        value = self.value(skip).flatten(2)  # (B, C, L)
        return attend(query, key, value, self.scaled).reshape(skip.shape)


class SliceCrossAttention(nn.Module):
    """SCA: each slice of the decoder picks among those of the encoder, equations (3) and (4)."""

    def __init__(self, channels: int, scaled: bool) -> None:
        super().__init__()
        self.query = nn.Conv3d(channels, 1, kernel_size=1)
        self.key = nn.Conv3d(channels, 1, kernel_size=1)
        self.value = nn.Conv3d(channels, 1, kernel_size=1)
        self.restore = nn.Conv3d(1, channels, kernel_size=1)
        self.scaled = scaled

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """`up` U_i and `skip` E_i `(B, C, D, H, W)` to SCA_i of the same shape."""
        query = self.query(up)[:, 0].flatten(2)  # (B, D, L), L = H W
        key = self.key(skip)[:, 0].flatten(2)  # (B, D, L)
        value = self.value(skip)  # (B, 1, D, H, W)
        attended = attend(query, key, value[:, 0].flatten(2), self.scaled)  # (B, D, L)
        restored: Tensor = self.restore(attended.reshape(value.shape))  # (B, C, D, H, W)
        return restored


class CrossAttentionSkip(nn.Module):
    """CSCA: O_i = CCA_i + SCA_i, or one of the two; with the residual U_i + O_i."""

    def __init__(self, channels: int, attention: Attention, residual: bool, scaled: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        if attention in ("cca", "csca"):
            self.parts.append(ChannelCrossAttention(channels, scaled))
        if attention in ("sca", "csca"):
            self.parts.append(SliceCrossAttention(channels, scaled))
        self.residual = residual

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """`up` U_i and `skip` E_i `(B, C, D, H, W)` to what the decoder reads, of the same shape."""
        attended = [part(up, skip) for part in self.parts]
        return torch.stack([up, *attended] if self.residual else attended).sum(0)


class ConcatenationSkip(nn.Module):
    """The skip of the plain 3D U-Net, Table 2 without CSCA: `(B, C, D, H, W)` twice to `(B, 2 C, D, H, W)`."""

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([up, skip], dim=1)


class UCANet(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` float32 to `(B, classes, D, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT; the paper feeds the segmented liver region, HU -160 to 240.
        classes: classes of the output, background included.
        attention: what the skips are: "csca" (the paper's), "cca" or "sca" alone, or "none", concatenation.
        widths: channels per level, the finest first; each further level halves the grid.
        residual: whether the decoder reads U_i + O_i or only O_i.
        scaled: whether the sums in the softmaxes are divided by the square root of their length.

    Raises:
        InputError: an attention that there is not, fewer than two levels, a number below 1, or (in `forward`) a size
            that does not halve.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        attention: Attention = "csca",
        widths: Sequence[int] = (32, 64, 128, 256),
        residual: bool = True,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        if attention not in get_args(Attention):
            raise InputError(f"attention '{attention}' is none of {', '.join(get_args(Attention))}")
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be two or more positive numbers of channels, finest first")
        if min(channels_in, classes) < 1:
            raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
        self.channels_in = channels_in
        self.encoder = nn.ModuleList(_level(a, b) for a, b in pairwise((channels_in, *widths)))
        self.down = nn.MaxPool3d(kernel_size=2)
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(b, a, kernel_size=3, stride=2, padding=1, output_padding=1) for a, b in pairwise(widths)
        )
        plain = attention == "none"
        self.skips = nn.ModuleList(
            ConcatenationSkip() if plain else CrossAttentionSkip(c, attention, residual, scaled) for c in widths[:-1]
        )
        self.decoder = nn.ModuleList(_level(2 * c if plain else c, c) for c in widths[:-1])
        self.head = nn.Conv3d(widths[0], classes, kernel_size=1)
        #: What attention weighs depends on all of the window, so another one than was trained with is another network.
        self.spans_window = not plain

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return int(2 ** len(self.up))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where D, H or W is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple)
        maps = [self.encoder[0](image)]  # (B, 32, D, H, W)
        for level in self.encoder[1:]:
            maps.append(level(self.down(maps[-1])))  # (B, 64, D/2, ..), (B, 128, D/4, ..), (B, 256, D/8, H/8, W/8)
        x = maps.pop()
        for up, skip, level in zip(reversed(self.up), reversed(self.skips), reversed(self.decoder), strict=True):
            x = level(skip(up(x), maps.pop()))  # (B, 128, D/4, ..), (B, 64, D/2, ..), (B, 32, D, H, W)
        logits: Tensor = self.head(x)  # (B, classes, D, H, W)
        return logits


def attend(query: Tensor, key: Tensor, value: Tensor, scaled: bool) -> Tensor:
    """softmax(Q K^T) V over n rows of length L, each `(B, n, L)`; `scaled` divides Q K^T by sqrt(L)."""
    if scaled:
        query = query * query.shape[-1] ** -0.5  # before the product, which would overflow half precision
    weights = torch.softmax(query @ key.transpose(1, 2), dim=-1)  # (B, n, n), rows sum to 1
    return weights @ value


def _level(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3x3x3 convolutions: `(B, in, D, H, W)` to `(B, out, D, H, W)`."""
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers.append(nn.Conv3d(channels, channels_out, kernel_size=3, padding=1))
        layers.append(nn.BatchNorm3d(channels_out))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
