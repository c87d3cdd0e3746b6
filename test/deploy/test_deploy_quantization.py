# SPDX-License-Identifier: Apache-2.0
"""Fewer bits: which layers keep theirs, what the shipped variants lose, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")

import onnxruntime  # noqa: E402  after the skip

from liver_seg_ros.deploy.calibration import ct_windows  # noqa: E402
from liver_seg_ros.deploy.quantization import as_scored, load_model, quantize, sensitive_nodes, slimmed  # noqa: E402
from liver_seg_ros.deploy.quantize import add_variants, main, make_variants  # noqa: E402
from liver_seg_ros.deploy.scoring import Weights, mean_dice  # noqa: E402
from liver_seg_ros.deploy.tool_environment import MODELOPT, NNCF, Tool, run_tool, tool_python  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.files.volumes import read_volume, write_volume  # noqa: E402
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle  # noqa: E402
from liver_seg_ros.inference.bundle_writing import write_bundle  # noqa: E402
from liver_seg_ros.inference.network import Network  # noqa: E402
from liver_seg_ros.orientation import to_canonical  # noqa: E402
from liver_seg_ros.phantom import PhantomOptions, generate_phantom  # noqa: E402
from liver_seg_ros.progress import Stages, never_cancelled, no_progress  # noqa: E402

MODELS = Path(__file__).parents[2] / "models"
SMALL_SCAN = PhantomOptions((96, 96, 60), (4.0, 4.0, 4.0), phase="portal_venous")


@pytest.fixture(scope="module")
def tools() -> None:
    """Both quantizers' environments, made here on the first run; without a package index they cannot be."""
    pytest.importorskip("torch", reason="torch is not installed (extra [deploy])")
    try:
        for tool in (MODELOPT, NNCF):
            tool_python(tool)
    except InputError as error:
        asked = [sys.executable, "-m", "pip", "index", "versions", "tqdm"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            raise  # the index answers: it is the pins or the environment that are wrong
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def ct_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cts")
    write_volume(folder / "ct.nii.gz", generate_phantom(9500, SMALL_SCAN).ct)
    return folder


@pytest.fixture(scope="module")
def quantized(tools: None, ct_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The shipped localizer with variants made here."""
    folder = tmp_path_factory.mktemp("models") / "localizer"
    shipped = load_bundle(MODELS / "localizer")
    plain = write_bundle(folder, shipped.weights, shipped.spec)
    made = make_variants(plain, ["fp16", "int8_qdq", "int8_openvino"], calibration=ct_folder)
    return add_variants(plain, made, seeds=[9501], scan=SMALL_SCAN, allowed_loss=0.02)


def test_the_shipped_networks_keep_the_first_the_last_and_the_small_kernels() -> None:
    model = load_model(MODELS / "segmenter" / "model.onnx")
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    edges = {node.name: max(next(a.ints for a in node.attribute if a.name == "kernel_shape")) for node in convolutions}
    kept = sensitive_nodes(model)
    assert kept == [name for name in edges if edges[name] == 1 or name == convolutions[0].name]
    assert kept[-1] == convolutions[-1].name
    assert len(kept) == 5 < len(convolutions) == 15
    more = sensitive_nodes(model, keep=[f"^{convolutions[1].name}$"])
    assert set(more) == {*kept, convolutions[1].name}
    with pytest.raises(InputError, match=f"no node of the network matches 'decoder'.*{convolutions[0].name}"):
        sensitive_nodes(model, keep=["decoder"])


def test_slimming_changes_the_size_and_not_the_answer() -> None:
    whole = (MODELS / "localizer" / "model.onnx").read_bytes()
    slim = slimmed(onnx.load_from_string(whole)).SerializeToString()
    assert len(slim) < len(whole)
    hu = np.random.default_rng(0).uniform(-300, 400, (1, 1, 16, 24, 8)).astype(np.float32)
    answers = [onnxruntime.InferenceSession(model).run(None, {"image": hu})[0] for model in (whole, slim)]
    np.testing.assert_array_equal(*answers)


def test_variants_lose_little_are_small_and_say_so(quantized: ModelBundle) -> None:
    card = (quantized.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for name, precision, most in (("fp16", "fp16", 0.5), ("int8_qdq", "int8", 0.3), ("int8_openvino", "int8", 0.3)):
        variant = quantized.variant(name)
        assert variant.precision == precision
        assert quantized.weights_of(name).stat().st_size <= most * quantized.weights.stat().st_size
        assert 0.8 < variant.scores["liver"] <= 1
        assert abs(variant.dice_loss["liver"]) < 0.02
        assert "1 phantom" in variant.scored_on and "96x96x60 voxels of 4x4x4 mm" in variant.scored_on
        assert f"- {name}: model_{name}.onnx" in card and f"liver {variant.scores['liver']:.3f}" in card


def test_int8_is_where_it_should_be(quantized: ModelBundle) -> None:
    kept = set(sensitive_nodes(load_model(quantized.weights)))
    for name in ("int8_qdq", "int8_openvino"):
        model = load_model(quantized.weights_of(name))
        made_by = {output: node for node in model.graph.node for output in node.output}
        types = {tensor.name: (tensor.data_type, tensor.dims) for tensor in model.graph.initializer}
        for node in (node for node in model.graph.node if node.op_type == "Conv"):
            operators = [made_by[value].op_type if value in made_by else "" for value in node.input[:2]]
            if node.name in kept:
                assert operators[1] != "DequantizeLinear", node.name
                continue
            assert operators == ["DequantizeLinear"] * 2, node.name
            weights, scale = made_by[node.input[1]].input[:2]
            assert types[weights][0] == onnx.TensorProto.INT8
            assert len(types[scale][1]) == 1 and types[scale][1][0] == types[weights][1][0]  # one per output channel


def u_net(path: Path, channels: int = 8) -> Path:
    """An ONNX file: convolutions with LeakyReLU between them, the last but one behind a skip, as nnU-Net's are."""
    rng, helper = np.random.default_rng(0), onnx.helper
    shapes = {
        "first": (channels, 1, 3),
        "deep": (channels, channels, 3),
        "up": (channels, 2 * channels, 3),
        "last": (2, channels, 1),
    }
    weights = {
        name: rng.normal(0, 0.3, (*shape[:2], *[shape[2]] * 3)).astype(np.float32) for name, shape in shapes.items()
    }
    chain = (("image", "first", "a"), ("a", "deep", "b"), ("ab", "up", "c"), ("c", "last", "logits"))
    nodes = []
    for given, name, result in chain:
        if given == "ab":
            nodes.append(helper.make_node("Concat", ["a", "b"], ["ab"], "skip", axis=1))
        pads, inner = [shapes[name][2] // 2] * 6, result if name == "last" else f"{result}_linear"
        nodes.append(helper.make_node("Conv", [given, name], [inner], f"conv_{name}", pads=pads))
        if inner != result:
            nodes.append(helper.make_node("LeakyRelu", [inner], [result], f"act_{name}", alpha=0.5))
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", count, "K", "J", "I"])
        for name, count in (("image", 1), ("logits", 2))
    ]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "u_net", ports[:1], ports[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def computed(model: bytes, image: NDArray[np.float32], folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The logits step by step, no two operators in one, and those of OpenVINO."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    from liver_seg_ros.inference.runtimes.openvino import _core

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    steps = onnxruntime.InferenceSession(model, options).run(None, {"image": image})[0]
    (folder / "model.onnx").write_bytes(model)
    compiled = _core().compile_model(folder / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    [logits] = compiled(image).values()
    return steps, logits


def test_openvino_computes_int8_behind_a_skip_as_it_is_meant(tools: None, tmp_path: Path) -> None:
    weights = u_net(tmp_path / "u_net.onnx")
    image = np.random.default_rng(1).normal(0, 1, (2, 1, 8, 8, 8)).astype(np.float32)
    plain, _ = computed(weights.read_bytes(), image[:1], tmp_path)
    steps, found = computed(quantize("int8_openvino", weights, {"image": image}), image[:1], tmp_path)
    assert 0 < np.abs(steps - plain).mean() < 0.1 * plain.std()  # it is int8, and good
    assert np.abs(found - steps).max() < 0.05 * plain.std()


def test_unsigned_levels_are_the_same_numbers(tmp_path: Path) -> None:
    helper, rng = onnx.helper, np.random.default_rng(0)
    # Sums of two products of larger weights saturate in 16 bits on processors without VNNI.
    constants = {
        "scale": np.float32(0.02), "zero": np.int8(-13), "weights": rng.integers(-63, 64, (4, 6, 1, 1, 1), np.int8),
        "scales": rng.uniform(0.005, 0.01, 4).astype(np.float32), "zeros": np.zeros(4, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("Neg", ["image"], ["negative"]),
        helper.make_node("Concat", ["image", "negative"], ["both"], axis=1),
        helper.make_node("QuantizeLinear", ["both", "scale", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["values"]),
        helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["kernel"], axis=0),
        helper.make_node("Conv", ["values", "kernel"], ["logits"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", count, "K", "J", "I"])
        for name, count in (("image", 3), ("logits", 4))
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "signed", ports[:1], ports[1:], tensors)
    signed = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()

    image = rng.normal(0, 1, (1, 3, 5, 6, 7)).astype(np.float32)
    levels = np.clip(np.round(np.concatenate([image, -image], axis=1) / 0.02) - 13, -128, 127) + 13
    kernel = constants["weights"][..., 0, 0, 0] * constants["scales"][:, None]
    expected = np.einsum("oc,bckji->bokji", kernel, 0.02 * levels)
    # int8_qdq is for TensorRT and stays as it is, but what scores it is OpenVINO.
    for name in ("int8_qdq", "int8_openvino"):
        for found in computed(as_scored(name, signed), image, tmp_path):
            np.testing.assert_allclose(found, expected, atol=0.02)
    assert as_scored("fp16", signed) == signed


def test_a_variant_that_loses_too_much_is_refused_unless_forced(tmp_path: Path) -> None:
    shipped = load_bundle(MODELS / "localizer")
    bundle = write_bundle(tmp_path / "localizer", shipped.weights, shipped.spec)
    model = load_model(shipped.weights)
    last = next(tensor for tensor in model.graph.initializer if tensor.name == "network.head.weight")
    last.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(last) * np.float32(-1), last.name))
    made = {"fp16": shipped.weights.read_bytes(), "int8_openvino": model.SerializeToString()}
    expected = (
        r"^int8_openvino loses 0\.[89]\d+ of Dice for liver: more than the 0\.005 allowed, so not added\. [^\n]+$"
    )
    with pytest.raises(InputError, match=expected):
        add_variants(bundle, made, seeds=[9501], scan=SMALL_SCAN)
    there = load_bundle(bundle.folder)
    assert list(there.spec.variants) == ["fp16"]
    assert there.variant("fp16").dice_loss == {"liver": 0.0}
    forced = add_variants(there, made, seeds=[9501], scan=SMALL_SCAN, force=True)
    assert forced.variant("int8_openvino").dice_loss["liver"] > 0.8


def test_calibration_sees_what_the_network_sees(ct_folder: Path) -> None:
    bundle = load_bundle(MODELS / "localizer")
    windows = ct_windows(ct_folder, bundle, None)["image"]
    assert windows.shape == (4, 1, 64, 64, 64) and windows.dtype == np.float32
    assert windows.min() < -900 and windows.max() > 200  # HU, air and bone
    with pytest.raises(InputError, match=r"nowhere is no folder; give one that holds CTs"):
        ct_windows(ct_folder / "nowhere", bundle, None)


class Recording:
    """A runtime that keeps what it is fed."""

    name, device, precision, largest_window, largest_batch = "recording", "none", "fp32", None, 1

    def __init__(self) -> None:
        self.fed: list[NDArray[np.float32]] = []

    def run_sequence(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for batch in batches:
            self.fed.append(batch.copy())
            yield np.repeat(np.zeros_like(batch), 2, axis=1)


@pytest.mark.parametrize("values", ["hu", "standardized"])
def test_calibration_sees_an_imported_network_fed_as_it_is_in_use(ct_folder: Path, tmp_path: Path, values: str) -> None:
    shipped = load_bundle(MODELS / "localizer")
    own = {"convention": "nnunet", "orientation": "RAS", "fixed_window": True, "spacing_mm": (5.0, 4.7, 5.3)}
    inputs = replace(shipped.spec.input, hu_window=(-100.0, 200.0), patch=(96, 96, 96), beyond=17.0, **own)
    whole = write_bundle(tmp_path / "whole", shipped.weights, replace(shipped.spec, input=inputs, values=values))
    ct, recording = read_volume(ct_folder / "ct.nii.gz"), Recording()
    reorientation = to_canonical(ct.geometry)
    grid, scores = Network(whole, recording).scores(
        reorientation.apply(ct.array),
        reorientation.apply_to_geometry(ct.geometry),
        Stages(no_progress, never_cancelled),
        "localize",
    )
    list(scores)
    [[[fed]]] = recording.fed  # all of it in one window
    cut = replace(inputs, patch=(96, 24, 16))  # i is longer than the CT, which is filled up
    windows = ct_windows(
        ct_folder, write_bundle(tmp_path / "cut", shipped.weights, replace(whole.spec, input=cut)), None
    )
    size_i = grid.size[0]
    assert windows["image"].shape == (4, 1, 16, 24, 96) and size_i < 96
    assert (windows["image"][..., size_i:] == 17).all()
    blocks = np.lib.stride_tricks.sliding_window_view(fed, (16, 24, size_i))
    for window in windows["image"][:, 0, :, :, :size_i]:
        places = np.argwhere(blocks[..., 0, 0, 0] == window[0, 0, 0])
        assert any(np.array_equal(blocks[tuple(place)], window) for place in places)


def test_an_empty_folder_to_calibrate_on_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no CT with a liver to calibrate on"):
        ct_windows(tmp_path, load_bundle(MODELS / "localizer"), None)


def test_a_truncated_model_is_refused_with_one_line(tmp_path: Path) -> None:
    whole = (MODELS / "localizer" / "model.onnx").read_bytes()
    truncated = tmp_path / "model.onnx"
    truncated.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"model\.onnx is not a whole ONNX model: [^\n]+$"):
        quantize("fp16", truncated, {})
    shutil.copytree(MODELS / "localizer", tmp_path / "localizer")
    (tmp_path / "localizer" / "model.onnx").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"model\.onnx is damaged"):
        main(["--bundle", str(tmp_path / "localizer"), "--variant", "fp16"])


def test_a_missing_localizer_and_no_phantoms_are_named(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "segmenter", tmp_path / "segmenter")
    with pytest.raises(InputError, match=r"cannot read the model description .*localizer/model\.yaml"):
        main(["--bundle", str(tmp_path / "segmenter"), "--variant", "fp16"])
    with pytest.raises(InputError, match="at least one phantom"):
        main(["--bundle", str(tmp_path / "segmenter"), "--variant", "fp16", "--cases", "0"])


def test_a_tool_that_cannot_be_installed_leaves_one_line_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network
    with pytest.raises(
        InputError, match=r"cannot make the environment of adze in .*\(needed once, with a network\)"
    ) as e:
        tool_python(Tool("adze", ("no-such-tool==1.0",)), tmp_path)
    assert "\n" not in str(e.value) and "no-such-tool==1.0" in str(e.value)
    assert not list(tmp_path.iterdir())


def test_a_tool_sees_its_own_packages_before_ours(tmp_path: Path) -> None:
    wheel = tmp_path / "pyyaml-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("yaml.py", "OWN = 'its own'")
        archive.writestr("pyyaml-0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: PyYAML\nVersion: 0.1\n")
        archive.writestr("pyyaml-0.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("pyyaml-0.1.dist-info/RECORD", "")
    script = tmp_path / "script.py"
    script.write_text("import sys, yaml, numpy\nsys.exit(yaml.OWN)\n")  # a message to exit with means failure
    tool = Tool("adze", (str(wheel),))
    for _ in range(2):  # made, and found
        with pytest.raises(InputError, match=r"^adze failed: its own$"):
            run_tool(tool, script, [], tmp_path / "tools")
    assert len(list((tmp_path / "tools").iterdir())) == 1


@pytest.fixture(scope="module")
def window() -> NDArray[np.float32]:
    """`(1, 1, 64, 64, 64)` HU: the middle of a phantom's liver at 1.5 mm."""
    options = PhantomOptions((64, 64, 64), (1.5, 1.5, 1.5), phase="portal_venous", center_mm=(0.0, 0.0, 0.0))
    return generate_phantom(9502, options).ct.array.astype(np.float32)[None, None]


@pytest.mark.parametrize("model", ["localizer", "segmenter"])
@pytest.mark.parametrize("name", ["fp16", "int8_qdq", "int8_openvino"])
def test_the_shipped_variants_agree_with_the_plain_weights(model: str, name: str, window: NDArray[np.float32]) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    from liver_seg_ros.inference.runtimes import onnxruntime, openvino

    bundle = load_bundle(MODELS / model)
    variant = bundle.variant(name)
    assert bundle.weights_of(name).stat().st_size <= 0.5 * bundle.weights.stat().st_size
    assert max(variant.dice_loss.values()) <= 0.005
    assert set(variant.dice_loss) == set(bundle.spec.labels.values()) - {"background"}
    expected = onnxruntime.load(bundle).run(window).argmax(axis=1)
    assert len(np.unique(expected)) == len(bundle.spec.labels)
    for runtime in (openvino, onnxruntime):
        if runtime is openvino or runtime.NAME in variant.runtimes:
            found = runtime.load(bundle, name).run(window).argmax(axis=1)
            assert np.mean(found == expected) > (0.9995 if name == "fp16" else 0.99)


@pytest.mark.parametrize("model", ["localizer", "segmenter"])
@pytest.mark.parametrize("name", ["fp16", "int8_qdq"])
def test_tensorrt_builds_the_shipped_variants(model: str, name: str) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed (extra [deploy])")
    from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine

    shapes = ShapeRange((1, 1, 8, 8, 8), (1, 1, 128, 128, 128), (1, 1, 128, 128, 128))
    bundle = load_bundle(MODELS / model)
    assert len(build_engine(bundle.weights_of(name).read_bytes(), shapes)) > 0.2 * bundle.weights.stat().st_size


def test_tensorrt_builds_the_student_in_int8(tools: None, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra [deploy])")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed (extra [deploy])")
    from liver_seg_ros.deploy.graph import DeployedNetwork
    from liver_seg_ros.deploy.onnx_export import export_onnx
    from liver_seg_ros.inference.runtimes.tensorrt.build import ShapeRange, build_engine
    from liver_seg_ros.networks import create_network

    torch.manual_seed(0)
    weights = tmp_path / "student.onnx"
    weights.write_bytes(export_onnx(DeployedNetwork(create_network("student"), (-100.0, 250.0)), (16, 24, 32), 8))
    hu = np.random.default_rng(0).uniform(-200, 350, (1, 1, 32, 32, 32)).astype(np.float32)
    model = quantize("int8_qdq", weights, {"image": hu})
    assert len(model) < 0.3 * weights.stat().st_size
    build_engine(model, ShapeRange((1, 1, 32, 32, 32), (1, 1, 64, 64, 64), (1, 1, 64, 64, 64)))


def test_a_map_of_the_surroundings_is_judged_organ_by_organ() -> None:
    bundle = load_bundle(MODELS / "surroundings")
    plain = {"plain": Weights(bundle.weights.read_bytes(), "onnxruntime")}
    scores = mean_dice(
        bundle, None, plain, [9104], PhantomOptions((60, 50, 40), (6.0, 6.0, 7.0), phase="portal_venous")
    )
    assert list(scores["plain"]) == list(bundle.spec.labels.values())[1:]
    assert scores["plain"]["lung"] > 0.8 and scores["plain"]["liver"] > 0.6
