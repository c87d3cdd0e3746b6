# SPDX-License-Identifier: Apache-2.0
"""The exported graph takes HU and gives logits, probabilities or labels: the same as the steps one by one."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

from liver_seg_ros.deploy.graph import DeployedNetwork  # noqa: E402  after the skips
from liver_seg_ros.deploy.onnx_export import ExportError, export_onnx, open_session  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.inference.preprocessing import normalize  # noqa: E402
from liver_seg_ros.networks.resnet_transformer import StandardizedConv2d  # noqa: E402
from liver_seg_ros.networks.unet3d import UNet3D  # noqa: E402

WINDOW = (-100.0, 250.0)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = UNet3D(widths=(4, 6))
    for _ in range(3):  # statistics for the batch norms
        network(torch.randn(2, 1, 8, 8, 8))
    torch.nn.init.zeros_(network.head.bias)  # or one class wins everywhere
    return network.eval()


@pytest.mark.parametrize(
    ("output", "dtype"), [("logits", torch.float32), ("softmax", torch.float16), ("argmax", torch.float16)]
)
def test_hu_goes_in_and_the_output_comes_out(network: torch.nn.Module, output: str, dtype: torch.dtype) -> None:
    session = open_session(export_onnx(DeployedNetwork(network, WINDOW, output), (4, 6, 8), 2, dtype=dtype))
    hu = np.random.default_rng(1).integers(-300, 500, (3, 1, 8, 4, 6)).astype(np.float16)
    with torch.no_grad():
        logits = network(torch.from_numpy(normalize(hu, WINDOW)))
    given = session.run([output], {"image": hu.astype(np.float16 if dtype == torch.float16 else np.float32)})[0]
    if output == "logits":
        assert given.dtype == np.float32
        np.testing.assert_allclose(given, logits.numpy(), atol=1e-5)
    elif output == "softmax":
        assert given.dtype == np.float16
        np.testing.assert_allclose(given, logits.softmax(1).numpy(), atol=1e-3)
    else:
        assert given.dtype == np.uint8
        assert len(np.unique(given)) > 1
        np.testing.assert_array_equal(given, logits.argmax(1).numpy())


def test_labels_count_as_wrong_by_how_far_their_logit_is_from_the_largest() -> None:
    deployed = DeployedNetwork(torch.nn.Identity(), None, "argmax")
    logits = torch.tensor([[1.0, 0.0, 4.0], [0.98, 3.0, -2.0]]).reshape(1, 2, 3, 1, 1)
    right, near, wrong = ([0, 1, 0], [1, 1, 0], [0, 1, 1])
    errors = [deployed.error(np.array(labels, np.uint8).reshape(1, 3, 1, 1), logits) for labels in (right, near, wrong)]
    assert errors == pytest.approx([0.0, 0.02 / 4, 6 / 4])


@pytest.mark.parametrize("output", ["softmax", "argmax"])
def test_a_graph_that_computes_something_else_is_refused(output: str) -> None:
    class Frozen(DeployedNetwork):
        """The trace sees neither of the sizes at which export compares."""

        def logits(self, image: torch.Tensor) -> torch.Tensor:
            return super().logits(image) * (1 if image.shape[2] > 6 else -1)

    with pytest.raises(ExportError, match="ONNX Runtime differs from PyTorch by"):
        export_onnx(Frozen(torch.nn.Conv3d(1, 3, 1), WINDOW, output), (6, 6, 8), 2)


def test_an_unknown_output_is_named(network: torch.nn.Module) -> None:
    with pytest.raises(InputError, match="output 'labels' must be one of logits, softmax, argmax"):
        DeployedNetwork(network, WINDOW, "labels")


def test_standardized_weights_are_computed_at_export() -> None:
    graph = onnx.load_from_string(export_onnx(StandardizedConv2d(64, 64, 3), (8, 8), 1, {"map": 64})).graph
    assert [node.op_type for node in graph.node] == ["Conv"]
