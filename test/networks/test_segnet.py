# SPDX-License-Identifier: Apache-2.0
"""SegNet: pooling and unpooling against PyTorch's own with indices, and the parameters of its paper."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from torch.nn.functional import max_pool2d, max_unpool2d  # noqa: E402  after the skip

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.segnet import pool, unpool  # noqa: E402


def test_pooling_and_unpooling_are_those_with_indices() -> None:
    torch.manual_seed(0)
    x = torch.randint(0, 3, (2, 3, 8, 12)).float()  # with many equal maxima
    expected, indices = max_pool2d(x, 2, return_indices=True)
    found, where = pool(x)
    assert torch.equal(found, expected)
    assert torch.equal(where.sum(2), torch.ones(2, 3, 4, 6))
    values = torch.randn(2, 3, 4, 6)
    assert torch.equal(unpool(values, where), max_unpool2d(values, indices, 2))


def test_parameters_are_those_of_its_paper() -> None:
    with torch.device("meta"):
        network = create_network("segnet")
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(29.4e6, rel=0.01)


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"widths \(4, 8\) and convolutions \(1,\) must be as many positive numbers"):
        create_network("segnet", widths=[4, 8], convolutions=[1])
