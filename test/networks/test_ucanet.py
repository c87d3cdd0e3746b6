# SPDX-License-Identifier: Apache-2.0
"""UCA-Net: the paper's parameters, its four equations against loops, and that each ablation has what it says."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from torch import Tensor, nn  # noqa: E402  after the skip

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.ucanet import (  # noqa: E402
    ChannelCrossAttention,
    CrossAttentionSkip,
    SliceCrossAttention,
    UCANet,
)

PUBLISHED = {"ucanet": "5.91", "ucanet_none": "6.42", "ucanet_sca": "5.84", "ucanet_cca": "5.90"}  # million


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_tables_1_and_2(name: str) -> None:
    with torch.device("meta"):
        network = create_network(name, classes=3)  # background, tumor, vessel
    assert f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f}" == PUBLISHED[name]


def up_and_skip(channels: int = 3) -> tuple[Tensor, Tensor]:
    """U_i and E_i, `(2, channels, 4, 2, 3)`."""
    torch.manual_seed(0)
    return torch.randn(2, channels, 4, 2, 3), torch.randn(2, channels, 4, 2, 3)


def project(convolution: nn.Module, features: Tensor) -> Tensor:
    """W x + b of a 1x1x1 convolution, voxel by voxel."""
    weight = convolution.weight[:, :, 0, 0, 0]
    out = torch.zeros(len(features), len(weight), *features.shape[2:])
    for d in range(features.shape[2]):
        for h in range(features.shape[3]):
            for w in range(features.shape[4]):
                for batch in range(len(features)):
                    out[batch, :, d, h, w] = weight @ features[batch, :, d, h, w] + convolution.bias
    return out


def attended_by_loops(queries: list[Tensor], keys: list[Tensor], values: list[Tensor], factor: float) -> list[Tensor]:
    """Row i: sum_j softmax_j(factor q_i . k_j) v_j."""
    rows = []
    for query in queries:
        scores = torch.stack([factor * (query * key).sum() for key in keys])
        weights = scores.exp() / scores.exp().sum()
        rows.append(sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros_like(values[0])))
    return rows


@pytest.mark.parametrize("scaled", [False, True])
@torch.no_grad()
def test_cca_is_equations_1_and_2(scaled: bool) -> None:
    up, skip = up_and_skip()
    subject = ChannelCrossAttention(3, scaled)
    factor = (4 * 2 * 3) ** -0.5 if scaled else 1.0
    queries, keys, values = project(subject.query, up), project(subject.key, skip), project(subject.value, skip)
    for batch, found in enumerate(subject(up, skip)):
        expected = attended_by_loops(list(queries[batch]), list(keys[batch]), list(values[batch]), factor)
        torch.testing.assert_close(found, torch.stack(expected))


@pytest.mark.parametrize("scaled", [False, True])
@torch.no_grad()
def test_sca_is_equations_3_and_4(scaled: bool) -> None:
    up, skip = up_and_skip()
    subject = SliceCrossAttention(3, scaled)
    factor = (2 * 3) ** -0.5 if scaled else 1.0
    queries, keys, values = project(subject.query, up), project(subject.key, skip), project(subject.value, skip)
    assert queries.shape[1] == 1  # channels are compressed to one
    for batch, found in enumerate(subject(up, skip)):
        slices = attended_by_loops(list(queries[batch, 0]), list(keys[batch, 0]), list(values[batch, 0]), factor)
        restored = [
            w * torch.stack(slices) + b for w, b in zip(subject.restore.weight, subject.restore.bias, strict=True)
        ]
        torch.testing.assert_close(found, torch.cat(restored).reshape(found.shape))


@pytest.mark.parametrize("residual", [False, True])
@torch.no_grad()
def test_csca_is_the_sum_of_both(residual: bool) -> None:
    up, skip = up_and_skip()
    subject = CrossAttentionSkip(3, "csca", residual, scaled=True)
    cca, sca = subject.parts
    expected = cca(up, skip) + sca(up, skip) + (up if residual else 0)
    torch.testing.assert_close(subject(up, skip), expected)


def test_each_row_has_the_attention_of_its_name() -> None:
    expected = {
        "ucanet": {ChannelCrossAttention, SliceCrossAttention},
        "ucanet_cca": {ChannelCrossAttention},
        "ucanet_sca": {SliceCrossAttention},
        "ucanet_none": set(),
    }
    for name, parts in expected.items():
        network = create_network(name, widths=(4, 4, 4))
        for skip in network.skips:
            assert {type(part) for part in getattr(skip, "parts", ())} == parts


@torch.no_grad()
def test_attention_reaches_from_end_to_end() -> None:
    image = torch.randn(1, 1, 48, 8, 8)
    changed = image.clone()
    changed[:, :, -1] += 5
    for attention, reaches in (("none", False), ("cca", True), ("sca", True)):
        torch.manual_seed(0)
        network = UCANet(attention=attention, widths=(4, 4)).eval()
        assert (network(image)[:, :, 0] != network(changed)[:, :, 0]).any().item() == reaches


def test_without_the_residual_and_the_scale_it_still_runs() -> None:
    network = UCANet(widths=(4, 6), residual=False, scaled=False)
    assert network(torch.randn(1, 1, 4, 4, 4)).shape == (1, 4, 4, 4, 4)


def test_wrong_options_are_named() -> None:
    with pytest.raises(InputError, match="attention 'both' is none of none, sca, cca, csca"):
        create_network("ucanet", attention="both")
    with pytest.raises(InputError, match=r"widths \(8,\) must be two or more"):
        create_network("ucanet", widths=(8,))
    with pytest.raises(InputError, match=r"must be positive: \(0, 4\)"):
        create_network("ucanet", channels_in=0)
