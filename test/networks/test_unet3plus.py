# SPDX-License-Identifier: Apache-2.0
"""UNet 3+: every node sees every scale, every scale has a side output, and the parameters of its paper."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.errors import InputError  # noqa: E402  after the skip
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.unet3plus import FullScaleNode, UNet3Plus  # noqa: E402


def test_a_node_joins_all_scales_at_its_own() -> None:
    torch.manual_seed(0)
    node = FullScaleNode(1, channels=[2, 3, 5], width=4)
    maps = [torch.randn(2, c, 16 // 2**n, 8 // 2**n, requires_grad=True) for n, c in enumerate((2, 3, 5))]
    joined = node(maps)
    assert joined.shape == (2, 12, 8, 4)
    joined.square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in maps)


def test_every_scale_has_a_side_output_of_the_images_size() -> None:
    torch.manual_seed(0)
    network = UNet3Plus(widths=(4, 6, 8)).eval()
    image = torch.randn(1, 1, 8, 12)
    outputs = network.outputs(image)
    assert torch.equal(network(image), outputs.logits)
    assert [tuple(side.shape) for side in outputs.sides] == [(1, 4, 8, 12)] * 2


def test_parameters_are_those_of_its_paper() -> None:
    with torch.device("meta"):
        network = create_network("unet3plus", classes=1)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(26.97e6, rel=0.001)


def test_a_single_level_is_refused() -> None:
    with pytest.raises(InputError, match=r"widths \(4,\) must be two or more positive numbers"):
        create_network("unet3plus", widths=[4])
