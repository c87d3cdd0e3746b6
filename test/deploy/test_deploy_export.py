# SPDX-License-Identifier: Apache-2.0
"""Export: what ONNX Runtime computes is what PyTorch computes, and the bundle says what was trained."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

from liver_seg_ros.deploy.export import described, export_bundle, main  # noqa: E402  after the skips
from liver_seg_ros.deploy.onnx_export import ExportError, export_onnx  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.inference.bundle import load_bundle  # noqa: E402
from liver_seg_ros.inference.bundle_writing import write_bundle  # noqa: E402
from liver_seg_ros.inference.preprocessing import normalize  # noqa: E402
from liver_seg_ros.inference.runtimes.choice import create_runtime  # noqa: E402
from liver_seg_ros.networks.unet3d import UNet3D  # noqa: E402
from liver_seg_ros.training.checkpoint import (  # noqa: E402
    Checkpoint,
    build_network,
    load_checkpoint,
    save_checkpoint,
)
from liver_seg_ros.training.provenance import phantoms_in_words  # noqa: E402
from liver_seg_ros.training.recipe import read_recipe  # noqa: E402

CONFIG = Path(__file__).parents[2] / "config" / "training"
SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "version": "0.0.1",
    "patch": (16, 16, 16),
    "overlap": 0.25,
    "min_volume_mm3": {"tumor": 30},
    "margin_mm": 3,
}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A network that has seen a few images, so that its batch norms have statistics of their own to fold."""
    torch.manual_seed(0)
    recipe = read_recipe(CONFIG / "segmenter.yaml")
    recipe = replace(recipe, network={"name": "unet3d", "widths": [4, 6, 8]})
    network = build_network(recipe).train()
    for _ in range(3):
        network(torch.randn(2, 1, 16, 16, 16) * 2 + 0.5)
    return Checkpoint(
        recipe,
        network.state_dict(),
        {},
        step=3,
        seconds=1.0,
        cases=7,
        scores={"liver": 0.5},
        images="synthetic",
        source=phantoms_in_words(recipe, 7),
    )


@pytest.fixture(scope="module")
def bundle_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export_bundle(checkpoint, folder, SETTINGS, {"held_out": {"liver": 0.4}})
    return folder


def test_the_runtime_computes_what_the_network_computes(checkpoint: Checkpoint, bundle_folder: Path) -> None:
    runtime = create_runtime("auto", load_bundle(bundle_folder))
    network = checkpoint.network()
    for shape in ((1, 1, 16, 16, 16), (1, 1, 8, 20, 12), (1, 1, 4, 4, 28)):
        hu = np.random.default_rng(1).uniform(-300, 400, shape).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(normalize(hu, checkpoint.recipe.data.hu_window))).numpy()
        assert np.abs(runtime.run(hu) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_model_is_one_file_with_norms_folded(bundle_folder: Path) -> None:
    model = onnx.load(bundle_folder / "model.onnx")
    operators = {node.op_type for node in model.graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators
    assert model.opset_import[0].version >= 17
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_the_bundle_says_what_was_trained(bundle_folder: Path) -> None:
    spec = load_bundle(bundle_folder).spec
    assert (spec.stage, spec.input.divisor) == ("segment", 4)
    assert (spec.values, spec.output) == ("hu", "logits")
    assert spec.input.spacing_mm == (1.5, 1.5, 1.5)
    assert spec.scores == {"validation_dice_all_phases": {"liver": 0.5}, "held_out": {"liver": 0.4}}
    card = (bundle_folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Synthetic data only" in card
    assert "7 phantoms" in card
    assert "not for clinical use" in card


def test_the_card_says_how_phantoms_vary_and_what_the_training_began_with(checkpoint: Checkpoint) -> None:
    data = replace(checkpoint.recipe.data, variations={"plain": 1, "varied": 3})
    recipe = replace(checkpoint.recipe, data=data)
    taught_on = replace(
        checkpoint, recipe=recipe, source=phantoms_in_words(recipe, 7), began_with="liver-segmenter 1.0.0 (x)"
    )
    trained_on = described(taught_on, taught_on.network(), SETTINGS).trained_on
    assert "25% plain, 75% varied" in trained_on
    assert trained_on.endswith("Began with the weights of liver-segmenter 1.0.0 (x).")


def test_only_a_checkpoint_that_says_so_is_of_synthetic_data(checkpoint: Checkpoint) -> None:
    said = {"patients": "Images of patients: 5 CTs of LiTS", "mixed": "Images of patients and synthetic ones: 5 CTs"}
    for images, words in said.items():
        learned = replace(checkpoint, images=images, source="5 CTs of LiTS")
        spec = described(learned, learned.network(), SETTINGS)
        assert spec.training_data == images and spec.trained_on.startswith(words)
        assert "synthetic data only" not in f"{spec.trained_on} {spec.intended_use}".lower()


def test_a_checkpoint_that_says_nothing_is_unknown_on_the_card(
    checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path
) -> None:
    state = {**vars(checkpoint), "recipe": asdict(checkpoint.recipe)}
    for name in ("images", "source"):
        del state[name]
    torch.save(state, tmp_path / "old.pt")  # as checkpoints were written before they said it
    old = load_checkpoint(tmp_path / "old.pt")
    spec = described(old, old.network(), SETTINGS)
    write_bundle(tmp_path / "old", (bundle_folder / "model.onnx").read_bytes(), spec)
    assert spec.training_data == "unsaid"
    assert spec.trained_on.startswith("Unknown: the checkpoint does not say")
    card = (tmp_path / "old" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "ynthetic" not in card and "phantoms" not in card and "It is not known whose images" in card


def test_an_export_that_computes_something_else_is_refused() -> None:
    network = UNet3D(widths=(4, 6)).eval()
    with pytest.raises(ExportError, match="ONNX Runtime differs from PyTorch"):
        export_onnx(network, (4, 4, 4), None, tolerance=-1.0)


def test_a_missing_setting_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "overlap"}
    with pytest.raises(InputError, match="the bundle's settings lack 'overlap'"):
        export_bundle(checkpoint, tmp_path / "tiny", settings)


@pytest.mark.parametrize("setting", ["values", "output", "input"])
def test_a_setting_that_is_no_choice_is_named(checkpoint: Checkpoint, tmp_path: Path, setting: str) -> None:
    with pytest.raises(InputError, match=f"setting '{setting}' is 'HU'; it must be one of "):
        export_bundle(checkpoint, tmp_path / "tiny", {**SETTINGS, setting: "HU"})


def test_labels_from_half_precision_values_can_be_had(checkpoint: Checkpoint, tmp_path: Path) -> None:
    settings = {**SETTINGS, "values": "normalized", "output": "argmax", "input": "float16"}
    runtime = create_runtime("onnxruntime", export_bundle(checkpoint, tmp_path / "tiny", settings))
    labels = runtime.run(np.zeros((2, 1, 8, 4, 12), np.float16))
    assert labels.dtype == np.uint8 and labels.shape == (2, 8, 4, 12)


def test_the_command_refuses_bad_input_with_one_line(checkpoint: Checkpoint, tmp_path: Path) -> None:
    saved = tmp_path / "checkpoint.pt"
    save_checkpoint(saved, checkpoint)
    (tmp_path / "settings.yaml").write_text("localize: {}\n", encoding="utf-8")
    arguments = ["--bundle", str(tmp_path / "out"), "--settings", str(tmp_path / "settings.yaml"), "--checkpoint"]
    command = [sys.executable, "-m", "liver_seg_ros.deploy.export", *arguments, str(tmp_path / "none.pt")]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
    assert "there is no checkpoint" in failed.stderr
    with pytest.raises(InputError, match=r"\A.*no settings for stage.*\Z"):
        main([*arguments, str(saved)])


def test_the_place_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("mine")
    arguments = ["--checkpoint", str(tmp_path / "none.pt"), "--bundle", str(tmp_path)]
    with pytest.raises(InputError, match=r"model\.yaml' was not written by 'export'"):
        main(arguments)
    with pytest.raises(InputError, match=r"model\.yaml' is an input of this run"):
        main([*arguments, "--settings", str(tmp_path / "model.yaml"), "--overwrite"])
    assert (tmp_path / "model.yaml").read_text() == "mine"
