# SPDX-License-Identifier: Apache-2.0
"""TransUNet of the paper: the attention block on small numbers, one per stage, and what is left without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("monai", reason="monai is not installed (extra [train])")

from torch import nn  # noqa: E402  after the skips

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.transunet_attention import SpatialChannelAttention, TransUNetAttention  # noqa: E402

TINY = {
    "image_size": (64, 32),
    "resnet_widths": (4, 4, 6, 8),
    "resnet_units": (1, 1, 1, 1),
    "hidden": 12,
    "layers": 2,
    "heads": 3,
    "widths": (16, 16, 12, 8, 8, 8),
}


def tiny(**options: Any) -> TransUNetAttention:
    torch.manual_seed(0)
    return TransUNetAttention(**{**TINY, **options}).eval()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_it_is_a_resnet50_and_six_layers() -> None:
    with torch.device("meta"):
        network = TransUNetAttention()
        assert network(torch.zeros(1, 1, 352, 352)).shape == (1, 3, 352, 352)
        kvasir = create_network("transunet_attention_rgb")
        assert kvasir(torch.zeros(1, 3, 352, 352)).shape == (1, 2, 352, 352)
        plain = create_network("transunet_attention_none_rgb")
    # ResNet-50 has 25 557 032; the classifier and two of three channels of the root are not needed.
    assert sum(p.numel() for p in network.resnet.parameters()) == 25_557_032 - 2_049_000 - 2 * 7 * 7 * 64
    assert [len(each.transformer.layers) for each in (network, kvasir, plain)] == [6, 12, 12]
    assert (plain.channels_in, len(list(plain.attention.parameters()))) == (3, 0)


def test_attention_weighs_channels_then_pixels() -> None:
    torch.manual_seed(0)
    block = SpatialChannelAttention(channels=4, reduction=2)
    x = torch.randn(1, 4, 5, 6)
    first, second = (layer.weight.detach().double().numpy()[:, :, 0, 0] for layer in block.channels[::2])
    f = x[0].double().numpy()
    gate = sum(second @ np.maximum(first @ pooled, 0) for pooled in (f.mean((1, 2)), f.max((1, 2))))
    f = f * sigmoid(gate)[:, None, None]
    kernel = block.pixels.weight.detach().double().numpy()[0]
    padded = np.pad(np.stack([f.mean(0), f.max(0)]), ((0, 0), (3, 3), (3, 3)))
    pixels = np.array([[(kernel * padded[:, i : i + 7, j : j + 7]).sum() for j in range(6)] for i in range(5)])
    np.testing.assert_allclose(block(x)[0].detach().numpy(), f * sigmoid(pixels), atol=1e-5)


def test_every_stage_has_its_trained_attention_and_without_it_there_is_none() -> None:
    with_it, without = tiny(), tiny(attention=False)
    assert [type(block) for block in with_it.attention] == [SpatialChannelAttention] * 5
    assert not list(without.attention.parameters())
    names = {name for name, _ in with_it.named_parameters()} - {name for name, _ in without.named_parameters()}
    assert names
    assert all(name.startswith("attention.") for name in names)
    without.load_state_dict(with_it.state_dict(), strict=False)
    image = torch.randn(1, 1, 64, 32)
    with torch.no_grad():
        assert (with_it(image) - without(image)).abs().max() > 1e-3


def test_every_skip_reaches_the_decoder() -> None:
    network = tiny()
    joined = []
    for block in network.decoder:
        block.convolutions.register_forward_hook(lambda _, inputs, __: joined.append(inputs[0]))
    with torch.no_grad():
        image = torch.randn(1, 1, 64, 32)
        network(image)
        maps = network.resnet(image)
    assert [tuple(x.shape[2:]) for x in joined] == [(4, 2), (8, 4), (16, 8), (32, 16), (64, 32)]
    for x, skip in zip(joined, maps[-2::-1], strict=False):
        assert torch.equal(x[:, -skip.shape[1] :], skip)


def test_plain_row_has_no_attention() -> None:
    network = create_network("transunet_attention_none", **TINY)
    assert not any(isinstance(layer, SpatialChannelAttention) for layer in network.modules())
    assert isinstance(network.attention, nn.ModuleList)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": (350, 350)}, r"image_size \(350, 350\) must be two multiples of 32, e.g. \(352, 352\)"),
        ({"resnet_units": (1, 1, 1)}, r"resnet_units \(1, 1, 1\) must be four"),
        ({"widths": (8, 8)}, r"widths \(8, 8\) must be six"),
        ({"channels_in": 0}, r"positive: \(0, 3\)"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_network("transunet_attention", **{**TINY, **options})
