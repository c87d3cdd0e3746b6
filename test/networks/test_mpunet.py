# SPDX-License-Identifier: Apache-2.0
"""MPU-Net and its U-Net: the published parameters, each equation against loops, and the fusion of the scales."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("monai", reason="monai is not installed (extra [train])")

from torch import nn  # noqa: E402  after the skips

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402
from liver_seg_ros.networks.mpunet import MPUNet, fuse  # noqa: E402
from liver_seg_ros.networks.mpunet_attention import (  # noqa: E402
    MultiHeadAttention,
    PositionAttention,
    sequentialize,
)
from liver_seg_ros.networks.mpunet_decoder import (  # noqa: E402
    AttentionGate,
    ConvBlock,
    DecoderLevel,
    MultiScaleBlock,
)

Randomize = Callable[[nn.Module], nn.Module]
PUBLISHED = 22_557_009
TINY = {"widths": (4, 6, 8, 10, 16)}


def count(name: str, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in create_network(name, classes=2, **options).parameters())


def test_parameters_are_the_published_ones() -> None:
    assert count("mpunet") == 22_774_433  # of the docstring
    assert count("mpunet") == pytest.approx(PUBLISHED, rel=0.01)
    assert count("mpunet_unet") == 2_326_638


def test_with_the_published_decoder_only_what_has_no_effect_is_missing() -> None:
    never_run = 512 * 256 * 8 + 256 + 256  # an upsampling from 512 channels, and its PReLU
    never_run += 27 * (8 * 2 + 2 * 2 + 2 * 2) + 3 * (2 + 2)  # a fifth decoder level
    never_run += 2 * 2 + 2  # and its head
    cancelled = sum((32, 64, 128, 256, 512, 256, 256))  # biases before a batch norm
    cancelled += 32  # of PAM's key
    assert count("mpunet", decoder="published", attention="published") + never_run + cancelled == PUBLISHED


@torch.no_grad()
def test_sequentialization_is_equation_1() -> None:
    image = torch.arange(2 * 3 * 4 * 2 * 6).reshape(2, 3, 4, 2, 6)
    sequence = sequentialize(image, patch=2)
    assert sequence.shape == (2, 4 * 2 * 6 // 2**3, 3 * 2**3)
    patches = []
    for d in range(0, 4, 2):
        for h in range(0, 2, 2):
            for w in range(0, 6, 2):
                patches.append(image[:, :, d : d + 2, h : h + 2, w : w + 2].flatten(1))
    assert torch.equal(sequence, torch.stack(patches, dim=1))


@torch.no_grad()
def test_a_linear_layer_on_the_sequence_is_a_strided_convolution() -> None:
    """Equations (3) and (4)."""
    image = torch.randn(1, 3, 4, 8, 6)
    convolution = nn.Conv3d(3, 5, kernel_size=2, stride=2, bias=False)
    embedded = sequentialize(image, patch=2) @ convolution.weight.flatten(1).T
    torch.testing.assert_close(embedded, sequentialize(convolution(image)))


@pytest.mark.parametrize("published", [False, True])
@torch.no_grad()
def test_position_attention_is_equations_8_and_9(published: bool, randomized: Randomize) -> None:
    subject = randomized(PositionAttention(16, weight=0.2, published=published))
    features = torch.randn(1, 16, 2, 3, 2).double()
    f, weight = features[0].flatten(1).T, subject.weight.item()  # (N, channels)
    c = f @ subject.value.weight.flatten(1).T + subject.value.bias
    if published:
        a, b = f @ subject.key.weight.flatten(1).T, f @ subject.query.weight.flatten(1).T + subject.query.bias
    else:  # linear maps of full width (6), batch norm, PReLU
        a, b = (
            nn.functional.prelu(
                nn.functional.batch_norm(
                    f @ linear.weight.flatten(1).T, norm.running_mean, norm.running_var, norm.weight, norm.bias
                ),
                slope.weight,
            )
            for linear, norm, slope in (subject.key, subject.query)
        )
        assert a.shape == b.shape == f.shape
    expected = features[0].flatten(1).T.clone()
    for i in range(len(expected)):
        scores = torch.stack([(a_j * b[i]).sum() for a_j in a]).exp()
        for j in range(len(expected)):
            expected[i] += weight * scores[j] / scores.sum() * c[j]
    torch.testing.assert_close(subject(features)[0].flatten(1).T, expected)


@torch.no_grad()
def test_multi_head_attention_is_equations_6_and_7(randomized: Randomize) -> None:
    subject = randomized(MultiHeadAttention(8, weight=0.2, heads=2))
    features = torch.randn(1, 8, 2, 2, 3).double()
    z = features[0].flatten(1).T  # (N, channels)
    q, k, v = (z @ subject.query_key_value.weight.T + subject.query_key_value.bias).split(8, dim=1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = (q[:, part] @ k[:, part].T / 4**0.5).exp()
        heads.append(scores / scores.sum(1, keepdim=True) @ v[:, part])
    joined = torch.cat(heads, dim=1) @ subject.output.weight.T + subject.output.bias
    expected = subject.weight.item() * joined + z
    torch.testing.assert_close(subject(features)[0].flatten(1).T, expected)


def test_the_attention_and_the_upsampling_are_options() -> None:
    image = torch.randn(1, 1, 16, 8, 8)
    networks = [
        create_network("mpunet", **TINY, **options).eval()
        for options in ({}, {"attention": "multi_head", "heads": 4}, {"upsampling": "cascaded"})
    ]
    assert isinstance(networks[1].attention, MultiHeadAttention)
    assert [type(layer) for layer in networks[2].up[0]] == [nn.Upsample, ConvBlock]
    assert all(network(image).shape == (1, 4, 16, 8, 8) for network in networks)


def test_position_attention_begins_as_the_identity() -> None:
    features = torch.randn(1, 16, 2, 2, 2)
    network = create_network("mpunet", **TINY)
    assert torch.equal(network.attention(features), features)
    loss = network(torch.randn(2, 1, 8, 8, 8))[:, 1].sum()
    loss.backward()
    assert network.attention.weight.grad.abs() > 0  # and learns


@torch.no_grad()
def test_the_gate_is_equations_10_to_12() -> None:
    torch.manual_seed(0)
    skip, gating = torch.randn(1, 3, 2, 2, 2), torch.randn(1, 4, 2, 2, 2)
    subject = AttentionGate(3, 4, between=2)
    w_x, w_g, phi = (part.weight[:, :, 0, 0, 0] for part in (subject.skip, subject.gating, subject.scale))
    found = subject(skip, gating)
    for d, h, w in torch.cartesian_prod(*[torch.arange(2)] * 3):
        x, g = skip[0, :, d, h, w], gating[0, :, d, h, w]
        q = phi @ (w_x @ x + w_g @ g + subject.gating.bias).clamp(min=0) + subject.scale.bias
        torch.testing.assert_close(found[0, :, d, h, w], x / (1 + torch.exp(-q)))


@torch.no_grad()
def test_the_branches_see_5_and_9_voxels() -> None:
    torch.manual_seed(0)
    block = MultiScaleBlock(4)
    image = torch.randn(1, 4, 13, 13, 13)
    changed = image.clone()
    changed[:, :, 6, 6, 6] += 1
    for branch, reach in ((block.near, 5), (block.far, 9)):
        seen = (branch(image) != branch(changed)).any(1)[0].nonzero()
        assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [reach] * 3


@pytest.mark.parametrize("decoder", ["paper", "published"])
@torch.no_grad()
def test_the_answer_is_the_average_of_four_softmaxed_scales(decoder: str) -> None:
    torch.manual_seed(0)
    network = create_network("mpunet", decoder=decoder, **TINY).eval()
    image = torch.randn(2, 1, 16, 8, 8)
    outputs = network.outputs(image)
    assert [tuple(scale.shape) for scale in outputs.scales] == [(2, 4, 16, 8, 8)] * 4
    average = sum(scale.softmax(1) for scale in outputs.scales) / 4
    torch.testing.assert_close(network(image).softmax(1), average)
    assert not torch.allclose(outputs.scales[0], outputs.scales[3])


def test_the_average_is_sound_where_a_probability_is_too_small_for_a_float() -> None:
    scale = torch.tensor([[0.0, 500.0]])
    torch.testing.assert_close(fuse([scale, scale]), torch.tensor([[-500.0, 0.0]]))


@pytest.mark.parametrize("concatenate", [False, True])
@torch.no_grad()
def test_a_closed_gate_keeps_the_skip_out_of_its_level(concatenate: bool) -> None:
    torch.manual_seed(0)
    coarse, skip = torch.randn(1, 4, 3, 3, 3), torch.randn(1, 3, 3, 3, 3)
    level = DecoderLevel(3, 4, concatenate)
    assert not torch.equal(level(coarse, skip), level(coarse, 2 * skip))
    level.gate.scale.weight.zero_()
    level.gate.scale.bias.fill_(-200)  # a sigmoid of 0
    assert torch.equal(level(coarse, skip), level(coarse, 2 * skip))


@torch.no_grad()
def test_a_position_embedding_fixes_the_size() -> None:
    network = create_network("mpunet", position_embedding=(16, 8, 8), **TINY).eval()
    image = torch.randn(1, 1, 16, 8, 8)
    without = network(image)
    network.embedding += 1
    assert (network(image) != without).any()
    with pytest.raises(ValueError, match=r"this network was built for \(16, 8, 8\)"):
        network(torch.zeros(1, 1, 8, 8, 8))
    with pytest.raises(ValueError, match="build the network with another position_embedding"):
        network(torch.zeros(1, 1, 8, 8, 8))
    with pytest.raises(InputError, match=r"size \(20, 8, 8\) does not fit: .*\(24, 8, 8\)"):
        create_network("mpunet", position_embedding=(20, 8, 8), **TINY)
    assert count("mpunet", position_embedding=(48, 256, 256)) - count("mpunet") == 256 * 6 * 32 * 32


@torch.no_grad()
def test_the_whole_network_is_its_equations(randomized: Randomize) -> None:
    """The forward pass again, from the weights and plain functions; a factor stands where training drops."""
    dropped = 2.0
    network = randomized(create_network("mpunet", **TINY, attention_weight=0.5))
    assert create_network("mpunet", **TINY).drop.p == 0.2
    network.drop.forward = lambda x: dropped * x
    image = torch.randn(1, 1, 16, 8, 8).double()
    expected = reference(network, image, dropped)
    for found, scale in zip(network.outputs(image).scales, expected, strict=True):
        torch.testing.assert_close(found, scale)


def reference(network: MPUNet, image: torch.Tensor, dropped: float) -> list[torch.Tensor]:
    """Logits of the four scales, coarsest first."""
    f = nn.functional

    def conv(block: nn.Sequential, x: torch.Tensor, dilation: int = 1) -> torch.Tensor:
        x = f.conv3d(x, block[0].weight, block[0].bias, padding=dilation, dilation=dilation)
        return f.prelu(x, block[1].weight)

    def norm(layer: nn.BatchNorm3d, x: torch.Tensor) -> torch.Tensor:
        return f.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    x = residual = image
    skips = []
    for n, (level, down) in enumerate(zip(network.encoder, network.down, strict=True)):
        x = conv(level[1], conv(level[0], x)) + residual
        skips.append(x * dropped if n else x)
        x = f.conv3d(skips[-1], down[0].weight, stride=2 if n < 3 else 1, padding=0 if n < 3 else 1)
        x = residual = f.max_pool3d(f.elu(norm(down[1], x)), 3, stride=1, padding=1)  # (5)
    for block in (network.reduce, network.expand):
        x = f.prelu(norm(block[1], f.conv3d(x, block[0].weight, padding=1)), block[2].weight)
        x = network.attention(x) if block is network.reduce else x
    scales = []
    for n, level in enumerate(network.decoder):
        skip, gate = skips[3 - n], level.gate
        opened = torch.relu(gate.skip(skip) + gate.gating(x))
        gated = skip * torch.sigmoid(gate.scale(opened))  # (10) to (12), before the concatenation
        merged = conv(level.merge, gated if n == 0 else torch.cat([x, gated], dim=1))
        near = conv(level.block.near[1], conv(level.block.near[0], merged))  # (14)
        far = conv(level.block.far[1], conv(level.block.far[0], merged, 2), 2)  # (15)
        x = conv(level.block.fuse, torch.cat([near, far], dim=1)) + x  # (16), (17)
        x = x * dropped if n < 3 else x
        factor = 2 ** (3 - n)
        scales.append(
            f.interpolate(network.heads[n](x), scale_factor=factor, mode="trilinear") if n < 3 else network.heads[n](x)
        )
        if n < 3:
            x = f.prelu(
                f.conv_transpose3d(x, network.up[n][0].weight, network.up[n][0].bias, stride=2), network.up[n][1].weight
            )
    return scales


def test_other_than_one_channel_is_projected_for_the_first_residual() -> None:
    network = create_network("mpunet", channels_in=3, **TINY)
    assert network(torch.randn(2, 3, 8, 8, 8)).shape == (2, 4, 8, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "code"}, "decoder 'code' is none of paper, published"),
        ({"attention": "self"}, "attention 'self' is none of position, multi_head, published"),
        ({"upsampling": "nearest"}, "upsampling 'nearest' is none of transposed, cascaded"),
        ({"attention": "multi_head", "heads": 7}, "heads 7 must divide the last of widths, 256"),
        ({"widths": (4, 4, 4, 8)}, r"widths \(4, 4, 4, 8\) must be five even numbers"),
        ({"widths": (4, 4, 3, 4, 8)}, r"widths \(4, 4, 3, 4, 8\) must be five even numbers"),
        ({"widths": (4, 4, 4, 4, 12)}, "the last a multiple of 8"),
        ({"classes": 0}, r"must be positive: \(1, 0\)"),
        ({"dropout": 1.0}, "dropout 1.0 must be at least 0 and less than 1"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_network("mpunet", **options)


def test_the_u_net_answers_with_its_finest_scale() -> None:
    network = create_network("mpunet_unet", widths=(4, 6, 8))
    outputs = network.outputs(torch.randn(1, 1, 8, 8, 16))
    assert [tuple(scale.shape) for scale in outputs.scales] == [(1, 4, 8, 8, 16)] * 3
    assert torch.equal(outputs.logits, outputs.scales[-1])
    with pytest.raises(InputError, match=r"widths \(8,\) must be two or more"):
        create_network("mpunet_unet", widths=(8,))
    with pytest.raises(InputError, match=r"must be positive: \(0, 4\)"):
        create_network("mpunet_unet", channels_in=0)
