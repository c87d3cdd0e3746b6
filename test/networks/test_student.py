# SPDX-License-Identifier: Apache-2.0
"""The student: small, of widths and operators that 8-bit kernels like, and cheaper than the network that is shipped."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from torch import nn  # noqa: E402  after the skip
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.networks import create_network  # noqa: E402


def flops(name: str) -> int:
    with torch.device("meta"):
        network = create_network(name).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, 32, 32, 32))
    return counter.get_total_flops()


def test_it_has_at_most_a_million_and_a_half_parameters() -> None:
    assert sum(p.numel() for p in create_network("student").parameters()) <= 1_500_000


def test_it_takes_less_than_half_the_multiplications_of_the_shipped_network() -> None:
    assert flops("student") < flops("unet3d") / 2


def test_all_its_inner_convolutions_have_multiples_of_32_channels() -> None:
    network = create_network("student")
    inner = [m for m in network.modules() if isinstance(m, nn.Conv3d) and m.in_channels > 1]
    assert len(inner) == 9
    assert {channels % 32 for m in inner for channels in (m.in_channels, m.out_channels)} == {0}


def test_the_exported_graph_has_five_kinds_of_operators() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")
    from liver_seg_ros.deploy.onnx_export import export_onnx

    model = onnx.load_from_string(export_onnx(create_network("student", widths=(4, 6)), (8, 8, 8), 4))
    assert {node.op_type for node in model.graph.node} == {"Conv", "Relu", "Add", "Resize", "ConvTranspose"}
    resize = next(node for node in model.graph.node if node.op_type == "Resize")
    assert next(a.s for a in resize.attribute if a.name == "mode") == b"nearest"


def test_options_that_do_not_work_are_named() -> None:
    with pytest.raises(InputError, match=r"widths \(32,\) must be two or more positive numbers"):
        create_network("student", widths=[32])
