"""Bundles: what is written can be read, and whatever is wrong is named with its file, its field and what is valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import BundleSpec, InputSpec, ModelBundle, Postprocessing, load_bundle
from liver_seg_ros.inference.bundle_writing import add_variant, write_bundle
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.inference.runtimes.registry import create_runtime

SPEC = BundleSpec(
    name="test",
    version="1.0.0",
    stage="segment",
    input=InputSpec((1.5, 1.5, 2.0), (-150.0, 250.0), (96, 96, 64), 0.25, 8),
    labels={0: "background", 1: "liver", 2: "tumor", 3: "vessel"},
    postprocessing=Postprocessing({"tumor": 50.0}, 5.0),
    trained_on="nothing",
    scores={"dice": {"liver": 0.9}},
    license="Apache-2.0",
    intended_use="tests",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundle = write_bundle(tmp_path / "model", b"weights", SPEC)
    add_variant(bundle, "half", b"half", "fp16", ("tensorrt",), {"liver": 0.9}, {"liver": 0.001}, "nothing")
    return tmp_path / "model"


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "model.yaml"
    fields = yaml.safe_load(path.read_text())
    change(fields)
    path.write_text(yaml.safe_dump(fields))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_can_be_read(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert replace(bundle.spec, variants={}) == SPEC
    assert bundle.weights.read_bytes() == b"weights"
    card = (folder / "MODEL_CARD.md").read_text()
    assert "# test 1.0.0" in card and "liver: 0.9" in card and bundle.sha256 in card


def test_writing_replaces_the_whole_folder_and_leaves_nothing_beside(folder: Path) -> None:
    (folder / "stale.txt").write_text("from an older version")
    (folder.parent / "new.onnx").write_bytes(b"other weights")
    write_bundle(folder, folder.parent / "new.onnx", SPEC)
    assert names_in(folder) == ["MODEL_CARD.md", "model.onnx", "model.yaml"]
    assert (folder / "model.onnx").read_bytes() == b"other weights"
    assert names_in(folder.parent) == ["model", "new.onnx"]


def test_an_invalid_spec_leaves_the_old_bundle_as_it_was(folder: Path) -> None:
    invalid = BundleSpec(**{**SPEC.__dict__, "labels": {0: "background", 1: "bladder"}})
    with pytest.raises(InputError, match="'labels'"):
        write_bundle(folder, b"other", invalid)
    assert load_bundle(folder).weights.read_bytes() == b"weights"
    assert names_in(folder.parent) == ["model"]


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ("name", "", "text that is not empty"),
        ("version", 1.0, "quote a number"),
        ("stage", "detect", "one of localize, segment"),
        ("weights", None, "text"),
        ("weights", "../model.onnx", "a file name"),
        ("labels", {0: "background", 2: "tumor"}, "without a gap"),
        ("labels", {0: "background", 1: "tumour"}, "1: 'liver'"),
        ("labels", {0: "background"}, "without a gap"),
        ("precision", "fp8", "one of fp32"),
        ("variants.half.weights", "", "text"),
        ("variants.half.precision", "fp8", "one of fp32, fp16, int8"),
        ("variants.half.runtimes", [], "a list of names"),
        ("variants.half.megabytes", "4 MB", "a number from 0"),
        ("variants.half.scores", {"liver": 97.8}, "numbers from 0 to 1 per structure"),
        ("variants.half.dice_loss", {"liver": "none"}, "numbers from -1 to 1 per structure"),
        ("scores", 0.9, "a mapping"),
        ("input", [1, 2], "a mapping"),
        ("input.spacing_mm", [1.5, 1.5], "three positive lengths in mm"),
        ("input.spacing_mm", [1.5, 1.5, float("nan")], "three positive lengths in mm"),
        ("input.hu_window", [250, -150], "low < high"),
        ("input.patch", [96, 96, 60], "multiple of input.divisor = 8"),
        ("input.overlap", 0.95, "from 0 to 0.9"),
        ("input.divisor", 0, "from 1 to 128"),
        ("input.divisor", True, "from 1 to 128"),
        ("postprocessing.min_volume_mm3", {"bladder": 3.0}, "liver, tumor, vessel"),
        ("postprocessing.margin_mm", -1, "from 0 to 500"),
    ],
)
def test_a_bad_or_missing_field_is_named_with_what_is_valid(folder: Path, field: str, value: Any, valid: str) -> None:
    *sections, last = field.split(".")

    def put(fields: dict[str, Any]) -> None:
        for section in sections:
            fields = fields[section]
        fields[last] = value

    def remove(fields: dict[str, Any]) -> None:
        for section in sections:
            fields = fields[section]
        del fields[last]

    for change, what in ((put, "is "), (remove, "is missing")):
        edit(folder, change)
        with pytest.raises(InputError) as raised:
            load_bundle(folder)
        message = str(raised.value)
        assert message.startswith(f"{folder / 'model.yaml'}: field '{field}' {what}"), message
        assert "\n" not in message
        if change is put:
            assert valid in message


@pytest.mark.parametrize(("field", "value"), [("values", "HU"), ("output", "labels"), ("variants", ["fp16"])])
def test_fields_of_newer_bundles_may_be_missing_but_not_wrong(folder: Path, field: str, value: Any) -> None:
    edit(folder, lambda fields: fields.pop(field))
    spec = load_bundle(folder).spec
    assert getattr(spec, field) == getattr(SPEC, field)
    edit(folder, lambda fields: fields.update({field: value}))
    with pytest.raises(InputError, match=f"model.yaml: field '{field}' is .*; it must be "):
        load_bundle(folder)


def test_variants_are_described_and_checked_when_they_are_asked_for(folder: Path) -> None:
    bundle = add_variant(load_bundle(folder), "int8_qdq", b"int8", "int8", ("tensorrt", "onnxruntime"))
    assert list(bundle.spec.variants) == ["half", "int8_qdq"]
    assert bundle.weights_of(None) == bundle.weights
    assert bundle.weights_of("half").read_bytes() == b"half"
    assert bundle.weights_of("int8_qdq").read_bytes() == b"int8"
    assert bundle.variant("half").dice_loss == {"liver": 0.001}
    card = (folder / "MODEL_CARD.md").read_text()
    assert "- half: model_half.onnx" in card and "liver 0.900 (+0.0010)" in card
    (folder / "model_half.onnx").write_bytes(b"hal")
    (folder / "model_int8_qdq.onnx").unlink()
    bundle = load_bundle(folder)  # the plain weights are as they were
    with pytest.raises(InputError, match=r"model_half\.onnx is damaged .* sha256"):
        bundle.weights_of("half")
    with pytest.raises(InputError, match=r"model_int8_qdq\.onnx is missing"):
        bundle.weights_of("int8_qdq")
    with pytest.raises(InputError, match=r"has no variant 'fp8'; there are: half, int8_qdq"):
        bundle.weights_of("fp8")
    with pytest.raises(InputError, match=r"small letters, digits and underscores, not '\.\./up'"):
        add_variant(bundle, "../up", b"", "int8", ("tensorrt",))


def test_new_weights_have_none_of_the_old_variants(folder: Path) -> None:
    old = load_bundle(folder)
    assert not write_bundle(folder, b"new", old.spec).spec.variants
    assert names_in(folder) == ["MODEL_CARD.md", "model.onnx", "model.yaml"]


def test_damaged_missing_or_unreadable_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.onnx").write_bytes(b"weigh")
    with pytest.raises(InputError, match=r"model\.onnx is damaged .* sha256"):
        load_bundle(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx is missing"):
        load_bundle(folder)
    for text in ("a: [1", "- 1", "\x00"):
        (folder / "model.yaml").write_text(text)
        with pytest.raises(InputError, match=r"model\.yaml"):
            load_bundle(folder)
    with pytest.raises(InputError, match="cannot read the model description"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot read the ONNX model"):
        write_bundle(folder, tmp_path / "nowhere.onnx", SPEC)


def test_a_truncated_model_with_a_matching_checksum_is_refused_by_the_runtime(
    tmp_path: Path, make_segmenter_bundle: Callable[..., ModelBundle]
) -> None:
    whole = make_segmenter_bundle().weights.read_bytes()
    bundle = write_bundle(tmp_path / "model", whole[: len(whole) // 2], SPEC)
    with pytest.raises(InputError, match=r"model\.onnx is not a model that ONNX Runtime can run"):
        create_runtime("onnxruntime", bundle)


@pytest.mark.parametrize(("channels", "size"), [(3, "K"), (4, 32)], ids=["a class missing", "fixed size"])
def test_a_model_that_breaks_the_contract_is_refused(tmp_path: Path, channels: int, size: str | int) -> None:
    shape = ["B", 1, size, "J", "I"]
    graph = helper.make_graph(
        [helper.make_node("Concat", ["x"] * channels, ["y"], axis=1)],
        "repeat",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", channels, size, "J", "I"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    bundle = write_bundle(tmp_path / "model", model.SerializeToString(), SPEC)
    with pytest.raises(InputError, match=r"must take one float \(B, 1, K, J, I\) and give one float \(B, 4, K, J, I\)"):
        create_runtime("onnxruntime", bundle)


def converting_model(output: str) -> bytes:
    """Two classes from HU in half precision: the value itself and its negative, as `output` says."""
    half, sizes = TensorProto.FLOAT16, ["K", "J", "I"]
    nodes = [
        helper.make_node("Neg", ["hu"], ["negative"]),
        helper.make_node("Concat", ["hu", "negative"], ["logits"], axis=1),
    ]
    result = helper.make_tensor_value_info(output, half, ["B", 2, *sizes])
    if output == "softmax":
        nodes.append(helper.make_node("Softmax", ["logits"], ["softmax"], axis=1))
    if output == "argmax":
        nodes.append(helper.make_node("ArgMax", ["logits"], ["index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["index"], ["argmax"], to=TensorProto.UINT8))
        result = helper.make_tensor_value_info(output, TensorProto.UINT8, ["B", *sizes])
    taken = helper.make_tensor_value_info("hu", half, ["B", 1, *sizes])
    graph = helper.make_graph(nodes, "two", [taken], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.mark.parametrize("output", ["logits", "softmax", "argmax"])
def test_the_runtime_takes_and_gives_what_the_bundle_says(tmp_path: Path, output: str) -> None:
    spec = replace(SPEC, labels={0: "background", 1: "liver"}, values="hu", output=output)
    bundle = write_bundle(tmp_path / "model", converting_model(output), spec)
    runtime = create_runtime("onnxruntime", bundle)
    hu = np.array([-40, 60], np.float32).reshape(1, 1, 2, 1, 1)
    answer = runtime.run(hu)
    expected = {
        "logits": np.array([[-40, 60], [40, -60]], np.float16),
        "softmax": np.array([[0, 1], [1, 0]], np.float16),
        "argmax": np.array([1, 0], np.uint8),
    }[output]
    assert answer.dtype == expected.dtype
    np.testing.assert_array_equal(answer, expected.reshape(answer.shape))
    assert answer.shape[0] == 1
    other = {"logits": "argmax", "softmax": "argmax", "argmax": "logits"}[output]
    bundle = write_bundle(tmp_path / "model", converting_model(other), spec)
    with pytest.raises(InputError, match=r"model\.onnx must take one float .*; it has "):
        create_runtime("onnxruntime", bundle)


def test_runtimes_by_name(make_segmenter_bundle: Callable[..., ModelBundle]) -> None:
    bundle = make_segmenter_bundle()
    with pytest.raises(InputError, match="unknown runtime 'cuda'; valid are: auto, onnxruntime"):
        create_runtime("cuda", bundle)
    runtime = create_runtime("auto", bundle)
    assert runtime.name == "onnxruntime" and "CPU" in runtime.device
    runtime.close()
    with pytest.raises(RuntimeError, match="closed"):
        runtime.run(np.zeros((1, 1, 4, 4, 4), np.float32))


def test_normalize_maps_the_window_to_minus_one_and_one() -> None:
    hu = np.array([-2000, -150, 50, 250, 3000], np.int16)
    np.testing.assert_allclose(normalize(hu, (-150.0, 250.0)), [-1, -1, 0, 1, 1])
    assert normalize(hu, (-150.0, 250.0)).dtype == np.float32
