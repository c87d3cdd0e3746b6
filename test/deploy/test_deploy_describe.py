# SPDX-License-Identifier: Apache-2.0
"""A bundle says something else of itself, and its weights stay."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra [train])")

from liver_seg_ros.deploy.describe import main
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import load_bundle

MODELS = Path(__file__).parents[2] / "models"


def test_a_bundle_says_something_else_of_itself(tmp_path: Path) -> None:
    folder, more = tmp_path / "localizer", tmp_path / "more.json"
    shutil.copytree(MODELS / "localizer", folder)
    bundle = load_bundle(folder)
    more.write_text('{"held_out": {"liver": {"mean": 0.9, "low": 0.8, "high": 0.95}}}')
    main(["--bundle", str(folder), "--version", "2.0.0", "--scores", str(more)])
    said = load_bundle(folder)
    scores = {**bundle.spec.scores, "held_out": {"liver": {"mean": 0.9, "low": 0.8, "high": 0.95}}}
    assert said.spec == replace(bundle.spec, version="2.0.0", scores=scores) and said.sha256 == bundle.sha256
    assert all(said.weights_of(variant).is_file() for variant in said.spec.variants)
    assert "liver: 0.900 (0.800 to 0.950)" in (folder / "MODEL_CARD.md").read_text()
    main(["--bundle", str(folder), "--failures", "It misses what is small.", "It takes cysts for tumors."])
    assert load_bundle(folder).spec.failures == ("It misses what is small.", "It takes cysts for tumors.")
    assert "## Where it fails\n- It misses what is small.\n- It takes" in (folder / "MODEL_CARD.md").read_text()
    main(["--bundle", str(folder), "--scores", str(more), "--only"])
    assert load_bundle(folder).spec.scores.keys() == {"held_out"}
    main(["--bundle", str(folder), "--steps", "thin_vessels", "one_liver"])
    assert load_bundle(folder).spec.postprocessing.steps == ("one_liver", "thin_vessels")
    main(["--bundle", str(folder), "--steps"])
    assert load_bundle(folder).spec.postprocessing.steps == ()
    with pytest.raises(InputError, match="nothing is to change"):
        main(["--bundle", str(folder)])
