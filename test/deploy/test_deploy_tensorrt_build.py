"""TensorRT's builder: an engine comes out, and what it cannot build is said in one line."""

from __future__ import annotations

import platform
import sys

import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")

from onnx import TensorProto, helper  # noqa: E402  after the skip

from liver_seg_ros.deploy.tensorrt_build import (  # noqa: E402
    LIBRARIES,
    EngineError,
    ShapeRange,
    build_engine,
    load_tensorrt,
)
from liver_seg_ros.errors import InputError  # noqa: E402

try:
    load_tensorrt()
except InputError as missing:
    if platform.machine() == "x86_64":  # the extra [deploy] brings it there: missing, it is a failure
        raise
    pytestmark = pytest.mark.skip(reason=str(missing))

RANGE = ShapeRange((1, 2, 4, 4), (1, 2, 8, 8), (2, 2, 16, 16))


def model(operator: str, inputs: int = 1) -> bytes:
    """`logits = operator(image, other)` of `(batch, 2, j, i)` float32."""
    names = ["image", "other"][:inputs]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["logits"], name="only")],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2, "j", "i"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()


def test_an_engine_is_built() -> None:
    engine = build_engine(model("Add", inputs=2), {"image": RANGE, "other": RANGE})
    assert isinstance(engine, bytes)
    assert len(engine) > 1000


def test_an_operator_that_tensorrt_lacks_is_named_in_one_line() -> None:
    with pytest.raises(EngineError, match=r"^TensorRT cannot parse the model: operator Det of node 'only': .*$"):
        build_engine(model("Det"), {"image": RANGE})


def test_what_is_no_model_is_said_in_one_line() -> None:
    with pytest.raises(EngineError, match=r"^TensorRT cannot parse the model: .*Failed to parse the ONNX model.*$"):
        build_engine(b"not a model", {"image": RANGE})


def test_shapes_that_the_model_cannot_take_are_said_in_one_line() -> None:
    other_channels = ShapeRange((1, 3, 4, 4), (1, 3, 8, 8), (2, 3, 16, 16))
    with pytest.raises(EngineError, match=r"^TensorRT cannot build the model: .*profile has min=3.*$"):
        build_engine(model("Relu"), {"image": other_channels})


def test_shapes_of_other_inputs_are_refused() -> None:
    with pytest.raises(InputError, match="shapes are given for img, but the model's inputs are image"):
        build_engine(model("Relu"), {"img": RANGE})


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in LIBRARIES:
        monkeypatch.setitem(sys.modules, library, None)  # what import finds where nothing is installed
    with pytest.raises(InputError, match=r"TensorRT is not installed; .*pip install 'liver_seg_ros\[deploy\]'"):
        load_tensorrt()
