# SPDX-License-Identifier: Apache-2.0
"""Which runtime and which weights are chosen, and what is said of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle
from liver_seg_ros.inference.bundle_writing import add_variant, write_bundle
from liver_seg_ros.inference.runtimes import choice, cpu, onnxruntime, openvino, tensorrt
from liver_seg_ros.inference.runtimes.choice import choose, create_runtime

MakeBundle = Callable[..., ModelBundle]


@pytest.fixture
def bundle(make_segmenter_bundle: MakeBundle) -> ModelBundle:
    """With every variant; their weights are those of the plain model."""
    plain = make_segmenter_bundle()
    weights = plain.weights.read_bytes()
    half = add_variant(plain, "fp16", weights, "fp16", ("tensorrt",))
    qdq = add_variant(half, "int8_qdq", weights, "int8", ("tensorrt", "onnxruntime"))
    return add_variant(qdq, "int8_openvino", weights, "int8", ("openvino",))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this machine one on which the modules given work, with or without int8 in hardware."""

    def make(*working: object, int8: str | None = "avx512_vnni") -> None:
        for module in (tensorrt, openvino, onnxruntime):
            reason = None if module in working else f"no {module.__name__.rpartition('.')[2]} on this machine"
            monkeypatch.setattr(module, "unavailable", lambda reason=reason: reason)
        monkeypatch.setattr(choice, "int8_instructions", lambda: int8)

    return make


def test_the_gpu_comes_first_then_openvino_then_onnx_runtime(bundle: ModelBundle, machine: Callable[..., None]) -> None:
    machine(tensorrt, openvino, onnxruntime)
    choice = choose("auto", bundle)
    assert (choice.runtime, choice.variant, choice.precision) == ("tensorrt", "fp16", "fp16")
    assert choice.why == "the first in order of speed that works here; fp16, as the model has it"
    assert choice.others == dict.fromkeys(("openvino", "onnxruntime"), "works here too, and comes after tensorrt")
    machine(openvino, onnxruntime)
    choice = choose("auto", bundle)
    assert (choice.runtime, choice.variant, choice.precision) == ("openvino", "int8_openvino", "int8")
    assert choice.others["tensorrt"] == "no tensorrt on this machine"
    machine(onnxruntime)
    assert (choose("auto", bundle).runtime, choose("auto", bundle).variant) == ("onnxruntime", None)
    machine()
    with pytest.raises(
        InputError, match=r"no runtime can run the model in .*: tensorrt: no tensorrt on .*; openvino: "
    ):
        choose("auto", bundle)


def test_int8_is_taken_where_model_and_processor_have_it(
    bundle: ModelBundle, make_segmenter_bundle: MakeBundle, machine: Callable[..., None]
) -> None:
    machine(openvino, int8=None)
    assert choose("auto", bundle).precision == "fp32"
    assert "the processor has none of avx512_vnni" in choose("auto", bundle).why
    machine(openvino)
    assert choose("auto", make_segmenter_bundle()).why.endswith("fp32, as the model has no int8 weights for it")


def test_a_precision_asked_for_is_kept_to(
    bundle: ModelBundle, make_segmenter_bundle: MakeBundle, machine: Callable[..., None]
) -> None:
    machine(tensorrt, openvino, onnxruntime)
    assert choose("tensorrt", bundle, "int8").variant == "int8_qdq"
    assert choose("auto", bundle, "fp32").variant is None
    assert choose("onnxruntime", bundle, "int8").variant == "int8_qdq"
    machine(openvino, onnxruntime)
    with pytest.raises(
        InputError, match=r"no runtime can .*openvino: the model in .* no fp16 weights for it, but fp32"
    ):
        choose("auto", bundle, "fp16")
    with pytest.raises(InputError, match=r"runtime 'openvino' cannot be used: the model in .* has no int8 weights"):
        choose("openvino", make_segmenter_bundle(), "int8")


@pytest.mark.parametrize(
    ("name", "precision", "says"),
    [
        ("cuda", "auto", r"unknown runtime 'cuda'; valid are: auto, tensorrt, openvino, onnxruntime"),
        ("auto", "int4", r"unknown precision 'int4'; valid are: auto, fp32, fp16, int8"),
        ("tensorrt", "auto", r"runtime 'tensorrt' cannot be used: no tensorrt on this machine"),
    ],
)
def test_what_is_not_there_is_said(
    name: str, precision: str, says: str, bundle: ModelBundle, machine: Callable[..., None]
) -> None:
    machine(openvino, onnxruntime)
    for ask in (choose, create_runtime):
        with pytest.raises(InputError, match=says):
            ask(name, bundle, precision)


def test_a_runtime_that_refuses_the_weights_is_passed_over_with_one_warning(
    tmp_path: Path, make_segmenter_bundle: MakeBundle, machine: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime knows the operator Det, OpenVINO does not."""
    sizes = ["K", "J", "I"]
    nodes = [
        helper.make_node("Concat", ["x"] * 4, ["four"], axis=1),
        helper.make_node("Slice", ["four", "start", "stop", "axes"], ["corner"]),
        helper.make_node("Det", ["corner"], ["determinant"]),
        helper.make_node("Unsqueeze", ["determinant", "axes"], ["scalar"]),
        helper.make_node("Add", ["four", "scalar"], ["y"]),
    ]
    constants = [
        helper.make_tensor("start", TensorProto.INT64, [2], [0, 0]),
        helper.make_tensor("stop", TensorProto.INT64, [2], [2, 2]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [3, 4]),
    ]
    graph = helper.make_graph(
        nodes,
        "determinants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 1, *sizes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 4, *sizes])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    odd = write_bundle(tmp_path / "model", model.SerializeToString(), make_segmenter_bundle().spec)
    machine(openvino, onnxruntime)
    with caplog.at_level(logging.WARNING):
        runtime = create_runtime("auto", odd)
    assert runtime.name == "onnxruntime"
    assert runtime.run(np.ones((1, 1, 2, 2, 2), np.float32)).max() == 1
    [record] = caplog.records
    assert "openvino cannot be used: " in record.message and "taken instead: onnxruntime" in record.message
    assert "\n" not in record.message
    with pytest.raises(InputError, match="OpenVINO can run"):
        create_runtime("openvino", odd)  # asked for: nothing else is taken


def test_instructions_are_read_from_the_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert cpu.int8_instructions(cpuinfo) is None
    cpuinfo.write_text("model name : x\nflags\t\t: fpu avx2 fma\n", encoding="utf-8")
    assert cpu.int8_instructions(cpuinfo) is None
    cpuinfo.write_text("flags\t\t: fpu avx2 avx_vnni\n", encoding="utf-8")
    assert cpu.int8_instructions(cpuinfo) == "avx_vnni"
    cpuinfo.write_text("Features : fp asimd i8mm\n", encoding="utf-8")  # a Jetson's processor
    assert cpu.int8_instructions(cpuinfo) is None
