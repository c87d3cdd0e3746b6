# SPDX-License-Identifier: Apache-2.0
"""MPU-Net: a residual 3D U-Net with position attention at 1/8 resolution and four softmaxed scales that are averaged.

Yu and Han 2023, "3D Medical Image Segmentation based on multi-scale MPU-Net", arXiv:2307.05799, section 3: image
sequentialization, equations (1) to (4); down-sampling (5); attention, (6) to (9), in `mpunet_attention.py`; attention
gates, (10) to (12), and multi-scale blocks, (14) to (17), in `mpunet_decoder.py`; fusion of the scales (18), an average
by section 3.5.

What the paper leaves open is as in the authors' published code: all widths, two convolutions per encoder level and
their residual, PReLU, dropout of 0.2, the last two down-samplings without stride, gates of half the channels. That code
feeds windows of 48 slices in HU -200 to 200; the paper gives 256x256 pixels and no HU, and drops scans below 48 slices.

Where the paper and that code differ, this file follows the paper; `decoder="published"` and `attention="published"`
give the code's:
- Queries and keys of the attention: see there. `attention="multi_head"` is (6) and (7).
- Gates. Paper: on the skips, before they are concatenated, without normalization. Code: on what a level gives out, with
  batch norm.
- Multi-scale blocks. Paper: two receptive fields, concatenated and fused; kernels and widths are left open. Here a
  3x3x3 convolution first brings the channels to the level's width, then two branches of half the width, dilated by 1
  and 2, are fused by a 3x3x3 convolution. Code: three plain convolutions.
- Down-sampling. (5) is convolution, ELU, maximum, its convolution "Conv1d" of width 3, which halves no volume; halvings
  have 2x2x2 of stride 2, others 3x3x3. The code takes the maximum first and gives ELU the channels as alpha.
- HCNN (3.3.2) has no equation. It maps the sequence back to a volume: `expand`, a convolution block; and it is "built
  within the Multi-scale Block's framework", fusing "each neighboring two layers": the decoder's levels.
- Up-sampling (3.3.3): "a 3x upsampling operator, a 2x2x2 convolutional layer, and a PReLU layer". Grids once halved
  cannot grow threefold: 3 is how often it is done, D/8 to D. As in the code a transposed 2x2x2 convolution, stride 2,
  is both operator and layer. `upsampling="cascaded"` is that of the source named there (TransUNet): doubled, here
  trilinearly, then a 3x3x3 convolution; and PReLU.
- Position embedding. (2) learns one, which fixes the size of the image; the code has none, and the published count of
  parameters has no room for its 1.6 million. `position_embedding` adds it.

Parameters with 2 classes: 22,774,433, 1.0 % more than published. Of the published 22,557,009 the code never runs
1,049,754, and 1,536 are biases that a batch norm or softmax cancels; neither is here. With both "published" it has
exactly the other 21,505,719.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, log_softmax

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.mpunet_attention import MultiHeadAttention, PositionAttention
from liver_seg_ros.networks.mpunet_decoder import ConvBlock, DecoderLevel, PublishedDecoderLevel
from liver_seg_ros.networks.sizes import check_fixed_image, check_image, check_size

Decoder = Literal["paper", "published"]
Attention = Literal["position", "multi_head", "published"]
Upsampling = Literal["transposed", "cascaded"]


class ScaleOutputs(NamedTuple):
    """What a network with several scales gives out, each map `(B, classes, D, H, W)`."""

    logits: Tensor
    scales: tuple[Tensor, ...]  # logits of each scale, the coarsest first


class MPUNet(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` float32 to `(B, classes, D, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT.
        classes: classes of the output, background included.
        widths: channels of the five encoder levels, at full, 1/2, 1/4, 1/8 and 1/8 resolution.
        decoder: "paper", or "published" as in the authors' code.
        attention: "position", "multi_head", or "published" as in the authors' code.
        heads: of the multi-head attention.
        upsampling: "transposed" or "cascaded".
        dropout: share of the features that training drops between levels.
        attention_weight: lambda of (9) before training.
        position_embedding: size (D, H, W) of the image for which (2)'s embedding is learned; none if not given.

    Raises:
        InputError: an option that there is not, other than five widths, widths that cannot be divided, a number out of
            its range, or (in `forward`) a size that does not fit.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        decoder: Decoder = "paper",
        attention: Attention = "position",
        heads: int = 8,
        upsampling: Upsampling = "transposed",
        dropout: float = 0.2,
        attention_weight: float = 0.0,
        position_embedding: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        _check_options(channels_in, classes, widths, dropout)
        _check_choice("decoder", decoder, get_args(Decoder))
        _check_choice("attention", attention, get_args(Attention))
        _check_choice("upsampling", upsampling, get_args(Upsampling))
        self.channels_in = channels_in
        #: Every voxel attends to all of the window: another one than was trained with is another network.
        self.spans_window = True
        top = widths[-1]
        levels = list(pairwise(widths))  # (channels of the skip, channels of the decoder's level)
        self.shortcut = nn.Identity() if channels_in == 1 else nn.Conv3d(channels_in, widths[0], kernel_size=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b), ConvBlock(b, b))
            for a, b in zip((channels_in, *widths[1:]), widths, strict=True)
        )
        self.down = nn.ModuleList(_down(a, b, halve=n < 3) for n, (a, b) in enumerate([*levels, (top, 2 * top)]))
        self.reduce = _normalized(2 * top, top)
        self.attention: nn.Module
        if attention == "multi_head":
            self.attention = MultiHeadAttention(top, attention_weight, heads)
        else:
            self.attention = PositionAttention(top, attention_weight, published=attention == "published")
        self.expand = _normalized(top, top)
        level = DecoderLevel if decoder == "paper" else PublishedDecoderLevel
        # At the coarsest level PAM's output gates the skip and is added, but not concatenated.
        self.decoder = nn.ModuleList(level(a, b, n < 3) for n, (a, b) in reversed(list(enumerate(levels))))
        up = _transposed if upsampling == "transposed" else _cascaded
        self.up = nn.ModuleList(up(b, a) for a, b in reversed(levels[1:]))
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
            check_fixed_image(image, self.channels_in, self.image_size, "position_embedding")
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


def _transposed(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose3d(channels_in, channels_out, kernel_size=2, stride=2), nn.PReLU(channels_out))


def _cascaded(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False), ConvBlock(channels_in, channels_out)
    )


def _enlarge(scale: Tensor, factor: int) -> Tensor:
    return scale if factor == 1 else interpolate(scale, scale_factor=float(factor), mode="trilinear")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InputError(f"{name} '{value}' is none of {', '.join(choices)}")


def _check_options(channels_in: int, classes: int, widths: Sequence[int], dropout: float) -> None:
    if min(channels_in, classes) < 1:
        raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
    if len(widths) != 5 or min(widths) < 2 or widths[-1] % 8 or any(width % 2 for width in widths):
        raise InputError(f"widths {tuple(widths)} must be five even numbers of channels, the last a multiple of 8")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout {dropout} must be at least 0 and less than 1")
