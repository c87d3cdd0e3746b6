# SPDX-License-Identifier: Apache-2.0
"""What a network says of an image that does not fit it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liver_seg_ros.errors import InputError


def check_image(image: Tensor, channels: int, multiple: int, dimensions: int = 3, smallest: int | None = None) -> None:
    """Raise `InputError` naming what fits where `image` does not; does nothing while the network is exported.

    Args:
        image: should be `(B, channels, *size)`.
        channels: what the network was built for.
        multiple: every edge must be a multiple of it.
        dimensions: how many edges there are, 2 (H, W) or 3 (D, H, W).
        smallest: shortest edge that works; `multiple` if not given.
    """
    if torch.compiler.is_exporting():
        return  # sizes are symbols then, and the exported graph checks nothing
    _check_axes(image, channels, dimensions)
    check_size(image.shape[2:], multiple, smallest)


def check_fixed_image(image: Tensor, channels: int, size: Sequence[int], option: str = "image_size") -> None:
    """The same for a network whose position embedding is made for one size, `(H, W)` or `(D, H, W)`, its `option`."""
    if torch.compiler.is_exporting():
        return
    _check_axes(image, channels, len(size))
    if tuple(image.shape[2:]) != tuple(size):
        raise InputError(
            f"size {tuple(image.shape[2:])} does not fit: this network was built for {tuple(size)}; "
            f"resample or crop the image, or build the network with another {option}"
        )


def check_size(size: Sequence[int], multiple: int, smallest: int | None = None) -> None:
    """Raise `InputError` naming the nearest size that fits where an edge of `size` is no multiple of `multiple`."""
    least = multiple if smallest is None else smallest
    if any(n < least or n % multiple for n in size):
        fitting = tuple(max(least, -(-n // multiple) * multiple) for n in size)
        at_least = "" if least == multiple else f" and at least {least}"
        raise InputError(
            f"size {tuple(size)} does not fit: each edge must be a multiple of {multiple}{at_least}, e.g. {fitting}"
        )


def _check_axes(image: Tensor, channels: int, dimensions: int) -> None:
    axes = "(B, C, D, H, W)" if dimensions == 3 else "(B, C, H, W)"
    if image.ndim != dimensions + 2:
        raise InputError(f"an image of shape {tuple(image.shape)} does not fit: give {axes}")
    if image.shape[1] != channels:
        raise InputError(f"an image of {image.shape[1]} channels does not fit: this network was built for {channels}")
