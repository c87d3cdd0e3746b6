# SPDX-License-Identifier: Apache-2.0
"""Blending: what the network between two computes is what PyTorch computes with the mean of their weights."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra [train])")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

sys.path.insert(0, str(Path(__file__).parent))

from tiny_checkpoint import SETTINGS, checkpoint  # noqa: E402  after the skips

from liver_seg_ros.deploy.blend import blend_bundles, main  # noqa: E402
from liver_seg_ros.deploy.export import export_bundle  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle  # noqa: E402
from liver_seg_ros.inference.preprocessing import normalize  # noqa: E402
from liver_seg_ros.inference.runtimes.choice import create_runtime  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    export_bundle(checkpoint(1, [4, 6]), models / "new", SETTINGS, {"held_out": {"liver": 0.4}})
    export_bundle(checkpoint(2, [4, 6], "patients"), models / "old", {**SETTINGS, "version": "0.9.0"})
    export_bundle(checkpoint(2, [4, 8]), models / "wider", SETTINGS)
    return models


@pytest.fixture(scope="module")
def bundles(folder: Path) -> tuple[ModelBundle, ModelBundle]:
    return load_bundle(folder / "new"), load_bundle(folder / "old")


def test_between_two_networks(bundles: tuple[ModelBundle, ModelBundle], tmp_path: Path) -> None:
    blended = blend_bundles(*bundles, 0.25, "1.1.0", tmp_path / "tiny")
    one, other = checkpoint(1, [4, 6]), checkpoint(2, [4, 6])
    # These norms are as made (mean 0, variance 1, no shift), so that folding them is the same factor for both.
    mean = {
        name: 0.25 * one.weights[name] + 0.75 * other.weights[name] if one.weights[name].is_floating_point() else value
        for name, value in other.weights.items()
    }
    network = replace(one, weights=mean).network()
    hu = np.random.default_rng(1).uniform(-300, 400, (1, 1, 16, 16, 16)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(normalize(hu, one.recipe.data.hu_window))).numpy()
    found = create_runtime("onnxruntime", blended).run(hu)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_bundle_says_what_it_is_made_of_and_has_scores_of_its_own(
    bundles: tuple[ModelBundle, ModelBundle], folder: Path, tmp_path: Path
) -> None:
    scores = tmp_path / "scores.json"
    scores.write_text('{"held_out": {"liver": 0.7}}')
    options = ["--share", "0.25", "--version", "1.1.0", "--bundle", str(tmp_path / "b"), "--scores", str(scores)]
    main([str(folder / "new"), str(folder / "old"), *options])
    spec = load_bundle(tmp_path / "b").spec
    assert (spec.name, spec.version, spec.scores, spec.variants) == ("tiny", "1.1.0", {"held_out": {"liver": 0.7}}, {})
    assert spec.trained_on.startswith("Images of patients and synthetic ones: the weighted mean")
    assert "25% tiny 1.0.0 (Synthetic data only" in spec.trained_on and "source 1" in spec.trained_on
    assert "75% tiny 0.9.0 (Images of patients" in spec.trained_on and "source 2" in spec.trained_on
    assert spec.training_data == "mixed" and "patients and synthetic" in spec.intended_use


def test_what_does_not_fit_is_refused(bundles: tuple[ModelBundle, ModelBundle], folder: Path, tmp_path: Path) -> None:
    new, old = bundles
    with pytest.raises(InputError, match=r"share 1\.5: give 0"):
        blend_bundles(new, old, 1.5, "1.1.0", tmp_path / "b")
    with pytest.raises(InputError, match="not of one architecture"):
        blend_bundles(new, load_bundle(folder / "wider"), 0.5, "1.1.0", tmp_path / "b")
    other_window = replace(old, spec=replace(old.spec, input=replace(old.spec.input, hu_window=(-50.0, 200.0))))
    with pytest.raises(InputError, match="differ in 'input'"):
        blend_bundles(new, other_window, 0.5, "1.1.0", tmp_path / "b")
    assert not (tmp_path / "b").exists()
