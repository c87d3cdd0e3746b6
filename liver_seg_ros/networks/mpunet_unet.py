# SPDX-License-Identifier: Apache-2.0
"""The U-Net that MPU-Net is compared with: one convolution a level, skips added, four scales.

Yu and Han 2023, arXiv:2307.05799, section 5. The paper says only "U-Net" and its parameters, 2,326,638; the layers are
those of the authors' published code, which with 2 classes have exactly as many. There the last convolution has 2
channels whatever the classes are; here it has as many as there are classes. The answer is the finest scale, not an
average; training takes the loss of all four.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool3d, relu

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.mpunet import ScaleOutputs
from liver_seg_ros.networks.sizes import check_image


class MPUNetUNet(nn.Module):
    """Logits per voxel and class: `(B, channels_in, D, H, W)` float32 to `(B, classes, D, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT.
        classes: classes of the output, background included.
        widths: channels per level, the finest first; each halves the grid, the first too.

    Raises:
        InputError: fewer than two levels, a number below 1, or (in `forward`) a size that does not halve.
    """

    def __init__(self, channels_in: int = 1, classes: int = 4, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be two or more positive numbers of channels, finest first")
        if min(channels_in, classes) < 1:
            raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
        self.channels_in = channels_in
        self.encoder = nn.ModuleList(_convolution(a, b) for a, b in pairwise((channels_in, *widths)))
        self.decoder = nn.ModuleList(_convolution(b, a) for a, b in reversed(list(pairwise((classes, *widths)))))
        self.heads = nn.ModuleList(nn.Conv3d(c, classes, kernel_size=1) for c in (*reversed(widths[1:]), classes))

    @property
    def size_multiple(self) -> int:
        """D, H and W must be multiples of this."""
        return int(2 ** len(self.encoder))

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where D, H or W is no multiple of `size_multiple`."""
        return self.outputs(image).logits

    def outputs(self, image: Tensor) -> ScaleOutputs:
        """`forward`'s logits, and those of all scales for the loss; the finest is `forward`'s."""
        check_image(image, self.channels_in, self.size_multiple)
        x, skips = image, []
        for convolution in self.encoder:
            x = relu(max_pool3d(convolution(x), 2))  # (B, 32, D/2, ..), (B, 64, D/4, ..), (B, 128, D/8, ..), ..
            skips.append(x)
        maps = [skips.pop()]  # (B, 256, D/16, H/16, W/16)
        for convolution in self.decoder:
            x = relu(interpolate(convolution(maps[-1]), scale_factor=2.0, mode="trilinear"))
            maps.append(x + skips.pop() if skips else x)  # (B, 128, D/8, ..), (B, 64, D/4, ..), (B, 32, D/2, ..), ..
        del maps[-2]  # the scale of 1/2 is the only one without a head
        scales = [head(map_) for head, map_ in zip(self.heads, maps, strict=True)]
        for n, scale in enumerate(scales[:-1]):
            scales[n] = interpolate(scale, scale_factor=float(self.size_multiple >> n), mode="trilinear")
        return ScaleOutputs(scales[-1], tuple(scales))


def _convolution(channels_in: int, channels_out: int) -> nn.Conv3d:
    return nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=1)
