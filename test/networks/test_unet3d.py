# SPDX-License-Identifier: Apache-2.0
"""The U-Net: shapes, gradients, errors that say what fits, and that windows do not change what a voxel gets."""

from __future__ import annotations

import pytest
import torch

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks import create_network
from liver_seg_ros.networks.unet3d import UNet3D


def tiny() -> UNet3D:
    torch.manual_seed(0)
    return UNet3D(classes=3, widths=(4, 6, 8), convolutions=2)


def test_logits_have_the_size_of_the_image() -> None:
    assert tiny()(torch.zeros(2, 1, 8, 12, 16)).shape == (2, 3, 8, 12, 16)


def test_every_parameter_gets_a_gradient() -> None:
    network = tiny()
    network(torch.randn(2, 1, 8, 8, 8)).square().sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("size", [(8, 8, 10), (2, 8, 8)])
def test_a_size_that_does_not_halve_is_refused_with_one_that_does(size: tuple[int, int, int]) -> None:
    fitting = tuple(-(-n // 4) * 4 for n in size)
    with pytest.raises(ValueError, match=str(fitting).replace("(", r"\(").replace(")", r"\)")):
        tiny()(torch.zeros(1, 1, *size))


def test_what_lies_far_away_does_not_change_a_voxel() -> None:
    network = tiny().eval()
    image = torch.randn(1, 1, 64, 8, 8)
    changed = image.clone()
    changed[:, :, 56:] += 5
    with torch.no_grad():
        difference = (network(image) - network(changed)).abs().amax(dim=(0, 1, 3, 4))  # per slice
    assert difference[:24].max() == 0
    assert difference[56:].max() > 0


def test_the_registry_names_what_it_has() -> None:
    with pytest.raises(InputError, match=r"unknown network 'unet4d'; there are: .*unet3d"):
        create_network("unet4d")
    with pytest.raises(InputError, match="has no option depth; it has: channels_in, classes, widths, convolutions"):
        create_network("unet3d", depth=3)
    with pytest.raises(InputError, match=r"cannot be built: widths \(16,\)"):
        create_network("unet3d", widths=[16])
    assert isinstance(create_network("unet3d", widths=[4, 4]), UNet3D)
