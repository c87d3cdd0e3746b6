# SPDX-License-Identifier: Apache-2.0
"""Parts that more than one network is built from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class ConvBlock2d(nn.Sequential):
    """3x3 convolution, batch norm, ReLU: `(B, in, h, w)` to `(B, out, h, w)`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class UpBlock2d(nn.Module):
    """One step of the cascaded upsampler of TransUNet (Chen et al. 2021, section 3.3, Figure 1 (b)).

    Doubles the grid bilinearly, joins the skip, convolves twice: `(B, in, h, w)` and, where there is a skip,
    `(B, skip, 2h, 2w)` to `(B, out, 2h, 2w)`.
    """

    def __init__(self, channels_in: int, skip: int, channels_out: int) -> None:
        """`skip` is 0 where nothing is joined."""
        super().__init__()
        self.convolutions = nn.Sequential(
            ConvBlock2d(channels_in + skip, channels_out), ConvBlock2d(channels_out, channels_out)
        )

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        out: Tensor = self.convolutions(x)
        return out
