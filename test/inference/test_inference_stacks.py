# SPDX-License-Identifier: Apache-2.0
"""Networks of slices: each slice with its neighbors and its edges, in stacks and windows that leave no trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import BundleSpec, InputSpec, ModelBundle, Postprocessing
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.inference.network import to_scores
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.inference.stacks import score_stacks

WEIGHTS = np.array([1, -2, 3, 5, -7], np.float32)  # of a slice's two neighbors on either side and its own
HU_WINDOW = (-200.0, 300.0)

Array = NDArray[np.float32]


def pixelwise_network(edges: bool, sizes: tuple[str | int, str | int] = ("J", "I")) -> bytes:
    """Class 1 is a weighted sum of the five channels, class 2 nine times the edges, or nothing."""
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 5, *sizes])]
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["liver"]),
        helper.make_node("Mul", ["liver", "zero"], ["background"]),
    ]
    if edges:  # before the image: it is by their names that inputs are found
        inputs.insert(0, helper.make_tensor_value_info("edges", TensorProto.FLOAT, ["B", 1, *sizes]))
        nodes.append(helper.make_node("Mul", ["edges", "nine"], ["tumor"]))
    else:
        nodes.append(helper.make_node("Mul", ["liver", "zero"], ["tumor"]))
    nodes.append(helper.make_node("Concat", ["background", "liver", "tumor"], ["logits"], axis=1))
    constants = {"weights": WEIGHTS.reshape(1, 5, 1, 1), "zero": np.float32(0), "nine": np.float32(9)}
    graph = helper.make_graph(
        nodes,
        "pixelwise",
        inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 3, *sizes])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def spec(patch: tuple[int, int, int], values: str = "normalized", **changes: object) -> BundleSpec:
    fields: dict[str, object] = {"slices": True, "neighbors": 2, **changes}
    return BundleSpec(
        name="slices",
        version="0",
        stage="segment",
        input=InputSpec((2.0, 2.0, 2.0), HU_WINDOW, patch, 0.25, 4, **fields),  # type: ignore[arg-type]
        labels={0: "background", 1: "liver", 2: "tumor"},
        postprocessing=Postprocessing({}, 3.0),
        trained_on="nothing",
        scores={},
        license="Apache-2.0",
        intended_use="tests",
        values=values,
    )


def scores_of(bundle: ModelBundle, runtime: str, slices: Array, fractions: list[float] | None = None) -> Array:
    tell = None if fractions is None else fractions.append
    loaded = create_runtime(runtime, bundle)
    found = score_stacks(loaded, slices, slices.shape, bundle.spec, to_scores(bundle.spec), tell)
    return np.stack(list(found), axis=1)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_each_slice_is_seen_between_its_neighbors(runtime: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "m", pixelwise_network(edges=False), spec((16, 20, 3)))
    slices = np.random.default_rng(0).uniform(-1, 1, (7, 45, 38)).astype(np.float32)  # more than a window and a stack
    fractions: list[float] = []
    found = scores_of(bundle, runtime, slices, fractions)
    at = np.clip(np.arange(7)[:, None] + np.arange(-2, 3), 0, 6)  # the outermost are their own neighbors
    expected = np.einsum("c,kcji->kji", WEIGHTS, slices[at])
    np.testing.assert_allclose(found[1], expected, atol=1e-4)
    assert not found[0].any() and not found[2].any()
    assert len(fractions) % 3 == 0 and len(fractions) > 3  # three stacks of several windows
    np.testing.assert_allclose(fractions, np.arange(len(fractions)) / len(fractions))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("values", ["normalized", "hu"])
def test_edges_are_those_of_the_slice_in_its_window(runtime: str, values: str, tmp_path: Path) -> None:
    wanted = spec((32, 24, 2), values, inputs=("image", "edges"), fixed_window=True)
    bundle = write_bundle(tmp_path / "m", pixelwise_network(edges=True, sizes=(24, 32)), wanted)
    normalized = np.random.default_rng(0).uniform(-1, 1, (3, 6, 7)).repeat(3, 1).repeat(4, 2).astype(np.float32)
    slices = normalized * 250 + 50 if values == "hu" else normalized  # (3, 18, 28)
    found = scores_of(bundle, runtime, slices)
    for k, plane in enumerate(normalized):
        edges = canny_map(np.pad(plane, [(3, 3), (2, 2)], mode="edge"))[3:-3, 2:-2]
        assert 0.02 < edges.mean() < 0.9
        np.testing.assert_array_equal(found[2, k], 9 * edges)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_graph_of_one_size_says_what_its_description_must_have(runtime: str, tmp_path: Path) -> None:
    model = pixelwise_network(edges=True, sizes=(24, 32))
    both = spec((32, 32, 4), inputs=("image", "edges"))
    for wanted in (both, replace(both, input=replace(both.input, fixed_window=True))):
        with pytest.raises(InputError, match=r"give input.patch: \[32, 24, 4\] and input.fixed_window: true$"):
            create_runtime(runtime, write_bundle(tmp_path / "m", model, wanted))
    with pytest.raises(InputError, match=r"must take one float \(B, 5, J, I\) and give .*; it has edges float32"):
        create_runtime(runtime, write_bundle(tmp_path / "m", model, spec((32, 24, 4), fixed_window=True)))
    volumes = spec((32, 24, 4), slices=False, neighbors=0)
    with pytest.raises(InputError, match=r"must take one float \(B, 1, K, J, I\)"):
        create_runtime(runtime, write_bundle(tmp_path / "m", pixelwise_network(edges=False), volumes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slices": False}, "neighbors is 2; it must be 0 where input.slices is false"),
        ({"slices": False, "neighbors": 0, "inputs": ("image", "edges")}, "inputs is .*; it must be .image. where"),
    ],
)
def test_volumes_have_neither_neighbors_nor_edges(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec((32, 24, 4), **changes)
