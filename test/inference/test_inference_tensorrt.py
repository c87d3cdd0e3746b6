# SPDX-License-Identifier: Apache-2.0
"""TensorRT as a runtime: what is said where there is no GPU; with one, that it computes what ONNX Runtime computes."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.model_folders import find_models_dir
from liver_seg_ros.inference.runtimes import tensorrt
from liver_seg_ros.inference.runtimes.base import LoadOptions
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.inference.runtimes.contract import Port
from liver_seg_ros.inference.runtimes.tensorrt.gpu import no_gpu, not_for_rtx

pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed (extra [tensorrt])")

from liver_seg_ros.inference.runtimes.tensorrt.execution import BufferPlan, plan_buffers

REASON = tensorrt.unavailable()
needs_gpu = pytest.mark.skipif(REASON is not None, reason=f"TensorRT cannot run here: {REASON}")
without_gpu = pytest.mark.skipif(no_gpu() is None, reason="there is a GPU")

SHIPPED = [
    pytest.param(path.parent, variant, id=f"{path.parent.name}-{variant or 'plain'}")
    for path in sorted(find_models_dir().glob("*/model.yaml"))
    for variant in (
        None,
        *(n for n, v in load_bundle(path.parent).spec.variants.items() if "tensorrt" in v.runtimes),
    )
]
#: Largest difference of a score as a share of the largest; a GPU multiplies fp32 with 10 bits of mantissa (TF32).
TOLERANCE = {"fp32": 5e-3, "fp16": 2e-2, "int8": 0.5}


@without_gpu
def test_why_there_is_none_is_said() -> None:
    reason = no_gpu()
    assert reason is not None and tensorrt.unavailable() == reason
    assert reason.startswith(("no NVIDIA driver is installed (", "the NVIDIA driver "))
    bundle = load_bundle(find_models_dir() / "localizer")
    with pytest.raises(InputError) as refused:
        create_runtime("tensorrt", bundle)
    assert str(refused.value) == f"runtime 'tensorrt' cannot be used: {reason}"
    with pytest.raises(InputError, match="TensorRT cannot be used: "):
        tensorrt.load(bundle)


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (8, 9), (12, 0), (12, 1), (13, 0)])
def test_tensorrt_rtx_is_tried_on_the_gpus_that_it_names(capability: tuple[int, int]) -> None:
    assert not_for_rtx(capability) is None


@pytest.mark.parametrize("capability", [(7, 5), (8, 7), (9, 0), (10, 0), (11, 0)])
def test_tensorrt_rtx_is_not_tried_on_others_before_engines_are_built(capability: tuple[int, int]) -> None:
    """Its 1.7.1 refused each engine on 9.0: "Supported compute capabilities: 8.0 8.6 8.9 12.0 12.1 >12.0"."""
    major, minor = capability
    assert f"whose compute capability is {major}.{minor} (" in str(not_for_rtx(capability))


@pytest.mark.parametrize(
    ("dtypes", "classes", "expected"),
    [
        (("float32", "float32"), (4,), (4 * 2 * 6, 4 * 2 * 6 * 4)),
        (("float16", "float16"), (3,), (2 * 2 * 6, 2 * 2 * 6 * 3)),
        (("float32", "uint8"), (), (4 * 2 * 6, 2 * 6)),  # labels have no axis of classes
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_buffers_hold_the_largest_batch_of_what_the_engine_takes_and_gives(
    dtypes: tuple[str, str], classes: tuple[int, ...], expected: tuple[int, int], mapped: bool
) -> None:
    free = (None, None, None)
    taken, given = Port("image", dtypes[0], (None, 1, *free)), Port("logits", dtypes[1], (None, *classes, *free))
    taken_bytes, given_bytes = expected
    plan = plan_buffers([taken], given, [(2, 1, 1, 2, 3)], mapped)
    assert plan == BufferPlan((taken_bytes,), given_bytes, sets=2, mapped=mapped)


def test_buffers_of_slices_hold_each_input() -> None:
    taken = [Port("image", "float32", (None, 3, None, None)), Port("edges", "float16", (None, 1, None, None))]
    given = Port("logits", "float32", (None, 4, None, None))
    plan = plan_buffers(taken, given, [(2, 3, 5, 7), (2, 1, 5, 7)], mapped=False)
    assert plan == BufferPlan((2 * 3 * 35 * 4, 2 * 35 * 2), 2 * 4 * 35 * 4, sets=2, mapped=False)


def windows(bundle: ModelBundle, *sizes: int) -> NDArray[np.float32]:
    """`(1, 1, K, J, I)`, the sizes in divisors."""
    shape = (1, 1, *(bundle.spec.input.divisor * size for size in sizes))
    batch = np.random.default_rng(sum(sizes)).uniform(-1, 1, shape).astype(np.float32)
    return batch * 250 + 50 if bundle.spec.values == "hu" else batch


@needs_gpu
@pytest.mark.parametrize(("folder", "variant"), SHIPPED)
def test_it_computes_what_onnx_runtime_computes(folder: Path, variant: str | None, tmp_path: Path) -> None:
    bundle = load_bundle(folder)
    precision = bundle.precision_of(variant)
    reference = create_runtime("onnxruntime", bundle)
    runtime = create_runtime("tensorrt", bundle, precision, LoadOptions(tmp_path))
    assert (runtime.name, runtime.precision) == ("tensorrt", precision) and runtime.device.startswith("GPU ")
    # Enough of one shape that both sets of buffers are used again, then another shape, then the first again.
    batches = [windows(bundle, 4, 4, 4)] * 6 + [windows(bundle, 2, 5, 3)] * 2 + [windows(bundle, 4, 4, 4)] * 2
    for batch, found in zip(batches, runtime.run_sequence(iter(batches)), strict=True):
        expected = reference.run(batch).astype(np.float32)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= TOLERANCE[precision] * np.abs(expected).max()
        found[:] = 0  # the caller may write to it
    runtime.close()
    with pytest.raises(RuntimeError, match="closed"):
        runtime.run(batches[0])


@needs_gpu
def test_answers_are_the_same_on_another_thread_and_after_an_abandoned_sequence(tmp_path: Path) -> None:
    bundle = load_bundle(find_models_dir() / "localizer")
    runtime = create_runtime("tensorrt", bundle, "fp32", LoadOptions(tmp_path))
    first, second = windows(bundle, 3, 3, 3), windows(bundle, 3, 3, 4)
    expected = runtime.run(first)
    sequence = runtime.run_sequence([second] * 5)
    next(sequence)
    del sequence
    found: list[NDArray[np.generic]] = []
    thread = threading.Thread(target=lambda: found.append(runtime.run(first)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found[0], expected)


@needs_gpu
def test_windows_beyond_the_patch_are_refused(tmp_path: Path) -> None:
    bundle = load_bundle(find_models_dir() / "localizer")
    runtime = create_runtime("tensorrt", bundle, "fp32", LoadOptions(tmp_path))
    divisor = bundle.spec.input.divisor
    with pytest.raises(ValueError, match="takes batches of up to"):
        runtime.run(np.zeros((1, 1, bundle.spec.input.patch[2] + divisor, divisor, divisor), np.float32))


@needs_gpu
def test_an_engine_that_does_not_load_is_built_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whole by its checksum and of the right key, but not TensorRT's."""
    bundle, options = load_bundle(find_models_dir() / "localizer"), LoadOptions(tmp_path)
    create_runtime("tensorrt", bundle, "fp32", options).close()
    [path] = (tmp_path / "engines").glob("*.engine")
    header, _, data = path.read_bytes().partition(b"\n")
    wrong = data[: len(data) // 2]
    described = {**json.loads(header), "sha256": hashlib.sha256(wrong).hexdigest()}
    path.write_bytes(json.dumps(described).encode() + b"\n" + wrong)
    with caplog.at_level(logging.WARNING):
        create_runtime("tensorrt", bundle, "fp32", options).close()
    [record] = caplog.records
    assert "cannot be loaded (" in record.message and record.message.endswith("it is built anew")
