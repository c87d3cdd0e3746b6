# SPDX-License-Identifier: Apache-2.0
"""Engines: every shipped model builds, and one that is kept is used exactly where it fits."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from liver_seg_ros.errors import CancelledError, InputError
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import add_variant, write_bundle
from liver_seg_ros.inference.model_folders import find_models_dir
from liver_seg_ros.inference.runtimes.base import LoadOptions
from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange
from liver_seg_ros.inference.runtimes.tensorrt.engine import (
    ANY_RTX,
    EngineKey,
    engine_key,
    prepare_engine,
    profile_of,
    read_engine,
)
from liver_seg_ros.inference.runtimes.tensorrt.gpu import Gpu
from liver_seg_ros.inference.runtimes.tensorrt.library import is_rtx, load_tensorrt, version_of

try:
    trt = load_tensorrt()
except InputError as missing:
    if platform.machine() == "x86_64":  # the extra [deploy] brings it there: missing, it is a failure
        raise
    pytest.skip(str(missing), allow_module_level=True)
if not is_rtx(trt):
    pytest.skip("this TensorRT needs a GPU to build; TensorRT-RTX does not", allow_module_level=True)

MakeBundle = Callable[..., ModelBundle]

ORIN = Gpu("Orin", "8.7", shares_memory=True)
SHIPPED = [
    pytest.param(path.parent, variant, id=f"{path.parent.name}-{variant or 'plain'}")
    for path in sorted(find_models_dir().glob("*/model.yaml"))
    for variant in (
        None,
        *(n for n, v in load_bundle(path.parent).spec.variants.items() if "tensorrt" in v.runtimes),
    )
]


@pytest.mark.parametrize(("folder", "variant"), SHIPPED)
def test_every_shipped_model_builds(folder: Path, variant: str | None, tmp_path: Path) -> None:
    bundle = load_bundle(folder)
    engine = prepare_engine(trt, bundle, variant, ORIN, LoadOptions(tmp_path, largest_batch=2))
    assert engine.built
    assert len(engine.data) > bundle.weights_of(variant).stat().st_size / 4


@pytest.fixture
def bundle(make_segmenter_bundle: MakeBundle) -> ModelBundle:
    return make_segmenter_bundle()


def test_an_engine_is_built_once(bundle: ModelBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = LoadOptions(tmp_path)
    first, second = (prepare_engine(trt, bundle, None, ORIN, options) for _ in range(2))
    assert first.built and not second.built
    assert first.data == second.data and first.path == second.path
    assert first.path.name == f"test-segment-fp32-{bundle.sha256[:12]}-any-rtx-gpu.engine"
    assert [path.name for path in (tmp_path / "engines").iterdir()] == [first.path.name]  # nothing half-written
    assert caplog.records == []


def test_variants_and_models_are_kept_side_by_side(bundle: ModelBundle, tmp_path: Path) -> None:
    other = add_variant(bundle, "half", bundle.weights.read_bytes(), "fp16", ("tensorrt",))
    paths = {prepare_engine(trt, other, variant, ORIN, LoadOptions(tmp_path)).path for variant in (None, "half")}
    assert len(paths) == 2


def test_the_key_says_all_that_an_engine_depends_on(bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    key = engine_key(trt, bundle, None, ORIN, 2)
    assert key == EngineKey(
        bundle.sha256,
        version_of(trt),
        ANY_RTX.name,
        ANY_RTX.compute_capability,
        "fp32",
        "1x1x4x4x4 1x1x32x32x32 2x1x32x32x32",
    )

    class FullTensorRt:
        __name__ = "tensorrt"
        __version__ = "10.3.0"

    on_device = engine_key(FullTensorRt(), bundle, None, ORIN, 2)
    assert (on_device.tensorrt, on_device.gpu, on_device.compute_capability) == ("TensorRT 10.3.0", "Orin", "8.7")


def test_the_profile_is_the_bundles_window(bundle: ModelBundle) -> None:
    spec = replace(bundle.spec, input=replace(bundle.spec.input, patch=(24, 16, 8), divisor=8))
    assert profile_of(spec, 3) == ShapeRange((1, 1, 8, 8, 8), (1, 1, 8, 16, 24), (3, 1, 8, 16, 24))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("weights", "0" * 64, f"was built for weights {'0' * 64}, not "),
        ("tensorrt", "TensorRT 10.3.0", "was built for tensorrt TensorRT 10.3.0, not TensorRT-RTX "),
        ("gpu", "NVIDIA GeForce RTX 4090", "was built for gpu NVIDIA GeForce RTX 4090, not any RTX GPU"),
        ("compute_capability", "8.9", "was built for compute capability 8.9, not 8.0 and later"),
        ("precision", "int8", "was built for precision int8, not fp32"),
        ("profile", "1x1x4x4x4", "was built for profile 1x1x4x4x4, not 1x1x4x4x4 1x1x32x32x32 1x1x32x32x32"),
    ],
)
def test_an_engine_for_something_else_is_built_anew_and_the_reason_said(
    field: str, value: str, says: str, bundle: ModelBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = LoadOptions(tmp_path)
    path = prepare_engine(trt, bundle, None, ORIN, options).path
    header, _, data = path.read_bytes().partition(b"\n")
    described = json.loads(header)
    described["key"][field] = value
    path.write_bytes(json.dumps(described).encode() + b"\n" + data)
    assert_built_anew(bundle, options, says, caplog)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda whole: whole[:-1], "is damaged"),
        (lambda whole: whole[:-100] + b"x" + whole[-99:], "is damaged"),
        (lambda whole: whole[:30], "is not an engine of this package"),
        (lambda whole: b"", "is not an engine of this package"),
        (lambda whole: b"[1]\n" + whole, "is not an engine of this package"),
        (lambda whole: whole.partition(b"\n")[2], "is not an engine of this package"),  # TensorRT's, of someone else
    ],
    ids=["cut", "a byte changed", "header cut", "empty", "other JSON", "a bare engine"],
)
def test_a_damaged_or_foreign_file_is_built_anew_and_the_reason_said(
    damage: Callable[[bytes], bytes],
    says: str,
    bundle: ModelBundle,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = LoadOptions(tmp_path)
    path = prepare_engine(trt, bundle, None, ORIN, options).path
    path.write_bytes(damage(path.read_bytes()))
    assert_built_anew(bundle, options, says, caplog)


def assert_built_anew(bundle: ModelBundle, options: LoadOptions, says: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        engine = prepare_engine(trt, bundle, None, ORIN, options)
    assert engine.built
    [record] = caplog.records
    assert record.message.startswith(f"the engine {engine.path} {says}")
    assert record.message.endswith("; it is built anew") and "\n" not in record.message
    assert read_engine(engine.path, engine.key) == (engine.data, None)
    caplog.clear()
    assert not prepare_engine(trt, bundle, None, ORIN, options).built
    assert caplog.records == []


def test_an_engine_that_tensorrt_refuses_is_built_anew(
    bundle: ModelBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = LoadOptions(tmp_path)
    prepare_engine(trt, bundle, None, ORIN, options)
    with caplog.at_level(logging.WARNING):
        assert prepare_engine(trt, bundle, None, ORIN, options, anew="cannot be loaded (a reason)").built
    assert "cannot be loaded (a reason); it is built anew" in caplog.text


def test_cancelling_leaves_what_was_there(bundle: ModelBundle, tmp_path: Path) -> None:
    options = LoadOptions(tmp_path)
    path = prepare_engine(trt, bundle, None, ORIN, options).path
    path.write_bytes(b"old")
    said: list[str] = []
    stopped = replace(options, progress=lambda stage, _: said.append(stage), cancelled=lambda: len(said) > 3)
    with pytest.raises(CancelledError, match="cancelled during build the engine of test-segment"):
        prepare_engine(trt, bundle, None, ORIN, stopped)
    assert set(said) == {"build the engine of test-segment"}
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_model_that_cannot_be_built_is_said_in_one_line(bundle: ModelBundle, tmp_path: Path) -> None:
    whole = bundle.weights.read_bytes()
    cut = write_bundle(tmp_path / "model", whole[: len(whole) // 2], bundle.spec)
    with pytest.raises(InputError, match=r"model\.onnx: TensorRT cannot parse the model: \S"):
        prepare_engine(trt, cut, None, ORIN, LoadOptions(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_too_little_workspace_is_said_in_one_line(tmp_path: Path) -> None:
    shipped = load_bundle(find_models_dir() / "segmenter")
    with pytest.raises(InputError, match=r"model\.onnx: TensorRT cannot build the model: .*(workspace|[Mm]emory)"):
        prepare_engine(trt, shipped, None, ORIN, LoadOptions(tmp_path, workspace_mb=1))


def test_a_folder_that_cannot_be_written_to_costs_only_time(
    bundle: ModelBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        engine = prepare_engine(trt, bundle, None, ORIN, LoadOptions(tmp_path / "cache"))
    assert engine.built and len(engine.data) > 1000
    assert "the engine could not be kept and will be built again next time" in caplog.text
