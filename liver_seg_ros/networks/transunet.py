# SPDX-License-Identifier: Apache-2.0
"""TransUNet, the R50-ViT-B/16 model: a ResNet, twelve transformer layers on its last map, a U-Net's decoder.

Chen et al. 2021, "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation", arXiv:2102.04306,
sections 3.1 to 3.3, Figure 1. Equations (1) to (3), the embedding of the tokens and the layers, are in
`resnet_transformer.py`; the cascaded upsampler of 3.3 is four `UpBlock2d`.

What the paper leaves open is as in the published model: hidden size 768 and 12 heads (ViT-B), 512 channels before the
upsampler, whose steps have 256, 128, 64 and 16, and a 3x3 convolution to the classes. It differs here in three points:
one channel is read instead of three copies of it; bilinear upsampling does not align corners; the pool behind the root
pads, so that maps have edges of exactly 1/4, 1/8 and 1/16. Weights start at random, not from ImageNet.

At its own setting, 224x224, three channels and nine classes, it has 105.3 M parameters. At the setting of the
comparison in which it is a baseline here (Kuang et al. 2023: 105.48 M), 320x320, it has 105.4 M: the position embedding
grows with the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.blocks import ConvBlock2d, UpBlock2d
from liver_seg_ros.networks.resnet_transformer import ResNetV2, VisionTransformer
from liver_seg_ros.networks.sizes import check_fixed_image

#: The tokens lie on a grid of 1/16.
MULTIPLE = 16


class TransUNet(nn.Module):
    """Logits per pixel and class: `(B, channels_in, H, W)` float32 to `(B, classes, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT slice.
        classes: classes of the output, background included.
        image_size: (H, W), multiples of 16, which the position embedding fixes.
        resnet_width: channels of the ResNet's root.
        resnet_units: residual units per stage of the ResNet.
        hidden: numbers per token.
        layers: transformer layers.
        heads: attention heads per layer.
        widths: channels of the decoder, the coarsest first: before the first step, and after each of the four.
        dropout: of tokens and perceptrons, while training.

    Raises:
        InputError: an option outside of these, or (in `forward`) an image of another size.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 3,
        image_size: Sequence[int] = (320, 320),
        resnet_width: int = 64,
        resnet_units: Sequence[int] = (3, 4, 9),
        hidden: int = 768,
        layers: int = 12,
        heads: int = 12,
        widths: Sequence[int] = (512, 256, 128, 64, 16),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if min(channels_in, classes) < 1:
            raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
        if len(widths) != 5 or min(widths) < 1:
            raise InputError(f"widths {tuple(widths)} must be five positive numbers of channels, coarsest first")
        if len(image_size) != 2 or min(image_size) < 1 or any(n % MULTIPLE for n in image_size):
            raise InputError(f"image_size {tuple(image_size)} must be two multiples of {MULTIPLE}, e.g. (320, 320)")
        self.channels_in = channels_in
        self.image_size = (image_size[0], image_size[1])
        self.resnet = ResNetV2(channels_in, resnet_width, resnet_units)
        grid = (image_size[0] // MULTIPLE, image_size[1] // MULTIPLE)
        self.transformer = VisionTransformer(self.resnet.channels[-1], grid, 1, hidden, layers, heads, dropout)
        self.bridge = ConvBlock2d(hidden, widths[0])
        skips = (*self.resnet.channels[-2::-1], 0)  # at 1/8, 1/4 and 1/2; none at the full grid
        self.decoder = nn.ModuleList(
            UpBlock2d(a, skip, b) for (a, b), skip in zip(pairwise(widths), skips, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], classes, kernel_size=3, padding=1)

    @property
    def size_multiple(self) -> int:
        """H and W of `image_size` are multiples of this."""
        return MULTIPLE

    def forward(self, image: Tensor) -> Tensor:
        """Raises `InputError` where the image is not `(B, channels_in, *image_size)`."""
        check_fixed_image(image, self.channels_in, self.image_size)
        *maps, coarse = self.resnet(image)  # (B, 64, H/2), (B, 256, H/4), (B, 512, H/8); (B, 1024, H/16, W/16)
        x = self.bridge(self.transformer(coarse))  # (B, 768, H/16, W/16), (B, 512, H/16, W/16)
        for block, skip in zip(self.decoder, (*reversed(maps), None), strict=True):
            x = block(x, skip)  # (B, 256, H/8), (B, 128, H/4), (B, 64, H/2), (B, 16, H, W)
        logits: Tensor = self.head(x)  # (B, classes, H, W)
        return logits
