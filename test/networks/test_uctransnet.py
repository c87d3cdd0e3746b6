# SPDX-License-Identifier: Apache-2.0
"""UCTransNet: its equations against loops, the published parameters, and sizes that fit the patches."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.errors import InputError  # noqa: E402  after the skip
from liver_seg_ros.networks import NETWORKS, create_network  # noqa: E402
from liver_seg_ros.networks.uctransnet import AttendedUpBlock, ChannelCrossAttention  # noqa: E402


def test_attention_is_between_channels_as_in_the_equations() -> None:
    torch.manual_seed(0)
    widths, heads, batch, tokens = (2, 3), 2, 2, 4
    attention = ChannelCrossAttention(widths, heads, dropout=0.1).eval()
    levels = [torch.randn(batch, tokens, c) for c in widths]
    everything = torch.cat(levels, dim=2)  # (B, N, 5)
    found = attention(levels, everything)
    for i, width in enumerate(widths):
        for b in range(batch):
            mean = torch.zeros(width, tokens)
            for head in range(heads):
                rows = slice(head * width, (head + 1) * width)
                all_rows = slice(head * 5, (head + 1) * 5)
                query = levels[i][b] @ attention.queries[i].weight[rows].T  # (N, C_i)
                key = everything[b] @ attention.key.weight[all_rows].T  # (N, C_S)
                value = everything[b] @ attention.value.weight[all_rows].T  # (N, C_S)
                scores = query.T @ key / 5**0.5
                scores = (scores - scores.mean()) / (scores.var(unbiased=False) + 1e-5).sqrt()
                mean += torch.softmax(scores, dim=1) @ value.T / heads
            assert torch.allclose(found[i][b], mean.T, atol=1e-5)


def test_the_skips_channels_are_weighted_by_both_means() -> None:
    torch.manual_seed(0)
    block = AttendedUpBlock(3, 2).eval()
    x, skip = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 4, 4)
    up = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    weight = torch.sigmoid((block.from_skip(skip.mean((2, 3))) + block.from_decoder(x.mean((2, 3)))) / 2)
    weighted = (skip * weight[:, :, None, None]).clamp(min=0)
    assert torch.allclose(block(x, skip), block.convolutions(torch.cat([weighted, up], dim=1)), atol=1e-6)


def test_parameters_are_those_of_paper_2() -> None:
    with torch.device("meta"):
        network = create_network("uctransnet", classes=3)
    published = NETWORKS["uctransnet"].parameters_published
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(published, rel=0.01)


def test_sizes_that_patches_do_not_fill_are_refused_with_one_that_they_do() -> None:
    with pytest.raises(InputError, match=r"multiple of 16, e\.g\. \(48, 32\)"):
        create_network("uctransnet", image_size=(40, 32))
    with pytest.raises(InputError, match="patch 12 must be a multiple of 8"):
        create_network("uctransnet", patch=12)
