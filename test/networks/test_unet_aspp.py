# SPDX-License-Identifier: Apache-2.0
"""UNet-ASPP: its equations on small numbers, which map goes into which node, and its size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from torch import Tensor, nn  # noqa: E402  after the skip
from torch.nn.functional import batch_norm, conv2d, interpolate, max_pool2d  # noqa: E402

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.unet_aspp import ASPP, DenseNode, ResidualBlock, UNetASPP  # noqa: E402


def test_it_has_the_authors_parameters_but_for_the_wider_end() -> None:
    with torch.device("meta"):
        network = UNetASPP()
        assert network(torch.zeros(1, 1, 352, 352)).shape == (1, 3, 352, 352)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(41.0e6, rel=0.01)


def test_aspp_adds_a_point_its_surroundings_and_the_mean_of_the_map() -> None:
    torch.manual_seed(0)
    aspp = ASPP(channels=2, rate=2).eval()
    x = torch.randn(1, 2, 6, 7)
    weight, bias = aspp.atrous.weight.detach().double().numpy(), aspp.atrous.bias.detach().double().numpy()
    padded = np.pad(x[0].double().numpy(), ((0, 0), (2, 2), (2, 2)))
    atrous = np.empty((2, 6, 7))
    for i in range(6):
        for j in range(7):
            taps = padded[:, i : i + 5 : 2, j : j + 5 : 2]  # nine points, two apart, around (i, j)
            atrous[:, i, j] = (weight * taps).sum((1, 2, 3)) + bias
    point = linear(aspp.point, x[0].double().numpy())
    mean = np.broadcast_to(x[0].double().numpy().mean((1, 2), keepdims=True), (2, 6, 7))
    pooled = linear(aspp.pooled, mean)
    total = sum(
        np.einsum("oc,chw->ohw", aspp.project.weight.detach().double().numpy()[:, part, 0, 0], term)
        for part, term in ((slice(0, 2), point), (slice(2, 4), atrous), (slice(4, 6), pooled))
    )
    expected = np.maximum(total / np.sqrt(1 + aspp.norm.eps), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(aspp(x)[0].detach().numpy(), expected, atol=1e-5)


def test_a_block_adds_its_input_before_the_last_relu() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(3, 4).eval()
    x = torch.randn(1, 3, 5, 5)
    nn.init.zeros_(block.convolutions[3].weight)
    expected = np.maximum(linear(block.residual, x[0].double().numpy()), 0)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), expected, atol=1e-5)
    nn.init.ones_(block.convolutions[3].weight)
    assert (block(x)[0] - torch.from_numpy(expected)).abs().max() > 0.1


def test_a_node_reads_its_row_the_map_below_and_the_map_above() -> None:
    torch.manual_seed(0)
    network = UNetASPP(widths=(2, 3, 4, 5)).eval()
    read: dict[str, Tensor] = {}
    written: dict[str, Tensor] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            read[name], written[name] = inputs[0], output

        return hook

    for name, node in network.nodes.items():
        node.register_forward_hook(record(name))
    with torch.no_grad():
        network(torch.randn(1, 1, 16, 24))
    assert len(written) == 10
    for name in ("1_1", "1_2", "2_1", "0_3"):
        i, j = int(name[0]), int(name[2])
        up = interpolate(written[f"{i + 1}_{j - 1}"], scale_factor=2, mode="bilinear", align_corners=False)
        above = [max_pool2d(written[f"{i - 1}_{j}"], 2)] if i > 0 else []
        expected = torch.cat([*(written[f"{i}_{k}"] for k in range(j)), up, *above], dim=1)
        assert torch.equal(read[name], expected), name


@torch.no_grad()
def test_the_whole_network_is_its_equations(randomized: Callable[[nn.Module], nn.Module]) -> None:
    """The forward pass again, from the weights and plain functions."""
    network = randomized(UNetASPP(channels_in=2, widths=(3, 4, 5)))
    image = torch.randn(1, 2, 8, 12).double()

    def norm(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
        return batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    def h(name: str, *maps: Tensor) -> Tensor:
        """H of Figure 3: y = max(0, B(C(max(0, B(C(x))))) + C(x))."""
        block, x = network.nodes[name], torch.cat(maps, dim=1)
        first, norm1, _, second, norm2 = block.convolutions
        y = norm(norm1, conv2d(x, first.weight, padding=1)).clamp(min=0)
        y = norm(norm2, conv2d(y, second.weight, padding=1))
        return (y + conv2d(x, block.residual.weight, block.residual.bias)).clamp(min=0)

    def up(x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    x00 = h("0_0", image)
    x10 = h("1_0", max_pool2d(x00, 2))
    x20 = h("2_0", max_pool2d(x10, 2))
    x01 = h("0_1", x00, up(x10))
    x11 = h("1_1", x10, up(x20), max_pool2d(x01, 2))  # P from the level above, in the same column
    x02 = h("0_2", x00, x01, up(x11))
    aspp = network.aspp
    seen = [aspp.point(x02), aspp.atrous(x02), aspp.pooled(x02.mean((2, 3), keepdim=True)).expand_as(x02)]
    y = norm(aspp.norm, conv2d(torch.cat(seen, dim=1), aspp.project.weight)).clamp(min=0)
    torch.testing.assert_close(network(image), conv2d(y, network.head.weight, network.head.bias))
    assert (aspp.atrous.dilation, aspp.atrous.kernel_size) == ((2, 2), (3, 3))


def test_a_densenet_takes_the_encoders_place_and_no_other() -> None:
    with torch.device("meta"):
        network = UNetASPP(encoder="densenet")
        assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)
    dense = {name: node for name, node in network.nodes.items() if isinstance(node, DenseNode)}
    assert list(dense) == ["1_0", "2_0", "3_0", "4_0"]
    # Of DenseNet-121's 121 layers, 2 are in each layer of a block.
    assert [sum(isinstance(layer, nn.Conv2d) for layer in node.modules()) - 1 for node in dense.values()] == [
        2 * layers for layers in (6, 12, 24, 16)
    ]
    node, x = DenseNode(3, 5, layers=2, growth=4).eval(), torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        block = node[0](x)
        assert block.shape == (1, 3 + 2 * 4, 6, 6)
        assert torch.equal(block[:, :3], x)  # each layer joins what was before
        assert node(x).shape == (1, 5, 6, 6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoder": "resnext"}, "encoder 'resnext' is none of blocks, densenet"),
        ({"encoder": "densenet", "widths": (4,) * 6}, "a DenseNet has at most 5 levels"),
        ({"widths": (8,)}, r"widths \(8,\) must be two or more positive"),
        ({"widths": (8, 0)}, r"widths \(8, 0\)"),
        ({"rate": 0}, r"rate must be positive: \(1, 3, 0\)"),
    ],
)
def test_impossible_options_are_refused(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        create_network("unet_aspp", **options)


def linear(layer: nn.Conv2d, x: np.ndarray) -> np.ndarray:
    """A 1x1 convolution of `(C, H, W)`."""
    weight, bias = layer.weight.detach().double().numpy()[:, :, 0, 0], layer.bias.detach().double().numpy()
    return np.einsum("oc,chw->ohw", weight, x) + bias[:, None, None]
