# SPDX-License-Identifier: Apache-2.0
"""Initial weights: a network that goes on from a bundle computes what the bundle computes, norms included."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

pytest.importorskip("onnx", reason="onnx is not installed (extra [train])")

import onnx

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle
from liver_seg_ros.inference.bundle_writing import write_bundle
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.networks.unet3d import UNet3D
from liver_seg_ros.training.checkpoint import load_checkpoint
from liver_seg_ros.training.initial_weights import load_initial_weights
from liver_seg_ros.training.network_module import set_training_mode
from liver_seg_ros.training.phantom_dataset import PhantomDataset
from liver_seg_ros.training.recipe import Recipe, read_recipe
from liver_seg_ros.training.trainer import CHECKPOINT, Trainer

REPOSITORY = Path(__file__).parents[2]
SHIPPED = {"segmenter": (4, (16, 32, 64, 128), 2), "localizer": (2, (16, 32, 64, 96), 1)}


def shipped_network(name: str) -> UNet3D:
    classes, widths, convolutions = SHIPPED[name]
    return UNet3D(1, classes, widths, convolutions)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("training", [False, True])
def test_the_network_gives_the_logits_of_the_shipped_bundle(name: str, training: bool) -> None:
    bundle = load_bundle(REPOSITORY / "models" / name)
    network = shipped_network(name)
    load_initial_weights(network, bundle)
    hu = np.random.default_rng(1).uniform(-200, 350, (1, 1, 16, 24, 32)).astype(np.float32)
    expected = onnxruntime.InferenceSession(str(bundle.weights)).run(None, {"image": hu})[0]
    network.eval()
    if training:
        set_training_mode(network, fixed_norm=True)
    with torch.no_grad():
        found = network(torch.from_numpy(normalize(hu, bundle.spec.input.hu_window))).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_filters_have_the_size_of_new_ones() -> None:
    """So that one learning rate suits all levels; as they are in the bundle, deep ones are ten times smaller."""
    network = shipped_network("segmenter")
    new = {name: float(p.detach().square().mean().sqrt()) for name, p in network.named_parameters() if p.ndim == 5}
    load_initial_weights(network, load_bundle(REPOSITORY / "models" / "segmenter"))
    for name, weights in network.named_parameters():
        if weights.ndim == 5 and weights.shape[-1] == 3:
            assert float(weights.detach().square().mean().sqrt()) == pytest.approx(new[name], rel=0.3), name


def test_another_network_is_refused() -> None:
    bundle = load_bundle(REPOSITORY / "models" / "segmenter")
    for other in (UNet3D(widths=(8, 16, 32, 64)), UNet3D(classes=7), UNet3D(widths=(16, 32, 64, 128, 256))):
        with pytest.raises(InputError, match="are of another network"):
            load_initial_weights(other, bundle)


def bundle_of_slices(folder: Path, **input_fields: Any) -> ModelBundle:
    """A convolution whose norm is folded, and a head, as an export names them."""
    rng = np.random.default_rng(0)
    weights = {
        "network.stem.0.weight": rng.normal(0, 0.2, (4, 1, 3, 3)), "shift": rng.normal(0, 0.2, 4),
        "network.head.weight": rng.normal(0, 0.2, (4, 4, 1, 1)), "network.head.bias": rng.normal(0, 0.2, 4),
        "low": -100.0, "high": 250.0, "middle": 75.0, "half": 175.0,
    }  # fmt: skip
    helper = onnx.helper
    nodes = [
        helper.make_node("Clip", ["image", "low", "high"], ["clipped"]),
        helper.make_node("Sub", ["clipped", "middle"], ["centered"]),
        helper.make_node("Div", ["centered", "half"], ["values"]),
        helper.make_node("Conv", ["values", "network.stem.0.weight", "shift"], ["features"], pads=[1] * 4),
        helper.make_node("Conv", ["features", "network.head.weight", "network.head.bias"], ["logits"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", count, "J", "I"])
        for name, count in (("image", 1), ("logits", 4))
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "slices", ports[:1], ports[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    spec = load_bundle(REPOSITORY / "models" / "segmenter").spec
    own = replace(spec.input, hu_window=(-100.0, 250.0), patch=(32, 32, 4), slices=True, **input_fields)
    return write_bundle(folder, model, replace(spec, input=own, variants={}))


def test_a_network_of_slices_gives_the_logits_of_its_bundle(tmp_path: Path) -> None:
    bundle = bundle_of_slices(tmp_path / "bundle")
    stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
    network = nn.Sequential(OrderedDict(stem=stem, head=nn.Conv2d(4, 4, 1)))
    load_initial_weights(network, bundle)
    hu = np.random.default_rng(1).uniform(-200, 350, (2, 1, 24, 32)).astype(np.float32)
    expected = onnxruntime.InferenceSession(str(bundle.weights)).run(None, {"image": hu})[0]
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(normalize(hu, (-100.0, 250.0)))).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    volumes = nn.Sequential(OrderedDict(stem=nn.Identity(), head=nn.Identity()))
    with pytest.raises(InputError, match="give other logits in this network"):
        load_initial_weights(volumes, bundle)


def test_what_another_tool_trained_is_refused(tmp_path: Path) -> None:
    bundle = bundle_of_slices(tmp_path / "bundle", convention="nnunet", fixed_window=True)
    with pytest.raises(InputError, match="of a network that another tool trained; there it is trained on"):
        load_initial_weights(shipped_network("segmenter"), bundle)


def test_a_training_begins_with_them_and_resumes_without(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relative path is that of a recipe, taken from where the training is started."""
    monkeypatch.chdir(REPOSITORY)
    plan = replace(recipe.optimization, steps=1, learning_rate=0.0, fixed_norm_from=0.0)
    network = {"name": "unet3d", "widths": (16, 32, 64, 128)}
    recipe = replace(recipe, network=network, optimization=plan, initial="models/segmenter")
    dataset = PhantomDataset(folder, range(3), recipe)
    began_with = Trainer(recipe, tmp_path, dataset, {}).run().began_with
    assert began_with.startswith("liver-segmenter 1.") and "phantoms of this package" in began_with
    expected = shipped_network("segmenter")
    load_initial_weights(expected, load_bundle(REPOSITORY / "models" / "segmenter"))
    for name, weights in load_checkpoint(tmp_path / CHECKPOINT).weights.items():
        if "num_batches" not in name:
            torch.testing.assert_close(weights, expected.state_dict()[name], msg=name)
    monkeypatch.setattr("liver_seg_ros.training.initial_weights.load_initial_weights", None)  # to call it would fail
    resumed = Trainer(recipe, tmp_path, dataset, {}).run()
    assert resumed.step == 1 and resumed.began_with == began_with


def test_the_recipe_of_the_shipped_network_is_valid() -> None:
    recipe = read_recipe(REPOSITORY / "config" / "training" / "segmenter_varied.yaml")
    assert recipe.initial == "models/segmenter" and (REPOSITORY / recipe.initial).is_dir()
