# SPDX-License-Identifier: Apache-2.0
"""3D UX-Net: its block against the equation, the parameters that its authors print, and options that are refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("monai", reason="monai is not installed (extra [train])")

from torch.nn.functional import conv3d, gelu, layer_norm  # noqa: E402  after the skips

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.uxnet3d import UXBlock  # noqa: E402


def test_a_block_is_depthwise_all_the_way_and_begins_as_the_identity() -> None:
    torch.manual_seed(0)
    block = UXBlock(3, kernel=5)
    x = torch.randn(1, 3, 6, 6, 6)
    assert torch.allclose(block(x), x, atol=1e-4)
    block.gamma.data.fill_(1.0)
    spread = torch.cat(
        [
            conv3d(x[:, c : c + 1], block.spread.weight[c : c + 1], block.spread.bias[c : c + 1], padding=2)
            for c in range(3)
        ],
        dim=1,
    )
    normed = layer_norm(spread.movedim(1, -1), (3,), eps=1e-6).movedim(-1, 1)
    scaled = torch.zeros_like(x)
    for c in range(3):
        for e in range(4 * c, 4 * c + 4):
            wide = gelu(normed[:, c] * block.expand.weight[e].item() + block.expand.bias[e])
            scaled[:, c] += wide * block.scale.weight[c, e - 4 * c].item()
        scaled[:, c] += block.scale.bias[c]
    assert torch.allclose(block(x), x + scaled, atol=1e-5)


def test_parameters_are_those_that_its_authors_print() -> None:
    with torch.device("meta"):
        network = create_network("uxnet3d")
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(53.0e6, rel=0.001)


def test_options_that_do_not_work_are_named() -> None:
    with pytest.raises(InputError, match="kernel must be odd, not 4"):
        create_network("uxnet3d", kernel=4)
    with pytest.raises(InputError, match=r"widths \(8, 8\) must be four positive numbers"):
        create_network("uxnet3d", widths=[8, 8])


def test_one_voxel_at_the_coarsest_level_is_too_few() -> None:
    network = create_network("uxnet3d", widths=(2, 2, 2, 2), hidden=2, blocks=1, kernel=3)
    with pytest.raises(ValueError, match=r"multiple of 16 and at least 32, e\.g\. \(32, 32, 32\)"):
        network(torch.zeros(1, 1, 16, 32, 32))
