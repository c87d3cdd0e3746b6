"""MPU-Net: a residual 3D U-Net with position attention at 1/8 resolution and four softmaxed scales that are averaged.

Yu and Han 2023, "3D Medical Image Segmentation based on multi-scale MPU-Net", arXiv:2307.05799, section 3: image
sequentialization, equations (1) to (4); down-sampling (5); position attention module (PAM), (8) and (9); attention
gates, (10) to (12); multi-scale blocks, (14) to (17); fusion of the scales (18), an average by section 3.5.

What the paper leaves open is as in the authors' published code: all widths, two convolutions per encoder level and
their residual, PReLU, dropout of 0.2, the last two down-samplings without stride, queries and keys of an eighth of the
channels, gates of half the channels.

Where the paper and that code differ, this file follows the paper; `decoder="published"` gives the code's decoder:
- Gates. Paper: on the skips, before they are concatenated, without normalization. Code: on what a level gives out, with
  batch norm.
- Multi-scale blocks. Paper: two receptive fields, concatenated and fused; kernels and widths are left open. Here a
  3x3x3 convolution first brings the channels to the level's width, then two branches of half the width, dilated by 1
  and 2, are fused by a 3x3x3 convolution. Code: three plain convolutions.
- Down-sampling. (5) is convolution, ELU, maximum; the code takes the maximum first and gives ELU the channels as alpha.
- Position embedding. (2) learns one, which fixes the size of the image; the code has none, and the published count of
  parameters has no room for its 1.6 million. `position_embedding` adds it.

Parameters with 2 classes: 22,658,751, 0.5 % more than published. Of the published 22,557,009 the code never runs
1,049,754, and 1,536 are biases that a batch norm or softmax cancels; neither is here. `decoder="published"` has exactly
the other 21,505,719.

(8) prints a sum over j around a fraction for one j: its softmax is over j, the positions that (9) sums. That sum starts
at j = 1, not, as printed, at i. There is no factor 1/sqrt(d) in (8), unlike in (7).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple, get_args

import torch
from monai.networks.utils import pixelunshuffle
from torch import Tensor, nn
from torch.nn.functional import interpolate, log_softmax

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.mpunet_decoder import ConvBlock, DecoderLevel, PublishedDecoderLevel
from liver_seg_ros.networks.sizes import check_fixed_image, check_image, check_size

Decoder = Literal["paper", "published"]


class ScaleOutputs(NamedTuple):
    """What a network with several scales gives out, each map `(B, classes, D, H, W)`."""

    logits: Tensor
    scales: tuple[Tensor, ...]  # logits of each scale, the coarsest first


def sequentialize(image: Tensor, patch: int = 1) -> Tensor:
    """Image sequentialization (1): `(B, C, D, H, W)` to a sequence of N patches of P^3 voxels, `(B, N, C P^3)`.

    N = D H W / P^3. By (3) and (4), a linear layer on the sequence is a convolution of kernel and stride P. In this
    network three strided convolutions take the place of P = 8, and their features are sequenced with P = 1.
    """
    patches = image if patch == 1 else pixelunshuffle(image, spatial_dims=3, scale_factor=patch)
    return patches.flatten(2).transpose(1, 2)


class PositionAttention(nn.Module):
    """PAM, equations (8) and (9): each position adds those like it, `(B, C, D, H, W)` to the same."""

    def __init__(self, channels: int, weight: float) -> None:
        super().__init__()
        self.query = nn.Conv3d(channels, channels // 8, kernel_size=1)
        self.key = nn.Conv3d(channels, channels // 8, kernel_size=1, bias=False)  # a bias would cancel in the softmax
        self.value = nn.Conv3d(channels, channels, kernel_size=1)
        self.weight = nn.Parameter(torch.tensor([weight]))  # lambda of (9)

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = (sequentialize(part(features)) for part in (self.query, self.key, self.value))
        attention = torch.softmax(query @ key.transpose(1, 2), dim=-1)  # (B, N, N): row i has s_ji of all j
        attended = (attention @ value).transpose(1, 2).reshape(features.shape)
        return self.weight * attended + features


class MPUNet(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` float32 to `(B, classes, D, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT; the paper feeds HU -200 to 200, windows of 48 slices.
        classes: classes of the output, background included.
        widths: channels of the five encoder levels, at full, 1/2, 1/4, 1/8 and 1/8 resolution.
        decoder: "paper", or "published" as in the authors' code.
        dropout: share of the features that training drops between levels.
        attention_weight: lambda of (9) before training.
        position_embedding: size (D, H, W) of the image for which (2)'s embedding is learned; none if not given.

    Raises:
        InputError: a decoder that there is not, other than five widths, widths that cannot be divided, a number out of
            its range, or (in `forward`) a size that does not fit.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        decoder: Decoder = "paper",
        dropout: float = 0.2,
        attention_weight: float = 0.0,
        position_embedding: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        _check_options(channels_in, classes, widths, decoder, dropout)
        self.channels_in = channels_in
        top = widths[-1]
        levels = list(pairwise(widths))  # (channels of the skip, channels of the decoder's level)
        self.shortcut = nn.Identity() if channels_in == 1 else nn.Conv3d(channels_in, widths[0], kernel_size=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b), ConvBlock(b, b))
            for a, b in zip((channels_in, *widths[1:]), widths, strict=True)
        )
        self.down = nn.ModuleList(_down(a, b, halve=n < 3) for n, (a, b) in enumerate([*levels, (top, 2 * top)]))
        self.reduce = _normalized(2 * top, top)
        self.attention = PositionAttention(top, attention_weight)
        self.expand = _normalized(top, top)
        level = DecoderLevel if decoder == "paper" else PublishedDecoderLevel
        # At the coarsest level PAM's output gates the skip and is added, but not concatenated.
        self.decoder = nn.ModuleList(level(a, b, n < 3) for n, (a, b) in reversed(list(enumerate(levels))))
        self.up = nn.ModuleList(_up(b, a) for a, b in reversed(levels[1:]))
        self.heads = nn.ModuleList(nn.Conv3d(b, classes, kernel_size=1) for _, b in reversed(levels))
        self.drop = nn.Dropout(dropout)
        self.embedding: nn.Parameter | None = None
        if position_embedding is not None:
            self.image_size = tuple(position_embedding)
            check_size(self.image_size, self.size_multiple)
            self.embedding = nn.Parameter(0.02 * torch.randn(1, top, *(n // 8 for n in self.image_size)))

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return 8

    def forward(self, image: Tensor) -> Tensor:
        """The logarithm of the average of the four softmaxed scales (18), so that its softmax is the paper's output."""
        return self.outputs(image).logits

    def outputs(self, image: Tensor) -> ScaleOutputs:
        """`forward`'s logits, and those of the four scales, which the paper's loss (19) takes."""
        if self.embedding is not None:
            check_fixed_image(image, self.channels_in, self.image_size)
        check_image(image, self.channels_in, self.size_multiple)
        skips: list[Tensor] = []
        x, shortcut = image, self.shortcut(image)
        for level, down in zip(self.encoder, self.down, strict=True):
            x = level(x) + shortcut  # the one channel of a CT is added to all 16
            skips.append(self.drop(x) if skips else x)
            x = shortcut = down(skips[-1])
        # skips: (B, 16, D, H, W), (B, 32, D/2, ..), (B, 64, D/4, ..), (B, 128, D/8, ..), (B, 256, D/8, H/8, W/8)
        x = self.reduce(x)  # (B, 512, D/8, H/8, W/8) to (B, 256, D/8, H/8, W/8)
        x = self.expand(self.attention(x if self.embedding is None else x + self.embedding))
        scales = []
        for n, (level, head) in enumerate(zip(self.decoder, self.heads, strict=True)):
            x = level(x, skips[3 - n])  # (B, 256, D/8, ..), (B, 128, D/4, ..), (B, 64, D/2, ..), (B, 32, D, H, W)
            x = self.drop(x) if n < 3 else x
            scales.append(_enlarge(head(x), 8 >> n))  # (B, classes, D, H, W)
            x = self.up[n](x) if n < 3 else x
        return ScaleOutputs(fuse(scales), tuple(scales))


def fuse(scales: Sequence[Tensor]) -> Tensor:
    """log(mean of softmax(scale)) over the scales, each `(B, classes, ...)`."""
    return torch.logsumexp(torch.stack([log_softmax(scale, dim=1) for scale in scales]), dim=0) - log(len(scales))


def _normalized(channels_in: int, channels_out: int) -> nn.Sequential:
    """3x3x3 convolution, batch norm, PReLU; the grid stays."""
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm3d(channels_out),
        nn.PReLU(),
    )


def _down(channels_in: int, channels_out: int, halve: bool) -> nn.Sequential:
    """Equation (5), with batch norm: convolution that halves the grid, or one that does not; ELU; maximum."""
    kernel, stride, padding = (2, 2, 0) if halve else (3, 1, 1)
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(channels_out),
        nn.ELU(),
        nn.MaxPool3d(kernel_size=3, stride=1, padding=1),
    )


def _up(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose3d(channels_in, channels_out, kernel_size=2, stride=2), nn.PReLU(channels_out))


def _enlarge(scale: Tensor, factor: int) -> Tensor:
    return scale if factor == 1 else interpolate(scale, scale_factor=float(factor), mode="trilinear")


def _check_options(channels_in: int, classes: int, widths: Sequence[int], decoder: str, dropout: float) -> None:
    if min(channels_in, classes) < 1:
        raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
    if len(widths) != 5 or min(widths) < 2 or widths[-1] % 8 or any(width % 2 for width in widths):
        raise InputError(f"widths {tuple(widths)} must be five even numbers of channels, the last a multiple of 8")
    if decoder not in get_args(Decoder):
        raise InputError(f"decoder '{decoder}' is none of {', '.join(get_args(Decoder))}")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout {dropout} must be at least 0 and less than 1")
