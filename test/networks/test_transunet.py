# SPDX-License-Identifier: Apache-2.0
"""TransUNet: the published parameters, and that tokens see the whole image and where they are."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.errors import InputError  # noqa: E402  after the skip
from liver_seg_ros.networks import NETWORKS, create_network  # noqa: E402
from liver_seg_ros.networks.transunet import TransUNet  # noqa: E402


def tiny(**options: Any) -> TransUNet:
    torch.manual_seed(0)
    settings = {
        "image_size": (32, 48),
        "resnet_width": 8,
        "resnet_units": (1, 1, 1),
        "hidden": 12,
        "layers": 2,
        "heads": 3,
        "widths": (16, 8, 8, 4, 4),
    }
    return TransUNet(**{**settings, **options}).eval()


def test_it_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = TransUNet()
        original = TransUNet(channels_in=3, classes=9, image_size=(224, 224))
        assert network(torch.zeros(1, 1, 320, 320)).shape == (1, 3, 320, 320)
    published = NETWORKS["transunet"].parameters_published
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(published, rel=0.01)
    assert sum(p.numel() for p in original.parameters()) == pytest.approx(105.28e6, rel=1e-4)


def test_every_skip_reaches_the_decoder() -> None:
    network = tiny()
    joined = []
    for block in network.decoder:
        block.convolutions.register_forward_hook(lambda _, inputs, __: joined.append(inputs[0]))
    with torch.no_grad():
        image = torch.randn(1, 1, 32, 48)
        network(image)
        maps = network.resnet(image)
    assert [tuple(x.shape[2:]) for x in joined] == [(4, 6), (8, 12), (16, 24), (32, 48)]
    for x, skip in zip(joined, maps[-2::-1], strict=False):
        assert torch.equal(x[:, -skip.shape[1] :], skip)


def test_tokens_see_the_whole_image_and_know_where_they_are() -> None:
    network = tiny(image_size=(64, 64))
    tokens = torch.randn(1, 128, 4, 4)
    changed = tokens.clone()
    changed[:, :, 0, 0] += 1
    with torch.no_grad():
        difference = (network.transformer(tokens) - network.transformer(changed)).abs().amax(1)
        turned = network.transformer(tokens.flip(3)).flip(3) - network.transformer(tokens)
    assert difference.min() > 1e-6
    assert turned.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": (320, 328)}, r"image_size \(320, 328\) must be two multiples of 16"),
        ({"widths": (8, 8)}, r"widths \(8, 8\) must be five"),
        ({"hidden": 10, "heads": 3}, "hidden 10 a multiple of heads"),
        ({"classes": 0}, r"positive: \(1, 0\)"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_network("transunet", **{"resnet_width": 8, "resnet_units": (1, 1, 1), "layers": 1, **options})


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size \(48, 32\) does not fit: this network was built for \(32, 48\)"):
        tiny()(torch.zeros(1, 1, 48, 32))
