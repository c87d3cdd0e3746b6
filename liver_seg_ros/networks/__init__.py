"""PyTorch networks, found by name. To add one: a file beside `unet3d.py` and a row in `NETWORKS`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from torch import nn

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks.unet3d import UNet3D

#: Name in recipes and checkpoints -> what builds it.
NETWORKS: dict[str, Callable[..., nn.Module]] = {"unet3d": UNet3D}


def create_network(name: str, **options: Any) -> nn.Module:
    """The network called `name`, freshly initialized.

    Args:
        name: a key of `NETWORKS`.
        options: keyword arguments of its constructor.

    Raises:
        InputError: no such network, an option that it does not have, or a value that it refuses.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown network '{name}'; there are: {', '.join(sorted(NETWORKS))}")
    known = signature(NETWORKS[name]).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"network '{name}' has no option {', '.join(unknown)}; it has: {', '.join(known)}")
    try:
        return NETWORKS[name](**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network '{name}' cannot be built: {error}") from error
