# SPDX-License-Identifier: Apache-2.0
"""UCTransNet (Wang et al. 2022, arXiv:2109.04335), a baseline of paper 2 (UCA-Net), Table 1.

A 2D U-Net whose skips pass a channel-wise cross fusion transformer (CCT) and channel-wise cross attention (CCA).

The maps of four levels are cut into patches of sizes 16, 8, 4, 2, so that all give the same number of tokens T_i
(B, N, C_i). With T_S their concatenation (C_S channels), per head:

    M_i = softmax(psi(Q_i' K / sqrt(C_S))),  Q_i = T_i W_Qi,  K = T_S W_K,  V = T_S W_V
    CA_i = M_i V',  MCA_i = mean of the heads' CA_i,  O_i = MCA_i + MLP(Q_i + MCA_i)

with psi instance normalization. So attention is between channels, C_i x C_S, not between tokens. In the decoder, CCA
weights each skip's channels by the means of skip and decoder map: sigmoid((L1 mean(skip) + L2 mean(decoder)) / 2).

Chosen as in the authors' code where the paper is short: residuals around attention and MLP with layer normalization
before each, queries of C_i channels, dropout of 0.1, a position embedding per level, and the reconstructed maps added
to the encoder's. Their code has one more projection per level behind the mean of the heads, which no equation has:
without it these are 65.2 M parameters, with it 66.6 M, and both papers print 65.6 M. UCTransNet's own paper feeds
224 x 224, paper 2 slices of 320 x 320, which changes only the position embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.blocks import ConvBlock2d
from liver_seg_ros.networks.sizes import check_fixed_image, check_size

LEVELS = 4


class ChannelCrossAttention(nn.Module):
    """MCA: per level tokens `(B, N, C_i)`, and all of them `(B, N, C_S)`, to `(B, N, C_i)` each."""

    def __init__(self, widths: Sequence[int], heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.total = heads, sum(widths)
        self.queries = nn.ModuleList(nn.Linear(c, heads * c, bias=False) for c in widths)
        self.key = nn.Linear(self.total, heads * self.total, bias=False)
        self.value = nn.Linear(self.total, heads * self.total, bias=False)
        self.norm = nn.InstanceNorm2d(heads)
        self.dropout = nn.Dropout(dropout)

    def forward(self, levels: Sequence[Tensor], everything: Tensor) -> list[Tensor]:
        key = self._split(self.key(everything)).transpose(2, 3)  # (B, heads, N, C_S)
        value = self._split(self.value(everything))  # (B, heads, C_S, N)
        attended = []
        for tokens, query in zip(levels, self.queries, strict=True):
            scores = self._split(query(tokens)) @ key / self.total**0.5  # (B, heads, C_i, C_S)
            attention = self.dropout(torch.softmax(self.norm(scores), dim=3))
            mean = (attention @ value).mean(dim=1)  # (B, C_i, N)
            attended.append(self.dropout(mean.transpose(1, 2)))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """`(B, N, heads * C)` to `(B, heads, C, N)`."""
        return x.unflatten(2, (self.heads, -1)).permute(0, 2, 3, 1)


class FusionLayer(nn.Module):
    """One layer of the transformer: cross attention, then an MLP per level."""

    def __init__(self, widths: Sequence[int], heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in widths)
        self.norm_all = nn.LayerNorm(sum(widths))
        self.attention = ChannelCrossAttention(widths, heads, dropout)
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(c),
                nn.Linear(c, expansion * c),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(expansion * c, c),
                nn.Dropout(dropout),
            )
            for c in widths
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Per level `(B, N, C_i)`, in and out."""
        normed = [norm(tokens) for norm, tokens in zip(self.norms, levels, strict=True)]
        attended = self.attention(normed, self.norm_all(torch.cat(list(levels), dim=2)))
        levels = [tokens + update for tokens, update in zip(levels, attended, strict=True)]
        return [tokens + mlp(tokens) for tokens, mlp in zip(levels, self.mlps, strict=True)]


class CrossFusionTransformer(nn.Module):
    """CCT: the encoder's maps `(B, C_i, H/2^i, W/2^i)` to maps of the same shapes that know of one another.

    Args:
        widths: C_i, finest first.
        grid: tokens along H and W.
        patches: edge of a patch per level.
    """

    def __init__(
        self,
        widths: Sequence[int],
        grid: tuple[int, int],
        patches: Sequence[int],
        layers: int,
        heads: int,
        expansion: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.grid, self.patches = grid, tuple(patches)
        self.embed = nn.ModuleList(
            nn.Conv2d(c, c, kernel_size=p, stride=p) for c, p in zip(widths, patches, strict=True)
        )
        self.positions = nn.ParameterList(torch.zeros(1, grid[0] * grid[1], c) for c in widths)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(FusionLayer(widths, heads, expansion, dropout) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in widths)
        self.reconstruct = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, kernel_size=1), nn.BatchNorm2d(c), nn.ReLU(inplace=True)) for c in widths
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        levels = [
            self.dropout(embed(x).flatten(2).transpose(1, 2) + position)  # (B, N, C_i)
            for embed, x, position in zip(self.embed, maps, self.positions, strict=True)
        ]
        for layer in self.layers:
            levels = layer(levels)
        fused = []
        for x, tokens, norm, patch, reconstruct in zip(
            maps, levels, self.norms, self.patches, self.reconstruct, strict=True
        ):
            coarse = norm(tokens).transpose(1, 2).unflatten(2, self.grid)  # (B, C_i, *grid)
            fused.append(x + reconstruct(interpolate(coarse, scale_factor=float(patch), mode="nearest")))
        return fused


class AttendedUpBlock(nn.Module):
    """Decoder map `(B, C, h, w)` and skip `(B, C, 2h, 2w)` to `(B, out, 2h, 2w)`; CCA weights the skip's channels."""

    def __init__(self, channels: int, channels_out: int) -> None:
        super().__init__()
        self.from_skip = nn.Linear(channels, channels)
        self.from_decoder = nn.Linear(channels, channels)
        self.convolutions = nn.Sequential(
            ConvBlock2d(2 * channels, channels_out), ConvBlock2d(channels_out, channels_out)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        up = interpolate(x, scale_factor=2.0, mode="nearest")
        weight = torch.sigmoid((self.from_skip(skip.mean((2, 3))) + self.from_decoder(up.mean((2, 3)))) / 2)  # (B, C)
        weighted = torch.relu(skip * weight[:, :, None, None])
        out: Tensor = self.convolutions(torch.cat([weighted, up], dim=1))
        return out


class UCTransNet(nn.Module):
    """Logits per pixel and class: `(B, channels_in, *image_size)` to `(B, classes, *image_size)`, float32.

    Args:
        channels_in: channels of the input.
        classes: classes of the output, background included.
        image_size: H and W; fixed, since each token has its position embedding.
        width: channels at full size; doubled per level up to 8 times.
        patch: edge of a patch at full size; halved per level.
        layers, heads, expansion, dropout: of the transformer.

    Raises:
        InputError: an image_size that is not cut evenly, or (in `forward`) an image of another size.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 4,
        image_size: Sequence[int] = (320, 320),
        width: int = 64,
        patch: int = 16,
        layers: int = 4,
        heads: int = 4,
        expansion: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if patch % 2 ** (LEVELS - 1) or patch < 1:
            raise InputError(f"patch {patch} must be a multiple of {2 ** (LEVELS - 1)}, to be halved at each level")
        self.channels_in, self.image_size = channels_in, (int(image_size[0]), int(image_size[1]))
        self.size_multiple = max(patch, 2**LEVELS)
        check_size(self.image_size, self.size_multiple)
        widths = [width * 2**n for n in range(LEVELS)]
        grid = (self.image_size[0] // patch, self.image_size[1] // patch)
        self.stem = ConvBlock2d(channels_in, width)
        self.down = nn.ModuleList(
            nn.Sequential(ConvBlock2d(a, b), ConvBlock2d(b, b)) for a, b in pairwise([*widths, widths[-1]])
        )
        patches = [patch // 2**n for n in range(LEVELS)]
        self.fusion = CrossFusionTransformer(widths, grid, patches, layers, heads, expansion, dropout)
        self.up = nn.ModuleList(AttendedUpBlock(b, a) for a, b in pairwise([width, *widths]))
        self.head = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where the image is not of `image_size`."""
        check_fixed_image(image, self.channels_in, self.image_size)
        maps = [self.stem(image)]  # (B, width, H, W)
        for down in self.down:
            maps.append(down(max_pool2d(maps[-1], kernel_size=2)))  # level n: (B, widths[n], H/2^n, W/2^n)
        x = maps.pop()  # (B, 8 width, H/16, W/16)
        for up, skip in zip(reversed(self.up), reversed(self.fusion(maps)), strict=True):
            x = up(x, skip)  # level n: (B, max(width, widths[n] / 2), H/2^n, W/2^n)
        logits: Tensor = self.head(x)  # (B, classes, H, W)
        return logits
