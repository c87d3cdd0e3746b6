# SPDX-License-Identifier: Apache-2.0
"""Small but real ONNX networks, whose answers can be computed by hand, and CTs for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.inference.bundle import BundleSpec, InputSpec, ModelBundle, Postprocessing
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.volume import Volume

HU_WINDOW = (-200.0, 300.0)
BAND_HU = {"liver": (-20.0, 100.0), "tumor": (100.0, 180.0), "vessel": (180.0, 260.0)}


def band_network(
    bands_hu: list[tuple[float, float]],
    kernel: NDArray[np.float32] | None = None,
    gain: float = 20.0,
    output: str = "logits",
) -> bytes:
    """ONNX: class 0 has logit 0, class n the distance of the (filtered) value to the ends of its HU band, times `gain`.

    Inside a band its class wins, outside all of them the background does. `kernel` `(k, j, i)` filters the input first.
    The output is one of a bundle's `OUTPUTS`.
    """
    low, high = HU_WINDOW
    ends = (np.array(bands_hu, np.float32) - (low + high) / 2) * 2 / (high - low)
    centers = ends.mean(axis=1).reshape(-1, 1, 1, 1)
    half_widths = ((ends[:, 1] - ends[:, 0]) / 2).reshape(-1, 1, 1, 1)
    constants = {"centers": centers, "half_widths": half_widths, "gain": np.float32(gain), "zero": np.float32(0)}
    nodes = []
    if kernel is not None:
        constants["kernel"] = kernel[None, None]
        pads = [size // 2 for size in kernel.shape] * 2
        nodes.append(helper.make_node("Conv", ["image", "kernel"], ["filtered"], pads=pads))
    filtered = "filtered" if nodes else "image"
    nodes += [
        helper.make_node("Sub", [filtered, "centers"], ["offset"]),
        helper.make_node("Abs", ["offset"], ["distance"]),
        helper.make_node("Sub", ["half_widths", "distance"], ["inside"]),
        helper.make_node("Mul", ["inside", "gain"], ["structures"]),
        helper.make_node("Mul", [filtered, "zero"], ["background"]),
        helper.make_node("Concat", ["background", "structures"], ["logits"], axis=1),
    ]
    dtype, shape = TensorProto.FLOAT, ["B", len(bands_hu) + 1, "K", "J", "I"]
    if output == "softmax":
        dtype = TensorProto.FLOAT16
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
        nodes.append(helper.make_node("Cast", ["probabilities"], ["softmax"], to=dtype))
    if output == "argmax":
        dtype, shape = TensorProto.UINT8, ["B", "K", "J", "I"]
        nodes.append(helper.make_node("ArgMax", ["logits"], ["index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["index"], ["argmax"], to=dtype))
    sizes = ["K", "J", "I"]
    graph = helper.make_graph(
        nodes,
        "bands",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 1, *sizes])],
        [helper.make_tensor_value_info(output, dtype, shape)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def bundle_spec(stage: str, **changes: object) -> BundleSpec:
    """A valid description; `changes` replace its fields."""
    fields: dict[str, object] = {
        "name": f"test-{stage}",
        "version": "1.0.0",
        "stage": stage,
        "input": InputSpec((6.0, 6.0, 6.0), HU_WINDOW, (64, 64, 64), 0.5, 4),
        "labels": {0: "background", 1: "liver"},
        "postprocessing": Postprocessing({"liver": 20_000.0}, 12.0),
        "trained_on": "nothing: its weights are computed",
        "scores": {"dice": {"liver": 1.0}},
        "license": "Apache-2.0",
        "intended_use": "tests",
    }
    if stage == "segment":
        fields["input"] = InputSpec((2.0, 2.0, 2.0), HU_WINDOW, (32, 32, 32), 0.25, 4)
        fields["labels"] = {0: "background", 1: "liver", 2: "tumor", 3: "vessel"}
        fields["postprocessing"] = Postprocessing({"tumor": 30.0, "vessel": 30.0}, 6.0)
    return BundleSpec(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def asymmetric_kernel() -> NDArray[np.float32]:
    """A 3x3x3 filter without any symmetry: a network that sees a flipped volume gives another answer."""
    kernel = np.random.default_rng(3).random((3, 3, 3)).astype(np.float32)
    kernel[1, 1, 1] = 40
    return kernel / kernel.sum()


@pytest.fixture(scope="session")
def localizer(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """Stage "localize" at 6 mm: everything from liver to vessel HU is liver."""
    network = band_network([(BAND_HU["liver"][0], BAND_HU["vessel"][1])])
    return write_bundle(tmp_path_factory.mktemp("models") / "localizer", network, bundle_spec("localize"))


@pytest.fixture(scope="session")
def make_segmenter_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelBundle]:
    """Makes a bundle of stage "segment" with one HU band per structure: `(kernel=None, **changes of the spec)`."""

    def make(kernel: NDArray[np.float32] | None = None, **changes: object) -> ModelBundle:
        folder: Path = tmp_path_factory.mktemp("models") / "segmenter"
        return write_bundle(folder, band_network(list(BAND_HU.values()), kernel), bundle_spec("segment", **changes))

    return make


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelBundle]:
    """Makes a bundle of any stage: `(stage, bands, folder=None, gain=20, **changes of the spec)`.

    A band is a structure of `BAND_HU` or a range in HU.
    """

    def make(
        stage: str,
        bands: list[str | tuple[float, float]],
        folder: Path | None = None,
        gain: float = 20.0,
        **changes: object,
    ) -> ModelBundle:
        spec = bundle_spec(stage, **changes)
        ranges = [BAND_HU[band] if isinstance(band, str) else band for band in bands]
        folder = folder or tmp_path_factory.mktemp("models") / stage
        return write_bundle(folder, band_network(ranges, gain=gain, output=spec.output), spec)

    return make


@pytest.fixture(scope="session")
def liver_truth() -> tuple[Volume, NDArray[np.uint8]]:
    """A canonical CT of 60x52x40 voxels with one off-center liver and its labels `(K, J, I)`.

    The vessel lies in the tumor, the tumor in the liver, each brighter than what is around it, so that a voxel across
    an edge averages to one of the two classes and not to a third one.
    """
    geometry = Geometry((60, 52, 40), (2.0, 2.5, 3.0), (-70.0, -40.0, 900.0))
    k, j, i = np.ogrid[:40, :52, :60]
    i, j, k = i * 2.0, j * 2.5, k * 3.0  # mm from the first voxel
    labels = np.zeros(geometry.shape, np.uint8)
    labels[((i - 50) / 36) ** 2 + ((j - 60) / 42) ** 2 + ((k - 66) / 40) ** 2 <= 1] = 1
    labels[(i - 44) ** 2 + (j - 54) ** 2 + (k - 62) ** 2 <= 21**2] = 2
    labels[((j - 54) ** 2 + (k - 62) ** 2 <= 8**2) & (np.abs(i - 44) <= 14)] = 3
    hu = np.array([-100, 60, 140, 220])[labels] + np.random.default_rng(0).normal(0, 5, labels.shape)
    return Volume(np.round(hu).astype(np.int16), geometry, "test-ct"), labels
