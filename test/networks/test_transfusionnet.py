# SPDX-License-Identifier: Apache-2.0
"""TransFusionNet: the widths of the paper's network, what each ablation cuts, equations 3 to 7, and the edge map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, interpolate, max_pool2d

from liver_seg_ros.errors import InputError
from liver_seg_ros.networks import create_network
from liver_seg_ros.networks.resnet_transformer import TransformerLayer
from liver_seg_ros.networks.transfusionnet import TransFusionNet
from liver_seg_ros.networks.transfusionnet_decoder import FusionModule
from liver_seg_ros.networks.transfusionnet_edges import GatedExcitation
from liver_seg_ros.networks.transfusionnet_encoders import SEBottleneck

SIZE = (128, 256)


def tiny(**options: Any) -> TransFusionNet:
    torch.manual_seed(0)
    small: dict[str, Any] = {"widths": (8, 8, 8, 32, 32, 32, 32, 32), "resnet_width": 8, "resnet_units": (1, 1, 1)}
    transformer: dict[str, Any] = {"hidden": 16, "layers": 1, "heads": 2}
    return TransFusionNet(image_size=SIZE, **small, **transformer, **options).eval()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_it_has_the_widths_and_the_parameters_of_the_authors_network() -> None:
    with torch.device("meta"):
        network = TransFusionNet()
    read = [stage.convolutions[0][0].in_channels for stage in network.decoder.stages]
    written = [stage.convolutions[0][0].out_channels for stage in network.decoder.stages]
    assert read == [1536, 1536, 1024, 768, 640, 320, 160]
    assert written == [512, 512, 512, 256, 128, 64, 32]
    unused = 3.8e6
    assert parameters(network) == pytest.approx(150e6 - unused, rel=0.01)


@pytest.mark.parametrize("branch", ["transformer", "cnn"])
@pytest.mark.parametrize("skips", ["with_skips", "without_skips"])
def test_without_skips_only_the_last_map_of_a_branch_counts(branch: str, skips: str) -> None:
    network = tiny(**{branch: skips})
    encoder = network.semantic_encoder if branch == "transformer" else network.local_encoder
    image = torch.randn(1, 1, *SIZE)
    with torch.no_grad():
        before = network(image)
        maps = encoder(image)
        for level in set(maps) - {0, 7} if branch == "transformer" else set(maps) - {7}:
            encoder.forward = lambda _, level=level: {**maps, level: maps[level] + 1}
            assert torch.equal(network(image), before) == (skips == "without_skips"), f"level {level}"
        encoder.forward = lambda _: {**maps, 7: maps[7] + 1}
        assert not torch.equal(network(image), before)


@pytest.mark.parametrize(
    ("variant", "encoders"),
    [("transformer_only", ["semantic_encoder"]), ("cnn_only", ["local_encoder"])],
)
def test_either_branch_runs_alone(variant: str, encoders: list[str]) -> None:
    with torch.device("meta"):
        network = create_network(f"transfusionnet_{variant}")
    assert [name for name, _ in network.named_children() if name.endswith("encoder")] == encoders


def test_the_bottleneck_uses_its_excitation() -> None:
    block = SEBottleneck(32, 32, dropout=0).eval()
    excitation = block.body[4]
    x = torch.randn(2, 32, 4, 4)
    with torch.no_grad():
        u = block.body[:4](x)
        e = u.mean((2, 3))  # (3)
        s = torch.sigmoid(excitation.fc[2](torch.relu(excitation.fc[0](e))))  # (4)
        expected = torch.relu(block.body[5:](s[:, :, None, None] * u) + x)  # (5)
        assert torch.allclose(block(x), expected, atol=1e-6)
        excitation.fc[2].bias.add_(2)
        assert not torch.allclose(block(x), expected, atol=1e-4)


def test_the_gate_follows_equations_6_and_7() -> None:
    torch.manual_seed(0)
    gate = GatedExcitation(channels=2, semantic=3, local=2, level=1).eval()
    e = torch.randn(1, 2, 4, 6)
    semantic, local = torch.randn(1, 3, 1, 1).expand(1, 3, 2, 3), torch.randn(1, 2, 1, 1).expand(1, 2, 2, 3)
    with torch.no_grad():
        found = gate(e, semantic, local)[0].numpy()
        t = gate.semantic(semantic)[0, 0, 0, 0].item()  # even maps stay even when they are enlarged
        c = gate.local(local)[0, 0, 0, 0].item()
    stacked = np.concatenate([np.full((1, 4, 6), t), np.full((1, 4, 6), c), e[0].numpy()])
    first, second = gate.excitation.fc[0], gate.excitation.fc[2]
    hidden = np.maximum(array(first.weight) @ stacked.mean((1, 2)) + array(first.bias), 0)
    scale = sigmoid(array(second.weight) @ hidden + array(second.bias))
    expected = np.zeros((2, 4, 6))
    for row, column in np.ndindex(4, 6):
        excited = scale * stacked[:, row, column]
        alpha = sigmoid(array(gate.attention.weight)[0, :, 0, 0] @ excited + array(gate.attention.bias)[0])
        kept = e[0, :, row, column].numpy() * alpha + e[0, :, row, column].numpy()
        expected[:, row, column] = array(gate.convolution.weight)[:, :, 0, 0] @ kept + array(gate.convolution.bias)
    assert np.abs(found - expected).max() < 1e-5


def test_fusion_has_three_receptive_fields_and_adds_the_edges_to_the_widest() -> None:
    torch.manual_seed(0)
    fusion = FusionModule(channels_in=6, channels_out=16, edge_channels=2).eval()
    fusion.activation = nn.Identity()  # no ReLU may hide a change
    fusion.area[2], fusion.point[2] = nn.Identity(), nn.Identity()
    x, edges = torch.randn(1, 6, 4, 4), torch.randn(1, 2, 8, 8)
    near, far = x.clone(), edges.clone()
    near[:, :, 0, 0] += 1
    far[:, :, :2, 6:] += 1  # what the pixel of the last column, first row covers
    with torch.no_grad():
        changed = (fusion(near, edges) - fusion(x, edges))[0].abs() > 1e-6
        by_edges = (fusion(x, far) - fusion(x, edges))[0].abs() > 1e-6
    assert changed[:8, :2, :2].all()  # 3x3
    assert changed[:8].sum() == 8 * 4
    assert changed[8:12].sum() == 4  # 1x1
    assert changed[12:].all()  # pooled
    assert by_edges[12:, 0, 3].all()
    assert by_edges.sum() == 4


def test_where_an_edge_lies_within_a_block_of_the_fusions_grid_counts() -> None:
    network = tiny(edge_module=True)
    image, edges = torch.randn(1, 1, *SIZE), torch.zeros(1, 1, *SIZE)
    edges[:, :, 10:40, 20:24] = 1
    block = edges[0, 0, :128, :128].flatten()
    shuffled = edges.clone()
    shuffled[0, 0, :128, :128] = block[torch.randperm(len(block))].reshape(128, 128)
    assert shuffled.sum() == edges.sum()
    with torch.no_grad():
        difference = (network(image, shuffled) - network(image, edges)).abs().amax(1)[0]
        fusion_alone = tiny(edge_module=True, edge_skips=False)
        maps = [fusion_alone.edge_pyramid(torch.cat([e] * 5, dim=1))[-1] for e in (edges, shuffled)]
        one, other = (fusion_alone.fusion.edges(map_)[0, :, 0, 0] for map_ in maps)
    assert (one - other).abs().max() > 0.01 * one.abs().max()
    assert difference[:128, :128].max() > 1e-3


@torch.no_grad()
def test_gates_lie_where_they_are_asked_for() -> None:
    network = tiny(edge_module=True, gates=(2, 3, 7), edge_widths=(8, 6, 6))
    image = torch.randn(1, 1, *SIZE)
    seen: list[tuple[tuple[int, ...], ...]] = []
    for gate in network.edge_extraction.gates:
        gate.register_forward_hook(lambda _, maps, __: seen.append(tuple(tuple(x.shape[2:]) for x in maps)))
    network.edge_extraction(network.semantic_encoder(image), network.local_encoder(image))
    assert seen == [((128, 256), *[(128 >> level, 256 >> level)] * 2) for level in (2, 3, 7)]


@pytest.mark.parametrize("scaled", [False, True])
@torch.no_grad()
def test_attention_is_equation_2_with_or_without_a_scale(scaled: bool) -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(hidden=6, heads=2, dropout=0, scaled=scaled).double().eval()
    tokens = torch.randn(1, 5, 6).double()
    q, k, v = (tokens[0] @ layer.query_key_value.weight.T + layer.query_key_value.bias).split(6, dim=1)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        scores = (q[:, part] @ k[:, part].T / (3**0.5 if scaled else 1)).exp()
        heads.append(scores / scores.sum(1, keepdim=True) @ v[:, part])
    expected = torch.cat(heads, dim=1) @ layer.projection.weight.T + layer.projection.bias
    torch.testing.assert_close(layer.attend(tokens)[0], expected)
    options = {"hidden": 16, "layers": 1, "heads": 2, "scaled": scaled}
    built = TransFusionNet(image_size=SIZE, widths=(8,) * 8, resnet_width=8, resnet_units=(1, 1, 1), **options)
    assert built.semantic_encoder.transformer.layers[0].scale == (None if scaled else 1.0)


@torch.no_grad()
def test_the_whole_network_is_what_the_paper_draws(randomized: Callable[[nn.Module], nn.Module]) -> None:
    """The forward pass again, from the weights and plain functions; a factor stands where training drops."""
    dropped = 1.5
    network = tiny(edge_module=True)
    rates = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
    assert {rate for name, rate in rates.items() if "transformer" in name} == {0.1}
    assert {rate for name, rate in rates.items() if "transformer" not in name} == {0.2}
    network = randomized(network)
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout) and "transformer" not in name:
            module.forward = lambda x: dropped * x
    image, edges = torch.randn(1, 1, *SIZE).double(), (torch.rand(1, 1, *SIZE) > 0.9).double()
    found = network.outputs(image, edges)
    logits, edge_logits = reference(network, image, edges, dropped)
    torch.testing.assert_close(found.edge_logits, edge_logits)
    torch.testing.assert_close(found.logits, logits)


def reference(network: TransFusionNet, image: Tensor, edges: Tensor, dropped: float) -> tuple[Tensor, Tensor]:
    """Logits of classes and of edges. The ResNet, the tokens and one gate have tests of their own and are called."""

    def plain(layer: nn.Conv2d, x: Tensor) -> Tensor:
        return conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)

    def normed(layers: Any, x: Tensor) -> Tensor:  # convolution and batch norm
        x, norm = plain(layers[0], x), layers[1]
        return batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    def conv(layers: Any, x: Tensor) -> Tensor:  # and ReLU
        return normed(layers, x).clamp(min=0)

    def excited(layer: nn.Module, x: Tensor) -> Tensor:  # (3) to (5)
        hidden = (x.mean((2, 3)) @ layer.fc[0].weight.T + layer.fc[0].bias).clamp(min=0)
        return x * torch.sigmoid(hidden @ layer.fc[2].weight.T + layer.fc[2].bias)[:, :, None, None]

    def residual(block: nn.Module, body: Tensor, x: Tensor) -> Tensor:
        shortcut = x if isinstance(block.shortcut, nn.Identity) else plain(block.shortcut, x)
        return (dropped * body + shortcut).clamp(min=0)

    def up(x: Tensor, factor: int = 2) -> Tensor:
        return interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

    local = [conv(network.local_encoder.stem, image)]
    for level, block in enumerate(network.local_encoder.blocks, start=1):
        x, body = max_pool2d(local[-1], 2), block.body
        if level < 3:  # a CNN, then five SE-bottlenecks
            y = normed(body[1:], conv(body[0], x))
        else:
            y = normed(body[5:], excited(body[4], conv(body[3], conv(body, x))))
        local.append(residual(block, y, x))

    encoder = network.semantic_encoder
    stem = conv(encoder.stem, image)
    half, quarter, eighth, coarse = encoder.resnet(stem)
    x = conv(encoder.convolutions[0], encoder.transformer(coarse))  # three convolutions
    t6 = max_pool2d(conv(encoder.convolutions[1], x), 2)
    t7 = max_pool2d(conv(encoder.convolutions[2], t6), 2)
    semantic = {0: stem, 1: half, 2: quarter, 3: eighth, 6: t6, 7: t7}

    def se_block(block: nn.Module, x: Tensor) -> Tensor:
        return residual(block, excited(block.body[3], normed(block.body[1:], conv(block.body[0], x))), x)

    module = network.edge_extraction
    both = [se_block(module.semantic_block, stem), se_block(module.local_block, local[0])]
    stream = plain(module.join, torch.cat(both, dim=1))
    for step, level in enumerate((1, 2, 6, 7)):
        if step:
            block, narrow = module.between[step - 1]
            stream = plain(narrow, se_block(block, stream))
        stream = module.gates[step](stream, semantic[level], local[level])

    fusion, last = network.fusion, torch.cat([t7, local[7]], dim=1)
    grids = [torch.cat([stream, edges], dim=1)]  # the last gate's output and the Canny map
    for halving in network.edge_pyramid.halvings:
        grids.append(conv(halving, grids[-1]))
    whole = plain(fusion.whole[1], last.mean((2, 3), keepdim=True)) + plain(fusion.edges, grids[6])
    x = torch.cat([conv(fusion.area, last), conv(fusion.point, last), whole.clamp(min=0)], dim=1)

    for level, stage in zip(reversed(range(7)), network.decoder.stages, strict=True):
        if level + 1 in (1, 2, 3, 6):  # skips of the transformer branch, on the coarser grid
            skip = semantic[level + 1]
            skip = skip if isinstance(stage.project, nn.Identity) else plain(stage.project, skip)
            x = torch.cat([x, skip], dim=1)
        x = torch.cat([local[level], up(x), grids[level]], dim=1)  # of the local encoder and the edges, on the finer
        x = dropped * conv(stage.convolutions[2], dropped * conv(stage.convolutions[0], x))
    return plain(network.head, x), plain(module.head, stream)


def test_the_edge_map_and_the_predicted_edges() -> None:
    network = tiny(edge_module=True)
    image, edges = torch.randn(1, 1, *SIZE), torch.zeros(1, 1, *SIZE)
    outputs = network.outputs(image, edges)
    assert outputs.logits.shape == (1, 3, *SIZE)
    assert outputs.edge_logits.shape == (1, 1, *SIZE)
    edges[:, :, 20:60, 20:90] = 1
    with torch.no_grad():
        assert not torch.equal(network(image, edges), outputs.logits)
    assert torch.equal(network.outputs(image, edges).edge_logits, outputs.edge_logits)  # they come from the maps alone
    assert tiny().outputs(image).edge_logits is None


def test_an_edge_map_that_is_missing_or_does_not_fit_is_named() -> None:
    image = torch.zeros(1, 1, *SIZE)
    with pytest.raises(ValueError, match=r"no edge map: .* give the Canny map too"):
        tiny(edge_module=True)(image)
    with pytest.raises(ValueError, match=r"size \(128, 128\) does not fit: this network was built for \(128, 256\)"):
        tiny(edge_module=True)(image, torch.zeros(1, 1, 128, 128))
    with pytest.raises(ValueError, match="built without the edge module"):
        tiny()(image, image)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": (512, 500)}, r"image_size \(512, 500\) must be two multiples of 128, e.g. \(512, 512\)"),
        ({"widths": (32, 64)}, r"widths \(32, 64\) must be 8 numbers"),
        ({"edge_module": True, "edge_widths": (8, 4)}, r"edge_widths \(8, 4\) must be 4 numbers"),
        (
            {"edge_module": True, "gates": (0, 1, 2, 3)},
            r"gates \(0, 1, 2, 3\) must be some of the levels \(1, 2, 3, 6, 7",
        ),
        ({"edge_module": True, "gates": (2, 1, 6, 7)}, "the finest first"),
        ({"cnn": "no"}, "cnn 'no' must be one of: with_skips, without_skips, absent"),
        ({"cnn": "absent", "transformer": "absent"}, "both absent"),
        ({"cnn": "absent", "edge_module": True}, "neither transformer nor cnn may be absent"),
        ({"classes": 0}, "must be positive"),
        ({"heads": 5}, "multiple of heads"),
        ({"resnet_units": (3, 4)}, "resnet_units"),
    ],
)
def test_options_that_cannot_be_built_are_named(options: dict[str, Any], said: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=said):
        create_network("transfusionnet", **options)


def array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
