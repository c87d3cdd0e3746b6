# SPDX-License-Identifier: Apache-2.0
"""Runtimes: each computes what the reference computes, and takes and gives what the bundle says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import write_volume
from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.model_folders import find_models_dir
from liver_seg_ros.inference.runtimes.cache_folder import cache_folder
from liver_seg_ros.inference.runtimes.choice import create_runtime
from liver_seg_ros.volume import Volume

MakeBundle = Callable[..., ModelBundle]
Array = NDArray[np.float32]

ON_THE_CPU = ("openvino", "onnxruntime")
SHIPPED = sorted(path.parent for path in find_models_dir().glob("*/model.yaml"))
VARIANTS = [
    pytest.param(folder, name, runtime, id=f"{folder.name}-{name}-{runtime}")
    for folder in SHIPPED
    for name, variant in load_bundle(folder).spec.variants.items()
    for runtime in variant.runtimes
    if runtime in ON_THE_CPU
]


def windows(shape: tuple[int, ...], values: str) -> Array:
    """A batch of windows as a network gets them: noise that is not white."""
    batch = np.random.default_rng(5).uniform(-1, 1, shape).astype(np.float32)
    batch = (batch + np.roll(batch, 1, -1) + np.roll(batch, 1, -2)) / 2
    return batch * 250 + 50 if values == "hu" else batch


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_models_give_the_same_scores_on_every_runtime(folder: Path) -> None:
    bundle = load_bundle(folder)
    d = bundle.spec.input.divisor
    reference, other = create_runtime("onnxruntime", bundle), create_runtime("openvino", bundle, "fp32")
    for shape in ((1, 1, 4 * d, 6 * d, 5 * d), (2, 1, 2 * d, 2 * d, 2 * d), (1, 1, d, d, 7 * d)):
        batch = windows(shape, bundle.spec.values)
        expected, found = reference.run(batch), other.run(batch)
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_every_shipped_model_has_a_variant_for_the_cpu() -> None:
    """Or the next test would try nothing."""
    assert SHIPPED and {pytest_param.values[0] for pytest_param in VARIANTS} == set(SHIPPED)


@pytest.mark.parametrize(("folder", "name", "runtime"), VARIANTS)
def test_shipped_variants_decide_as_the_plain_weights(folder: Path, name: str, runtime: str) -> None:
    bundle = load_bundle(folder)
    d = bundle.spec.input.divisor
    batch = windows((1, 1, 4 * d, 4 * d, 4 * d), bundle.spec.values)
    expected = create_runtime("onnxruntime", bundle).run(batch).argmax(axis=1)
    variant = create_runtime(runtime, bundle, bundle.variant(name).precision)
    assert (variant.name, variant.precision) == (runtime, bundle.variant(name).precision)
    assert (variant.run(batch).argmax(axis=1) == expected).mean() > 0.95


def band_scores(batch: Array) -> Array:
    """What the networks of `conftest.band_network` compute."""
    ends = (np.array([(-20.0, 100.0), (100.0, 180.0), (180.0, 260.0)], np.float32) - 50) * 2 / 500
    centers, half_widths = ends.mean(axis=1), np.diff(ends, axis=1)[:, 0] / 2
    bands = [(h - np.abs(batch[:, 0] - c)) * 20 for c, h in zip(centers, half_widths, strict=True)]
    return np.stack([0 * batch[:, 0], *bands], axis=1)


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_a_sequence_is_answered_in_order_as_it_is_taken(name: str, make_segmenter_bundle: MakeBundle) -> None:
    runtime = create_runtime(name, make_segmenter_bundle())
    batches = [np.full((1, 1, 4, 4, 4 * n), n / 10, np.float32) for n in (1, 2, 1, 3)]
    taken: list[int] = []

    def take() -> Iterator[Array]:
        for n, batch in enumerate(batches):
            taken.append(n)
            yield batch

    answers = runtime.run_sequence(take())
    for n, batch in enumerate(batches):
        np.testing.assert_allclose(next(answers), band_scores(batch), atol=1e-5)
        assert len(taken) <= n + 2
    assert next(answers, None) is None


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_an_answer_stays_as_it_is_when_the_next_comes(name: str, make_segmenter_bundle: MakeBundle) -> None:
    runtime = create_runtime(name, make_segmenter_bundle())
    first, second = (np.full((1, 1, 4, 4, 4), value, np.float32) for value in (0.1, 0.7))
    answer = runtime.run(first)
    runtime.run(second)
    np.testing.assert_allclose(answer, band_scores(first), atol=1e-5)


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_a_closed_runtime_says_so(name: str, make_segmenter_bundle: MakeBundle) -> None:
    runtime = create_runtime(name, make_segmenter_bundle())
    assert runtime.name == name and "CPU" in runtime.device and runtime.precision == "fp32"
    runtime.close()
    with pytest.raises(RuntimeError, match="closed"):
        runtime.run(np.zeros((1, 1, 4, 4, 4), np.float32))


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_a_truncated_model_with_a_matching_checksum_is_refused_in_one_line(
    name: str, tmp_path: Path, make_segmenter_bundle: MakeBundle, capfd: pytest.CaptureFixture[str]
) -> None:
    good = make_segmenter_bundle()
    whole = good.weights.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not a model"):
        bundle = write_bundle(tmp_path / "model", damaged, good.spec)
        with pytest.raises(InputError, match=r"model\.onnx (is not a model that .* can run: \S|must take)") as refused:
            create_runtime(name, bundle)
        assert len(str(refused.value)) < 400
    assert capfd.readouterr().err == ""


def band_spec(make_segmenter_bundle: MakeBundle, **changes: object) -> BundleSpec:
    return replace(make_segmenter_bundle().spec, **changes)


@pytest.mark.parametrize("name", ON_THE_CPU)
@pytest.mark.parametrize(("channels", "size"), [(3, "K"), (4, 32)], ids=["a class missing", "fixed size"])
def test_a_model_that_breaks_the_contract_is_refused(
    name: str, channels: int, size: str | int, tmp_path: Path, make_segmenter_bundle: MakeBundle
) -> None:
    shape = ["B", 1, size, "J", "I"]
    graph = helper.make_graph(
        [helper.make_node("Concat", ["x"] * channels, ["y"], axis=1)],
        "repeat",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", channels, size, "J", "I"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    bundle = write_bundle(tmp_path / "model", model.SerializeToString(), band_spec(make_segmenter_bundle))
    must = r"must take one float \(B, 1, K, J, I\) and give one float32 \(B, 4, K, J, I\)"
    with pytest.raises(InputError, match=f"{must} .*; it has x float32 .*; y float32"):
        create_runtime(name, bundle)


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


@pytest.mark.parametrize("name", ON_THE_CPU)
@pytest.mark.parametrize("output", ["logits", "softmax", "argmax"])
def test_the_runtime_takes_and_gives_what_the_bundle_says(
    name: str, output: str, tmp_path: Path, make_segmenter_bundle: MakeBundle
) -> None:
    spec = band_spec(make_segmenter_bundle, labels={0: "background", 1: "liver"}, values="hu", output=output)
    runtime = create_runtime(name, write_bundle(tmp_path / "model", converting_model(output), spec))
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
        create_runtime(name, bundle)


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.runtimes.choice import create_runtime
runtime = create_runtime(sys.argv[1], load_bundle(Path(sys.argv[2])))
small = np.zeros((1, 1, 16, 16, 16), np.float32)
large = np.zeros((1, 1, 128, 128, 128), np.float32)
runtime.run(small)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)
try:
    runtime.run(large)
except MemoryError as error:
    print(error)
runtime.run(small)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the process's memory as Linux does")
@pytest.mark.parametrize("name", ON_THE_CPU)
def test_too_little_memory_is_said_and_smaller_windows_still_run(name: str) -> None:
    command = [sys.executable, "-c", SHORT_OF_MEMORY, name, str(SHIPPED[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("too little memory to run a window of 128 x 128 x 128 voxels; "), done.stderr
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


SEGMENT = """
import sys
from pathlib import Path
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.inference.segmenter import load_default_segmenter
segmenter = load_default_segmenter(Path(sys.argv[2]), sys.argv[1])
assert segmenter.segment(read_volume(Path(sys.argv[3]))).liver_found
print(*sorted({"torch", "onnx", "nncf", "modelopt", "tensorflow"} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", [*ON_THE_CPU, "auto"])
def test_segmenting_imports_nothing_of_the_workshop(
    name: str,
    tmp_path: Path,
    localizer: ModelBundle,
    make_segmenter_bundle: MakeBundle,
    liver_truth: tuple[Volume, NDArray[np.uint8]],
) -> None:
    (tmp_path / "localizer").symlink_to(localizer.folder)
    (tmp_path / "segmenter").symlink_to(make_segmenter_bundle().folder)
    write_volume(tmp_path / "ct.nii.gz", liver_truth[0])
    command = [sys.executable, "-c", SEGMENT, name, str(tmp_path), str(tmp_path / "ct.nii.gz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVER_SEG_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for home in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        assert cache_folder() == tmp_path / ".cache/liver_seg_ros"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/liver_seg_ros"
    monkeypatch.setenv("LIVER_SEG_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
    assert cache_folder(tmp_path / "asked") == tmp_path / "asked"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_signals_are_heard_after_a_runtime_was_let_go(name: str, make_segmenter_bundle: MakeBundle) -> None:
    """OpenVINO's CPU plugins give handlers stacks of their own, which go with them: the next signal was a crash."""
    folder = make_segmenter_bundle().folder
    program = f"""
import gc, os, signal
from pathlib import Path
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.inference.runtimes.choice import create_runtime
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
for _ in range(2):
    runtimes = [create_runtime({name!r}, load_bundle(Path({str(folder)!r}))) for _ in range(2)]
    while runtimes:
        runtimes.pop(0).close()
    gc.collect()
    os.kill(os.getpid(), signal.SIGTERM)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (0, "heard\nheard\n"), result.stderr
