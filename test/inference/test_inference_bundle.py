# SPDX-License-Identifier: Apache-2.0
"""Bundles: what is written can be read, and whatever is wrong is named with its file, its field and what is valid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from liver_seg_ros.deploy import quantize
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import (
    CLEANING_STEPS,
    BundleSpec,
    InputSpec,
    Postprocessing,
    StageBefore,
    load_bundle,
)
from liver_seg_ros.inference.bundle_writing import WEIGHTS_BEFORE, add_variant, describe_anew, write_bundle
from liver_seg_ros.inference.preprocessing import normalize

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


BUNDLE = [".liver-seg.json", "MODEL_CARD.md", "model.onnx", "model.yaml"]


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


def test_writing_replaces_the_old_bundle_and_nothing_else(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder.parent / "new.onnx").write_bytes(b"other weights")
    write_bundle(folder, folder.parent / "new.onnx", SPEC)
    assert names_in(folder) == [*BUNDLE, "notes.txt"]
    assert (folder / "model.onnx").read_bytes() == b"other weights"
    assert names_in(folder.parent) == ["model", "new.onnx"]


def test_what_nobody_knows_to_be_a_bundle_of_ours_is_replaced_only_on_request(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.onnx").write_bytes(b"someone's network")
    with pytest.raises(InputError, match=r"model\.onnx' was not written by 'export'; .* --bundle, .* --overwrite"):
        write_bundle(other, b"weights", SPEC)
    assert (other / "model.onnx").read_bytes() == b"someone's network"
    assert write_bundle(other, b"weights", SPEC, overwrite=True).weights.read_bytes() == b"weights"
    (folder / "model_int8_qdq.onnx").write_bytes(b"someone's network")
    with pytest.raises(InputError, match=r"model_int8_qdq\.onnx is no variant of this bundle"):
        add_variant(load_bundle(folder), "int8_qdq", b"", "int8", ("tensorrt",))
    with pytest.raises(InputError, match=r"model_int8_qdq\.onnx is no variant of this bundle"):  # before the work
        quantize.main(["--bundle", str(folder), "--variant", "int8_qdq"])


def test_a_bundle_that_came_without_a_record_is_replaced_with_its_variants(folder: Path) -> None:
    """As those of a fresh clone: nothing says who wrote them but `model.yaml`."""
    (folder / ".liver-seg.json").unlink()
    (folder / "model_mine.onnx").write_bytes(b"of nobody's bundle")
    write_bundle(folder, b"other weights", SPEC, overwrite=True)
    assert names_in(folder) == sorted([*BUNDLE, "model_mine.onnx"])


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
        ("labels", {0: "background", 1: "tumour"}, "each of background, liver, tumor, vessel"),
        ("labels", {0: "background", 1: "vessel", 2: "vessel"}, "at most once"),
        ("labels", {0: "liver", 1: "background"}, "{0: background"),
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


def test_classes_may_be_any_structures(folder: Path) -> None:
    edit(folder, lambda fields: fields.update(labels={0: "background", 1: "liver", 2: "vessel"}))
    assert load_bundle(folder).spec.label_values == (0, 1, 3)


def test_steps_of_postprocessing_may_be_left_out(folder: Path) -> None:
    def take(steps: Any) -> None:
        edit(folder, lambda fields: fields["postprocessing"].update(steps=steps))

    take(["min_volume", "fill_holes"])
    assert load_bundle(folder).spec.postprocessing.steps == ("min_volume", "fill_holes")
    take([])
    assert load_bundle(folder).spec.postprocessing.steps == ()
    edit(folder, lambda fields: fields["postprocessing"].pop("steps"))  # a bundle from before this field
    assert load_bundle(folder).spec.postprocessing.steps == CLEANING_STEPS
    take(["smooth"])
    with pytest.raises(InputError, match=r"field 'postprocessing\.steps' is .*; it must be a list of tumor_contact, "):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("field", "value"), [("values", "HU"), ("output", "labels"), ("training_data", "phantoms"), ("variants", ["fp16"])]
)
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
    assert names_in(folder) == BUNDLE


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


def test_normalize_maps_the_window_to_minus_one_and_one() -> None:
    hu = np.array([-2000, -150, 50, 250, 3000], np.int16)
    np.testing.assert_allclose(normalize(hu, (-150.0, 250.0)), [-1, -1, 0, 1, 1])
    assert normalize(hu, (-150.0, 250.0)).dtype == np.float32


def test_a_cascade_holds_its_first_network_and_keeps_it(folder: Path) -> None:
    first = b"the first network"
    stage = StageBefore(WEIGHTS_BEFORE, hashlib.sha256(first).hexdigest(), SPEC.input)
    spec = replace(SPEC, input=replace(SPEC.input, inputs=("image", "previous")), before={"coarse": stage})
    bundle = write_bundle(folder, b"the second network", spec, before=first)
    for changed in (add_variant(bundle, "fp16", b"half", "fp16", ("tensorrt",)), describe_anew(bundle, name="other")):
        before = changed.before
        assert before is not None and before.weights.read_bytes() == first
        assert (before.spec.input, before.spec.before, before.spec.class_names) == (SPEC.input, {}, SPEC.class_names)
    (folder / WEIGHTS_BEFORE).write_bytes(b"another")
    with pytest.raises(InputError, match=rf"{WEIGHTS_BEFORE} is damaged"):
        load_bundle(folder)
    with pytest.raises(InputError, match=r"^before is"):
        replace(SPEC, before={"coarse": stage})


def test_several_classes_may_be_one_structure() -> None:
    spec = replace(SPEC, classes=("background", "liver", "tumor", "background", "liver", "vessel"))
    assert spec.label_values == (0, 1, 2, 0, 1, 3)
    with pytest.raises(InputError, match=r"^classes is"):
        replace(SPEC, classes=("background", "liver"))
