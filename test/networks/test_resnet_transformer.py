# SPDX-License-Identifier: Apache-2.0
"""The hybrid encoder: its published size, what standardized weights are, and attention against a naive sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from liver_seg_ros.networks.resnet_transformer import (
    ResNetV2,
    StandardizedConv2d,
    TransformerLayer,
    VisionTransformer,
    group_norm,
)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_it_has_the_parameters_of_r50_vit_b_16() -> None:
    with torch.device("meta"):
        resnet = ResNetV2(3)
        transformer = VisionTransformer(1024, (24, 24), patch=1)
    class_token_and_head = 2 * 768 + 768 * 1000 + 1000  # with its place in the position embedding
    assert parameters(resnet) + parameters(transformer) + class_token_and_head == pytest.approx(98.95e6, rel=1e-3)


def test_maps_lie_at_a_half_to_a_sixteenth() -> None:
    maps = ResNetV2(2, width=4, units=(1, 2, 1))(torch.randn(1, 2, 32, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(4, 16, 32), (16, 8, 16), (32, 4, 8), (64, 2, 4)]


def test_standardized_weights_ignore_scale_and_offset() -> None:
    torch.manual_seed(0)
    layer, image = StandardizedConv2d(3, 2, 3), torch.randn(1, 3, 5, 5)
    nn.init.normal_(layer.weight)  # so large that the 1e-5 added to the variance does not show
    expected = layer(image)
    weight = layer.weight.detach()
    flat = weight.flatten(1)
    standard = (weight - flat.mean(1).view(-1, 1, 1, 1)) / flat.std(1, correction=0).view(-1, 1, 1, 1)
    naive = (standard[1] * image[0, :, 1:4, 1:4]).sum()  # the pixel in the center of that patch
    assert expected[0, 1, 2, 2].item() == pytest.approx(naive.item(), abs=1e-3)
    with torch.no_grad():
        layer.weight.mul_(5).add_(3)
    assert torch.allclose(layer(image), expected, atol=1e-3)


def test_group_norm_takes_any_width() -> None:
    assert [group_norm(n).num_groups for n in (64, 32, 48, 6)] == [32, 32, 16, 2]


def test_attention_is_the_softmax_weighted_sum_of_values() -> None:
    torch.manual_seed(0)
    layer, tokens = TransformerLayer(hidden=4, heads=2, dropout=0), torch.randn(1, 3, 4)
    with torch.no_grad():
        found = layer.attend(tokens)[0].numpy()
        split = layer.query_key_value(tokens)[0].numpy().reshape(3, 3, 2, 2)  # token, which, head, number
        query, key, value = split[:, 0], split[:, 1], split[:, 2]
        attended = np.zeros((3, 2, 2))
        for token, head in np.ndindex(3, 2):
            weights = np.exp([query[token, head] @ key[other, head] / np.sqrt(2) for other in range(3)])
            for other in range(3):
                attended[token, head] += weights[other] / weights.sum() * value[other, head]
        expected = layer.projection(torch.from_numpy(attended.reshape(3, 4)).float()).numpy()
    assert np.abs(found - expected).max() < 1e-6


def test_tokens_know_their_place() -> None:
    torch.manual_seed(0)
    transformer = VisionTransformer(2, (4, 8), hidden=8, layers=1, heads=2).eval()
    out = transformer(torch.ones(1, 2, 4, 8))
    assert out.shape == (1, 8, 2, 4)
    assert out.flatten(2).std(dim=2).min() > 1e-3  # the same patch everywhere, told apart by its position


@pytest.mark.parametrize("options", [{"hidden": 10, "heads": 4}, {"layers": 0}])
def test_what_cannot_be_built_is_named(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must be positive, hidden .* a multiple of heads"):
        VisionTransformer(2, (4, 4), **options)


@pytest.mark.parametrize(("width", "units"), [(6, (1, 1, 1)), (8, (1, 1)), (8, (1, 0, 1))])
def test_a_resnet_that_cannot_be_built_is_named(width: int, units: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        ResNetV2(2, width, units)
