# SPDX-License-Identifier: Apache-2.0
"""What is added to a bundle's logits is what its network then gives more, and nothing else of it changes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra [train])")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra [deploy])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")

sys.path.insert(0, str(Path(__file__).parent))

from tiny_checkpoint import SETTINGS, checkpoint  # noqa: E402  after the skips

from liver_seg_ros.deploy.export import export_bundle  # noqa: E402
from liver_seg_ros.deploy.logit_adjustment import adjust_logits, main  # noqa: E402
from liver_seg_ros.errors import InputError  # noqa: E402
from liver_seg_ros.inference.bundle import ModelBundle, load_bundle  # noqa: E402
from liver_seg_ros.inference.runtimes.choice import create_runtime  # noqa: E402


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return export_bundle(checkpoint(1, [4, 6]), folder, SETTINGS, {"held_out": {"liver": 0.4}})


def test_the_logits_of_one_structure_are_higher_by_so_much(bundle: ModelBundle, tmp_path: Path) -> None:
    main([str(bundle.folder), "--add", "vessel=0.75", "tumor=-0.5", "--version", "1.0.1", "--bundle", str(tmp_path)])
    adjusted = load_bundle(tmp_path)
    hu = np.random.default_rng(1).uniform(-300, 400, (1, 1, 16, 16, 16)).astype(np.float32)
    before, after = (create_runtime("onnxruntime", each).run(hu) for each in (bundle, adjusted))
    more = (after - before).mean(axis=(0, 2, 3, 4))
    np.testing.assert_allclose(more, [0, 0, -0.5, 0.75], atol=1e-5)  # background, liver, tumor, vessel
    np.testing.assert_allclose(after - before, more[None, :, None, None, None] + 0 * before, atol=1e-4)
    spec = adjusted.spec
    assert (spec.version, spec.scores, spec.variants) == ("1.0.1", {}, {})
    assert spec.trained_on.endswith("Constants were added to its logits: +0.75 for vessel, -0.5 for tumor.")
    assert (spec.input, spec.labels) == (bundle.spec.input, bundle.spec.labels)


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ({"spleen": 1.0}, "no label 'spleen'; it has background, liver, tumor, vessel"),
        ({"vessel": float("nan")}, "vessel=nan: give a finite number"),
        ({"vessel": 0.0}, "nothing to add"),
    ],
)
def test_what_cannot_be_added_is_refused(
    bundle: ModelBundle, tmp_path: Path, added: dict[str, float], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        adjust_logits(bundle, added, "1.0.1", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_network_with_another_end_is_refused(bundle: ModelBundle, tmp_path: Path) -> None:
    model = onnx.load(str(bundle.weights))
    node = model.graph.node[-1]
    node.output[0], name = "scores", node.output[0]
    model.graph.node.append(onnx.helper.make_node("Relu", ["scores"], [name]))
    onnx.save(model, tmp_path / "relu.onnx")
    other = ModelBundle(bundle.folder, tmp_path / "relu.onnx", bundle.sha256, bundle.spec)
    with pytest.raises(InputError, match=r"relu.onnx ends in Relu: only logits of a last convolution"):
        adjust_logits(other, {"vessel": 1.0}, "1.0.1", tmp_path / "b")


def test_a_number_that_is_none_is_refused(bundle: ModelBundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--add vessel: give LABEL=NUMBER"):
        main([str(bundle.folder), "--add", "vessel", "--version", "1", "--bundle", str(tmp_path / "b")])
