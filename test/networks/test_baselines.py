# SPDX-License-Identifier: Apache-2.0
"""The baselines from MONAI: the papers' parameter counts, what each is made of, and options that are refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
pytest.importorskip("monai", reason="monai is not installed (extra [train])")

from liver_seg_ros.errors import InputError  # noqa: E402  after the skips
from liver_seg_ros.networks import NETWORKS, create_network  # noqa: E402
from liver_seg_ros.networks.baselines import UNet, UNetPlusPlus  # noqa: E402


@pytest.mark.parametrize("name", ["unet2d", "resunet2d", "unet3d_concat", "resunet3d", "attention_unet3d", "vnet"])
def test_parameters_are_those_of_paper_2(name: str) -> None:
    with torch.device("meta"):
        network = create_network(name, classes=3)  # background, tumor, vessel
    published = NETWORKS[name].parameters_published
    assert published is not None
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(published, rel=0.01)


def test_the_unet_joins_each_skip_with_the_map_from_below() -> None:
    torch.manual_seed(0)
    network = UNet(2, widths=(4, 6)).eval()
    joined: list[torch.Tensor] = []
    network.merge[0].register_forward_pre_hook(lambda _, arguments: joined.append(arguments[0]))
    image = torch.randn(1, 1, 8, 8)
    network(image)
    skip = network.stem(image)
    below = network.up[0](network.down[0](skip))
    assert torch.equal(joined[0], torch.cat([skip, below], dim=1))


def test_unet_plus_plus_supervises_four_nodes() -> None:
    torch.manual_seed(0)
    network = UNetPlusPlus(widths=(4, 4, 6, 6, 8)).eval()
    image = torch.randn(1, 1, 16, 32)
    outputs = network.outputs(image)
    assert [tuple(logits.shape) for logits in (outputs.logits, *outputs.sides)] == [(1, 4, 16, 32)] * 4
    assert torch.equal(network(image), outputs.logits)
    assert not torch.allclose(outputs.logits, outputs.sides[-1])
    head = network.network.final_conv_0_4
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    assert not network(image).any()  # so the logits are the last node's, which sees all the others


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet2d", {"widths": [8]}, r"widths \(8,\) must be two or more"),
        ("resunet3d", {"convolutions": 0}, "convolutions must be at least 1, not 0"),
        ("attention_unet3d", {"widths": [8, 0]}, r"widths \(8, 0\) must be two or more positive"),
        ("unet_plus_plus", {"widths": [8, 8, 8, 8, 7]}, "must be five even numbers of channels"),
        ("vnet", {"channels_in": 3}, "channels_in must divide 16, not 3"),
    ],
)
def test_options_that_do_not_work_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_network(name, **options)
