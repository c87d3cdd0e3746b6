# SPDX-License-Identifier: Apache-2.0
"""Export of any network: several inputs, 2D and 3D, free and fixed sizes, and nothing of this machine in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

import onnxruntime  # noqa: E402  after the skips
from torch import Tensor, nn  # noqa: E402

from liver_seg_ros.deploy.onnx_export import ExportError, export_onnx  # noqa: E402


class TwoInputs(nn.Module):
    """A convolution over an image of two channels and one of one, told apart by their weights."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(3, 4, kernel_size=3, padding=1)

    def forward(self, image: Tensor, edges: Tensor) -> Tensor:
        return self.mix(torch.cat([image, edges], dim=1))


class Frozen(nn.Module):
    """Computes something else on small images: a trace has but one of the two."""

    def forward(self, image: Tensor) -> Tensor:
        return image if image.shape[2] > 5 else 2 * image


def shapes(model: bytes) -> dict[str, list[int | str]]:
    graph = onnx.load_from_string(model).graph
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


@pytest.mark.parametrize(("size", "free"), [((4, 6), ["2*j", "2*i"]), ((4, 6, 8), ["2*k", "2*j", "2*i"])])
def test_inputs_keep_their_names_and_channels(size: tuple[int, ...], free: list[str]) -> None:
    network = TwoInputs(len(size))
    model = export_onnx(network, size, 2, {"image": 2, "edges": 1})
    assert shapes(model) == {
        "image": ["batch", 2, *free],
        "edges": ["batch", 1, *free],
        "logits": ["batch", 4, *free],
    }
    rng = np.random.default_rng(3)
    image, edges = (rng.normal(size=(5, c, *(n + 10 for n in size))).astype(np.float32) for c in (2, 1))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(torch.from_numpy(image), torch.from_numpy(edges)).numpy()
    found = session.run(None, {"edges": edges, "image": image})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_fixed_size_stays_fixed_and_the_batch_free() -> None:
    model = export_onnx(TwoInputs(2), (4, 6), None, {"image": 2, "edges": 1})
    assert shapes(model)["image"] == ["batch", 2, 4, 6]
    assert shapes(model)["logits"] == ["batch", 4, 4, 6]


def test_what_the_trace_froze_is_found() -> None:
    with pytest.raises(ExportError, match=r"differs from PyTorch by .* at a batch of 1 and size \(4, 6\)"):
        export_onnx(Frozen(), (4, 6), 2)


def test_nothing_of_the_exporting_machine_is_in_the_file() -> None:
    model = export_onnx(TwoInputs(2), (4, 6), 2, {"image": 2, "edges": 1})
    assert b".py" not in model
    assert str(Path(__file__).parents[2]).encode() not in model
