# SPDX-License-Identifier: Apache-2.0
"""TensorRT's builder: an engine comes out, and what it cannot build is said in one line."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")

from onnx import TensorProto, helper  # noqa: E402  after the skip

from liver_seg_ros.errors import CancelledError, InputError  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.build_progress import Phases  # noqa: E402
from liver_seg_ros.inference.runtimes.tensorrt.library import LIBRARIES, EngineError, load_tensorrt  # noqa: E402

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
    with pytest.raises(InputError, match=r"TensorRT is not installed; .*pip install 'liver_seg_ros\[tensorrt\]'"):
        load_tensorrt()


class OldTensorRt:
    """What is looked at of it."""

    __name__ = "tensorrt"
    __version__ = "8.6.2.3"


def test_a_library_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", OldTensorRt())
    with pytest.raises(InputError, match=r"TensorRT 8\.6\.2\.3 is too old, 10\.3 is needed"):
        load_tensorrt()


def test_the_only_input_needs_no_name_and_progress_rises_to_one() -> None:
    said: list[tuple[str, float]] = []
    build_engine(model("Relu"), RANGE, stage="test", progress=lambda stage, done: said.append((stage, done)))
    fractions = [fraction for _, fraction in said]
    assert {stage for stage, _ in said} == {"test"}
    assert fractions == sorted(fractions) and fractions[0] < 0.5 and fractions[-1] == 1.0
    assert len(set(fractions)) > 10


def test_building_can_be_cancelled() -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with pytest.raises(CancelledError, match="cancelled during test"):
        build_engine(model("Relu"), RANGE, stage="test", cancelled=cancelled)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("in progress")], ids=["Ctrl-C", "a bug"])
def test_what_is_raised_while_the_builder_calls_back_gets_out(error: BaseException) -> None:
    def progress(stage: str, fraction: float) -> None:
        raise error

    with pytest.raises(type(error)):
        build_engine(model("Relu"), RANGE, progress=progress)


def test_nested_phases_make_one_fraction_that_never_falls() -> None:
    phases = Phases()
    phases.start("all", None, 4)
    phases.step("all", 0)
    assert phases.fraction == 1 / 4
    phases.start("inner", "all", 2)
    phases.start("innermost", "inner", 2)
    phases.step("innermost", 0)
    assert phases.fraction == (1 + 1 / 4) / 4
    phases.finish("innermost")
    phases.start("innermost", "inner", 10)  # the same name again, as TensorRT does
    phases.step("innermost", 0)
    assert phases.fraction == (1 + 1 / 2) / 4
    phases.step("inner", 0)
    phases.finish("inner")
    phases.step("all", 1)
    assert phases.fraction == 2 / 4
    phases.step("unknown", 7)
    phases.finish("all")
    assert phases.fraction == 1.0


def test_a_program_of_that_name_is_not_taken_for_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as benchmarks/tensorrt.py, which lies beside every benchmark that runs."""
    expected = load_tensorrt().__version__
    (tmp_path / "tensorrt.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("tensorrt", None)
    assert load_tensorrt().__version__ == expected
    sys.modules.pop("tensorrt", None)
