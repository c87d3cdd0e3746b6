# SPDX-License-Identifier: Apache-2.0
"""Per network of the registry: options that make it tiny, and a size at which the shared tester runs it in a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Small(NamedTuple):
    """One row.

    Attributes:
        options: constructor options; the tester adds `classes` and, where the network has it, `image_size`. Two levels
            where they are all alike: an export takes seconds for each.
        size: `(D, H, W)` or `(H, W)`, an edge two multiples long where memory allows.
        learning_rate: of Adam, for four steps.
    """

    options: Mapping[str, Any]
    size: tuple[int, ...]
    learning_rate: float = 3e-3


TRANSFUSIONNET = Small(
    {
        "widths": (8, 8, 8, 32, 32, 32, 32, 32),
        "edge_widths": (8, 6, 6, 6),
        "resnet_width": 8,
        "resnet_units": (1, 1, 1),
        "hidden": 16,
        "layers": 1,
        "heads": 2,
    },
    (128, 256),
)

TRANSUNET_ATTENTION = Small(
    {
        "resnet_widths": (4, 4, 6, 8),
        "resnet_units": (1, 1, 1, 1),
        "hidden": 12,
        "layers": 2,
        "heads": 3,
        "widths": (16, 16, 16, 12, 8, 8),
    },
    (64, 64),
)

SMALL: dict[str, Small] = {
    "unet3d": Small({"widths": (4, 6)}, (16, 16, 16)),
    "threedynet": Small({"widths": (4, 6), "convolutions": (2, 4)}, (16, 16, 16)),
    "threedynet_ee": Small({"widths": (4, 6), "convolutions": (2, 4)}, (16, 16, 16)),
    "unet_aspp": Small({"widths": (4, 6)}, (32, 32)),
    **dict.fromkeys(
        (
            "transfusionnet",
            "transfusionnet_edge",
            "transfusionnet_no_skips",
            "transfusionnet_no_transformer_skips",
            "transfusionnet_no_cnn_skips",
            "transfusionnet_transformer_only",
            "transfusionnet_cnn_only",
        ),
        TRANSFUSIONNET,
    ),
    "transunet": Small(
        {
            "resnet_width": 8,
            "resnet_units": (1, 1, 1),
            "hidden": 12,
            "layers": 2,
            "heads": 3,
            "widths": (16, 16, 12, 8, 8),
        },
        (32, 32),
    ),
    **dict.fromkeys(("transunet_attention", "transunet_attention_none"), TRANSUNET_ATTENTION),
    # As tiny, and of one channel, they are the rows of LiTS: their third channel and classes are tested beside them.
    **dict.fromkeys(
        ("transunet_attention_rgb", "transunet_attention_none_rgb"),
        Small({**TRANSUNET_ATTENTION.options, "channels_in": 1}, TRANSUNET_ATTENTION.size),
    ),
    "unet2d": Small({"widths": (4, 6)}, (32, 32)),
    "resunet2d": Small({"widths": (4, 6)}, (32, 32)),
    "unet_plus_plus": Small({"widths": (4, 4, 6, 6, 8)}, (32, 32)),
    "unet3plus": Small({"widths": (4, 6, 8)}, (32, 32)),
    "segnet": Small({"widths": (8, 12), "convolutions": (1, 2)}, (32, 32)),
    "uctransnet": Small({"width": 4, "layers": 2, "heads": 2, "expansion": 2}, (32, 32)),
    "unet3d_concat": Small({"widths": (4, 6)}, (16, 16, 16)),
    "resunet3d": Small({"widths": (4, 6), "convolutions": 2}, (16, 16, 16)),
    "attention_unet3d": Small({"widths": (4, 6)}, (16, 16, 16)),
    "vnet": Small({}, (16, 16, 16), learning_rate=1e-3),  # its widths are fixed
    "uxnet3d": Small({"widths": (4, 4, 6, 6), "hidden": 8, "blocks": 1, "kernel": 3}, (32, 32, 32)),
    "student": Small({"widths": (4, 6)}, (16, 16, 16)),
    **dict.fromkeys(("ucanet", "ucanet_none", "ucanet_sca", "ucanet_cca"), Small({"widths": (4, 6, 8)}, (16, 16, 16))),
    # PAM's weight begins at 0, and then its query, key and value have no gradient yet.
    "mpunet": Small({"widths": (4, 6, 8, 10, 16), "attention_weight": 0.1}, (16, 16, 16)),
    "mpunet_unet": Small({"widths": (4, 6)}, (16, 16, 16)),
}
