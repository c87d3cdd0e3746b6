# SPDX-License-Identifier: Apache-2.0
"""TransFusionNet: a transformer and a residual CNN side by side, fused and decoded with the skips of both.

Meng et al., "TransFusionNet: Exploiting full Resolution Feature Context for Liver Tumor and Vessel Segmentation via
Integrate Framework ... under embedded microprocessor" (in print: Wang et al. 2022, doi:10.1109/JBHI.2022.3207233),
section II, Figure 1. The encoders (II-A, II-B), the Edge Extraction Module (II-C), and the fusion module with the
decoder (II-D) have files of their own beside this one. Ablations: `transformer` and `cnn`, "without_skips" for Table
III, "absent" for Figure 5.

The paper prints no widths and no number of parameters. The widths are those of the authors' code, which has about 150
million parameters; 3.8 million of them are never used, and are not here. What else it leaves open, and what was chosen:
- "A three-layer convolution" after the transformer: to 512 channels at 1/32, then two that pool. The authors' code has
  a fourth, whose output nothing reads.
- "Six" local feature extraction modules, a CNN and five SE-bottlenecks: the CNN is one convolution and two residual
  blocks, at 1/1, 1/2 and 1/4. Then five bottlenecks end at 1/128, where the transformer's last map lies.
- Excitation (equation 4): two layers, ReLU and sigmoid, as in the work that the paper cites, with its reduction of 16
  but no fewer than 8 units.
- Pooling in the fusion module (Figure 3): over the whole map. The edges join that branch, as "feed it into the pooling
  layer and fused the edge feature map" says, on the grid of 1/128. How they come there is open: here by learned
  halvings, as a mean would forget where they lie; the authors' code interpolates, which reads four of 128x128 pixels.
- The decoder, which "takes the feature maps extracted by the three modules", gets the edges of its own grid at every
  stage, on the way to 1/128: edges are to "refine the margins", and no margin is left at 1/128. The text itself names
  the fusion module alone, and so does the authors' code: `edge_skips=False`.
- Attention (equation 2) is printed without 1/sqrt(d), which its source (Vaswani et al. 2017) and the authors' code
  have. Ours has it; `scaled=False` is the equation to the letter.
- Without skips, none of an encoder's maps above 1/128 reach the decoder. The last maps of both are fused all the same.
- Dropout is not mentioned; the defaults are those of the authors' code.

The authors' code differs: the fusion module drops its pooled branch and reads only the local map in its 1x1 branch; the
result of squeeze and excitation is overwritten; dropout stays active in evaluation; gray images are repeated to three
channels; each structure has a model of its own, with one output and a sigmoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.resnet_transformer import ResNetV2, VisionTransformer
from liver_seg_ros.networks.sizes import check_fixed_image
from liver_seg_ros.networks.transfusionnet_decoder import Decoder, EdgePyramid, FusionModule
from liver_seg_ros.networks.transfusionnet_edges import EdgeExtraction
from liver_seg_ros.networks.transfusionnet_encoders import DEEPEST, LocalEncoder, SemanticEncoder

#: How much of an encoder there is; "without_skips" leaves its last map alone.
Branch = Literal["with_skips", "without_skips", "absent"]


class TransFusionOutputs(NamedTuple):
    """What the losses of section II-E read."""

    logits: Tensor  # (B, classes, H, W)
    edge_logits: Tensor | None  # (B, 1, H, W), before the sigmoid; None without the edge module


class TransFusionNet(nn.Module):
    """Logits per pixel and class: `(B, channels_in, H, W)` float32 to `(B, classes, H, W)` float32.

    Args:
        channels_in: channels of the input, 1 for a CT.
        classes: classes of the output, background included; the paper's case study has background, tumor, vessel.
        image_size: (H, W), multiples of 128, which the position embedding fixes (for the CNN alone too).
        edge_module: with the Edge Extraction Module; `forward` then needs the Canny map.
        transformer: the transformer branch: "with_skips", "without_skips" or "absent".
        cnn: the local encoder: the same three.
        widths: channels of the local encoder and the decoder at each level, the finest first.
        gates: levels of the gates of the edge stream, of 1, 2, 3, 6 and 7: at 1/2, 1/4, 1/8, 1/64 and 1/128.
        edge_widths: channels of the edge stream at each gate.
        edge_skips: whether the decoder joins the edges at every level, or the fusion module alone.
        resnet_width: channels of the ResNet's root.
        resnet_units: residual units per stage of the ResNet.
        hidden: numbers per token.
        layers: transformer layers.
        heads: attention heads per layer.
        scaled: whether the attention's products are divided by the square root of their length.
        dropout: of residual blocks and decoder, while training.
        transformer_dropout: of tokens and perceptrons, while training.

    Raises:
        InputError: an option outside of these, both branches absent, the edge module without one of them, or (in
            `forward`) an image or an edge map of another size.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 3,
        image_size: Sequence[int] = (512, 512),
        edge_module: bool = False,
        transformer: Branch = "with_skips",
        cnn: Branch = "with_skips",
        widths: Sequence[int] = (32, 64, 128, 256, 512, 512, 512, 512),
        gates: Sequence[int] = (1, 2, 6, 7),
        edge_widths: Sequence[int] = (32, 16, 8, 4),
        edge_skips: bool = True,
        resnet_width: int = 64,
        resnet_units: Sequence[int] = (3, 4, 9),
        hidden: int = 768,
        layers: int = 12,
        heads: int = 12,
        scaled: bool = True,
        dropout: float = 0.2,
        transformer_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        _check_options(channels_in, classes, image_size, widths, transformer, cnn, edge_module)
        self.channels_in = channels_in
        self.image_size = (image_size[0], image_size[1])
        last = widths[DEEPEST]
        self.semantic_encoder: SemanticEncoder | None = None
        self.local_encoder: LocalEncoder | None = None
        self.edge_extraction: EdgeExtraction | None = None
        semantic: dict[int, int] = {}
        if transformer != "absent":
            resnet = ResNetV2(widths[0], resnet_width, resnet_units)
            coarse = (image_size[0] // 16, image_size[1] // 16)
            tokens = VisionTransformer(
                resnet.channels[-1], coarse, 2, hidden, layers, heads, transformer_dropout, scaled
            )
            self.semantic_encoder = SemanticEncoder(channels_in, widths[0], resnet, tokens, hidden, last)
            semantic = self.semantic_encoder.channels
        if cnn != "absent":
            self.local_encoder = LocalEncoder(channels_in, widths, dropout)
        if edge_module:
            self.edge_extraction = EdgeExtraction(semantic, widths, gates, edge_widths, dropout)
        encoders = (transformer != "absent") + (cnn != "absent")
        self.edge_pyramid = EdgePyramid(edge_widths[-1] + 1) if edge_module else None
        edges = self.edge_pyramid.channels if self.edge_pyramid is not None else ()
        self.fusion = FusionModule(encoders * last, 2 * last, edges[-1] if edges else 0)
        self.edge_skips = edge_skips
        joined = semantic if transformer == "with_skips" else {}
        self.decoder = Decoder(2 * last, widths, joined, cnn == "with_skips", edges if edge_skips else (), dropout)
        self.head = nn.Conv2d(widths[0], classes, kernel_size=1)

    @property
    def size_multiple(self) -> int:
        """H and W of `image_size` are multiples of this."""
        return int(2**DEEPEST)

    @property
    def takes_edges(self) -> bool:
        """Whether `forward` needs the Canny map."""
        return self.edge_extraction is not None

    def forward(self, image: Tensor, edges: Tensor | None = None) -> Tensor:
        """`edges` is the Canny map, `(B, 1, H, W)` float32 of 0 and 1; only for the edge module."""
        return self.outputs(image, edges).logits

    def outputs(self, image: Tensor, edges: Tensor | None = None) -> TransFusionOutputs:
        """Also the edges that the edge module predicts, for their loss."""
        check_fixed_image(image, self.channels_in, self.image_size)
        semantic = self.semantic_encoder(image) if self.semantic_encoder is not None else {}
        local = self.local_encoder(image) if self.local_encoder is not None else {}
        edge_maps: list[Tensor] = []
        edge_logits = None
        if self.edge_extraction is not None and self.edge_pyramid is not None:
            if edges is None:
                raise InputError("no edge map: this network was built with the edge module, give the Canny map too")
            check_fixed_image(edges, 1, self.image_size)
            stream = self.edge_extraction(semantic, local)  # (B, 4, H, W)
            edge_logits = self.edge_extraction.head(stream)  # (B, 1, H, W)
            edge_maps = self.edge_pyramid(torch.cat([stream, edges], dim=1))
        elif edges is not None:
            raise InputError("an edge map does not fit: this network was built without the edge module")
        last = torch.cat([maps[DEEPEST] for maps in (semantic, local) if maps], dim=1)  # (B, 1024, H/128, W/128)
        fused = self.fusion(last, edge_maps[-1] if edge_maps else None)  # (B, 1024, H/128, W/128)
        decoded = self.decoder(fused, semantic, local, edge_maps if self.edge_skips else [])
        return TransFusionOutputs(self.head(decoded), edge_logits)


def _check_options(
    channels_in: int,
    classes: int,
    image_size: Sequence[int],
    widths: Sequence[int],
    transformer: str,
    cnn: str,
    edge_module: bool,
) -> None:
    if min(channels_in, classes) < 1:
        raise InputError(f"channels_in, classes must be positive: {channels_in, classes}")
    if len(widths) != DEEPEST + 1 or min(widths) < 4:
        raise InputError(f"widths {tuple(widths)} must be {DEEPEST + 1} numbers of 4 or more channels, finest first")
    if len(image_size) != 2 or min(image_size) < 1 or any(n % 2**DEEPEST for n in image_size):
        raise InputError(f"image_size {tuple(image_size)} must be two multiples of {2**DEEPEST}, e.g. (512, 512)")
    for name, branch in (("transformer", transformer), ("cnn", cnn)):
        if branch not in get_args(Branch):
            raise InputError(f"{name} '{branch}' must be one of: {', '.join(get_args(Branch))}")
    if transformer == cnn == "absent":
        raise InputError("transformer and cnn are both absent: nothing is left to decode")
    if edge_module and "absent" in (transformer, cnn):
        raise InputError("the edge module reads both branches: neither transformer nor cnn may be absent")
