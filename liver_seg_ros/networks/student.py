# SPDX-License-Identifier: Apache-2.0
"""The small network that the others are distilled into, made to be quantized to 8 bits and built by TensorRT.

A U-Net of 1.0 M parameters. Each choice, and what it is for:

- No layer but the head works at full resolution: the stem halves the grid at once, by 4x4x4 kernels that see every
  voxel. On a GPU the full-size maps of a U-Net cost more time to move than to compute; without them a voxel takes less
  than half the multiplications of `unet3d` (13,000 against 28,700).
- Widths are multiples of 32, the channels that TensorRT packs together for 8-bit tensor cores: a width of 16 would
  take as long as one of 32.
- ReLU after batch normalization after convolution: the three become one operation with one scale. ReLU rather than
  ReLU6, since the range comes from calibration anyway, and nothing smooth (GELU, SiLU), which 8 bits resolve badly.
- Skips are added, not concatenated: addition becomes part of the convolution before it, and a concatenation would need
  one common scale for maps of different ranges.
- Upsampling repeats voxels (`nearest`): a copy keeps the scale of its input. Trilinear interpolation runs slowly in 3D,
  and overlapping transposed convolutions have no 8-bit kernels for every shape.
- Strided convolutions, no pooling: one operation less per level.
- The head, a transposed convolution whose kernel equals its stride, gives each coarse voxel's 2x2x2 logits without a
  full-size feature map; it stays in 16 bits like the stem, as first and last layers should.
- No instance or group normalization, no softmax, no attention: they compute statistics at run time, in full precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.sizes import check_image


class ConvUnit(nn.Sequential):
    """Convolution, batch norm, ReLU: `(B, in, d, h, w)` to `(B, out, d/stride, h/stride, w/stride)`."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__(
            nn.Conv3d(channels_in, channels_out, kernel, stride, padding=1, bias=False),
            nn.BatchNorm3d(channels_out),
            nn.ReLU(inplace=True),
        )


class AddingUpBlock(nn.Module):
    """Coarse map `(B, in, d, h, w)` and skip `(B, out, 2d, 2h, 2w)` to `(B, out, 2d, 2h, 2w)`."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        # Reduced on the coarse grid, where it takes an eighth of the work.
        self.reduce = nn.Sequential(
            nn.Conv3d(channels_in, channels_out, kernel_size=1, bias=False), nn.BatchNorm3d(channels_out)
        )
        self.merge = ConvUnit(channels_out, channels_out)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        up = interpolate(self.reduce(coarse), scale_factor=2.0, mode="nearest")
        out: Tensor = self.merge(up + skip)
        return out


class Student(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` to `(B, classes, D, H, W)`, float32.

    Args:
        channels_in: channels of the input.
        classes: classes of the output, background included.
        widths: channels at 1/2, 1/4, 1/8 ... of the grid.
        convolutions: 3x3x3 convolutions per level of the encoder, the strided one included.

    Raises:
        InputError: fewer than two levels, a width or count below 1, or (in `forward`) a size that does not halve.
    """

    def __init__(
        self, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128), convolutions: int = 2
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(*widths, convolutions) < 1:
            raise InputError(f"widths {tuple(widths)} must be two or more positive numbers, and so convolutions")
        self.channels_in = channels_in
        levels = pairwise((channels_in, *widths))
        self.encoder = nn.ModuleList(
            nn.Sequential(
                ConvUnit(a, b, stride=2, kernel=3 if level else 4),
                *(ConvUnit(b, b) for _ in range(convolutions - 1)),
            )
            for level, (a, b) in enumerate(levels)
        )
        self.up = nn.ModuleList(AddingUpBlock(b, a) for a, b in pairwise(widths))
        self.head = nn.ConvTranspose3d(widths[0], classes, kernel_size=2, stride=2)

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return int(2 ** len(self.encoder))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where D, H or W is no multiple of `size_multiple`."""
        check_image(image, self.channels_in, self.size_multiple)
        x, maps = image, []
        for level in self.encoder:
            x = level(x)
            maps.append(x)  # level n: (B, widths[n], D/2^(n+1), H/2^(n+1), W/2^(n+1))
        x = maps.pop()
        for up, skip in zip(reversed(self.up), reversed(maps), strict=True):
            x = up(x, skip)
        logits: Tensor = self.head(x)  # (B, classes, D, H, W)
        return logits
