# SPDX-License-Identifier: Apache-2.0
"""3DYNet: both encoders reach every decoder block as the paper joins them, and EE joins them otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from torch import Tensor, nn  # noqa: E402  after the skip
from torch.nn.functional import conv3d, conv_transpose3d, leaky_relu, max_pool3d  # noqa: E402

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.threedynet import ThreeDYNet  # noqa: E402


def tiny(**options: Any) -> ThreeDYNet:
    torch.manual_seed(0)
    return ThreeDYNet(**{"widths": (3, 4, 5), "convolutions": (2, 2, 4), **options}).eval()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_it_is_two_vgg19_and_four_blocks_of_three_convolutions() -> None:
    with torch.device("meta"):
        network = ThreeDYNet()
        assert network(torch.zeros(1, 1, 64, 256, 256)).shape == (1, 3, 64, 256, 256)
    for encoder in network.encoders:
        counts = [sum(isinstance(layer, nn.Conv3d) for layer in stage) for stage in encoder.stages]
        assert counts == [2, 2, 4, 4, 4]
    assert len(network.decoder) == 4
    for block in network.decoder:
        assert [type(layer) for layer in block.convolutions] == [nn.Conv3d, nn.LeakyReLU] * 3
    assert network.size_multiple == 16


def test_ee_has_the_same_encoders_and_a_narrower_decoder() -> None:
    with torch.device("meta"):
        concatenated, summed = ThreeDYNet(), ThreeDYNet(sum_encoders=True)
    assert parameters(concatenated.encoders) == parameters(summed.encoders)
    # From six of the encoder's widths to three in the bottom's transposed convolution, from four to two in each block.
    blocks = sum(27 * 2 * width**2 for width in (16, 32, 64, 128))
    assert parameters(concatenated) - parameters(summed) == blocks + 27 * 128 * 128


@pytest.mark.parametrize("sum_encoders", [False, True])
@pytest.mark.parametrize("center", [None, 6])
def test_every_decoder_block_reads_both_encoders(sum_encoders: bool, center: int | None) -> None:
    network = tiny(sum_encoders=sum_encoders, center=center)
    maps: list[list[Tensor]] = []
    joined: list[Tensor] = []
    up: list[Tensor] = []
    for encoder in network.encoders:
        encoder.register_forward_hook(lambda _, __, output: maps.append(output))
    for block in network.decoder:
        block.up.register_forward_hook(lambda _, __, output: up.append(output))
        block.convolutions.register_forward_hook(lambda _, inputs, __: joined.append(inputs[0]))
    with torch.no_grad():
        network(torch.randn(1, 1, 16, 24, 16))
    first, second = maps
    assert not torch.equal(first[0], second[0])
    assert len(joined) == (2 if center is None else 3)
    for level, (found, u) in enumerate(zip(joined[::-1], up[::-1], strict=True)):
        a, b = first[level], second[level]
        expected = torch.cat([a + b, u] if sum_encoders else [a, u, b, u], dim=1)
        assert torch.equal(found, expected), level


@pytest.mark.parametrize("sum_encoders", [False, True])
@torch.no_grad()
def test_the_whole_network_is_what_the_paper_says(
    sum_encoders: bool, randomized: Callable[[nn.Module], nn.Module]
) -> None:
    """The forward pass again, from the weights and plain functions."""
    network = randomized(ThreeDYNet(widths=(3, 4, 5), convolutions=(2, 2, 4), sum_encoders=sum_encoders))
    image = torch.randn(1, 1, 8, 12, 8).double()

    def convolved(layers: nn.Sequential, x: Tensor, slope: float) -> Tensor:
        for layer in layers[::2]:
            x = leaky_relu(conv3d(x, layer.weight, layer.bias, padding=1), slope)
        return x

    maps: list[list[Tensor]] = []
    for encoder in network.encoders:
        stages = [convolved(encoder.stages[0], image, 0.0)]  # ReLU
        for stage in encoder.stages[1:]:
            stages.append(convolved(stage, max_pool3d(stages[-1], 2, stride=2), 0.0))
        maps.append(stages)
    (a0, a1, a2), (b0, b1, b2) = maps
    x = a2 + b2 if sum_encoders else torch.cat([a2, b2], dim=1)
    for block, a, b in zip(network.decoder, (a1, a0), (b1, b0), strict=True):
        u = conv_transpose3d(x, block.up.weight, block.up.bias, stride=2, padding=1, output_padding=1)
        joined = torch.cat([a + b, u] if sum_encoders else [a, u, b, u], dim=1)
        x = convolved(block.convolutions, joined, 0.01)  # leaky ReLU
    torch.testing.assert_close(network(image), conv3d(x, network.head.weight, network.head.bias))


@pytest.mark.parametrize("sum_encoders", [False, True])
def test_the_bottom_joins_both_encoders(sum_encoders: bool) -> None:
    network = tiny(sum_encoders=sum_encoders)
    maps: list[list[Tensor]] = []
    for encoder in network.encoders:
        encoder.register_forward_hook(lambda _, __, output: maps.append(output))
    bottom: list[Tensor] = []
    network.decoder[0].up.register_forward_hook(lambda _, inputs, __: bottom.append(inputs[0]))
    with torch.no_grad():
        network(torch.randn(1, 1, 8, 8, 8))
    a, b = maps[0][-1], maps[1][-1]
    assert a.shape[2:] == (2, 2, 2)
    assert torch.equal(bottom[0], a + b if sum_encoders else torch.cat([a, b], dim=1))


def test_weights_start_as_he_says() -> None:
    torch.manual_seed(0)
    layer = ThreeDYNet(widths=(32, 32), convolutions=(1, 2)).encoders[1].stages[1][2]
    assert layer.weight.std().item() == pytest.approx((2 / (27 * 32)) ** 0.5, rel=0.02)
    assert layer.bias.abs().max() == 0


@torch.no_grad()
def test_upsampling_starts_with_twice_the_variance_as_every_layer_does() -> None:
    """He's condition, which his ReLU halves again; PyTorch's own fan of a transposed convolution is its output's."""
    torch.manual_seed(0)
    up = ThreeDYNet(widths=(4, 32), convolutions=(1, 1)).decoder[0].up
    assert (up.in_channels, up.out_channels) == (64, 4)
    inside = up(torch.randn(4, 64, 9, 9, 9))[:, :, 2:-2, 2:-2, 2:-2]
    assert inside.square().mean().item() == pytest.approx(2, rel=0.1)


def test_the_authors_choices_are_options() -> None:
    with torch.device("meta"):
        network = ThreeDYNet(center=256, batch_norm=True)
        assert network(torch.zeros(1, 1, 32, 32, 64)).shape == (1, 3, 32, 32, 64)
    assert (len(network.decoder), network.size_multiple) == (5, 32)
    assert sum(isinstance(layer, nn.BatchNorm3d) for layer in network.modules()) == 5 * 3 + 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"widths": (8, 8)}, r"widths \(8, 8\) and convolutions \(2, 2, 4, 4, 4\) must be as many"),
        ({"widths": (8,), "convolutions": (2,)}, "two or more"),
        ({"center": 0}, r"center must be positive: \(1, 3, 0\)"),
    ],
)
def test_impossible_options_are_refused(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_network("threedynet", **options)
