"""Per network of the registry: options that make it tiny, and a size at which the shared tester runs it in a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Small(NamedTuple):
    """One row.

    Attributes:
        options: constructor options; the tester adds `classes` and, where the network has it, `image_size`.
        size: `(D, H, W)` or `(H, W)`, an edge two multiples long where memory allows.
        learning_rate: of Adam, for four steps.
    """

    options: Mapping[str, Any]
    size: tuple[int, ...]
    learning_rate: float = 3e-3


SMALL: dict[str, Small] = {
    "unet3d": Small({"widths": (4, 6, 8)}, (16, 16, 16)),
    "threedynet": Small({"widths": (4, 6, 8), "convolutions": (2, 2, 4)}, (16, 16, 16)),
    "threedynet_ee": Small({"widths": (4, 6, 8), "convolutions": (2, 2, 4)}, (16, 16, 16)),
    "unet_aspp": Small({"widths": (4, 6, 8)}, (32, 32)),
}
