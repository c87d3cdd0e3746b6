# SPDX-License-Identifier: Apache-2.0
"""From a layout to a checkpoint: cases are kept, found again, safe between runs, and faults are named or left out."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml

from liver_seg_ros.deploy.export import export_bundle
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import load_bundle
from liver_seg_ros.training import generate, train
from liver_seg_ros.training.cases import read_case
from liver_seg_ros.training.checkpoint import Checkpoint, load_checkpoint
from liver_seg_ros.training.recipe import Recipe, recipe_from_dict
from liver_seg_ros.training.source_cases import source_cases
from liver_seg_ros.training.source_dataset import of_source
from liver_seg_ros.training.sources.about import ABOUT
from liver_seg_ros.training.sources.subject import TESTING, TRAINING, VALIDATION

sys.path.insert(0, str(Path(__file__).parent))  # tests are not importable from each other

from training_layouts import LAYOUTS, LIVER_HU, TUMOR_HU, VESSEL_HU, lits, totalsegmentator


def recipe_for(source: str, folder: Path, **data: Any) -> dict[str, Any]:
    """A recipe as its YAML has it, small enough for a test."""
    structures = [structure.name for structure in ABOUT[source].structures]
    stage = "localize" if structures == ["liver"] else "segment"
    values = {
        "spacing_mm": [4, 4, 5], "hu_window": [-100, 250], "source": source, "folder": str(folder),
        "margin_mm": 12 if stage == "segment" and (not structures or "liver" in structures) else None,
        "structures": structures if stage == "segment" and structures else None, **data,
    }  # fmt: skip
    optimization = {"patch": [16, 16, 16], "batch": 1, "steps": 2, "learning_rate": 0.01, "validate_every": 2}
    network = {"name": "unet3d", "widths": [4, 8], "convolutions": 1}
    return {"stage": stage, "network": network, "data": values, "optimization": optimization}


def made(source: str, folder: Path, **data: Any) -> Recipe:
    return recipe_from_dict(recipe_for(source, folder, **data), "test")


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scans of LiTS; not to be changed."""
    return lits(tmp_path_factory.mktemp("lits"))


def trained(source: str, folder: Path, place: Path, **data: Any) -> Checkpoint:
    """Both commands on a recipe, as a user gives it."""
    place.mkdir(exist_ok=True)
    path = place / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe_for(source, folder, **data)), encoding="utf-8")
    generate.main(["--recipe", str(path), "--cache", str(place / "cache")])
    train.main(
        ["--recipe", str(path), "--cache", str(place / "cache"), "--output", str(place / "out"), "--threads", "1"]
    )
    return load_checkpoint(place / "out" / "checkpoint.pt")


@pytest.mark.parametrize("source", [name for name in LAYOUTS if name not in ("kvasir_seg", "ircadb01")])
def test_every_source_from_its_layout_to_a_checkpoint_that_says_whose_it_is(source: str, tmp_path: Path) -> None:
    split = None if source == "totalsegmentator" else "2:1:1"
    saved = trained(source, LAYOUTS[source](tmp_path / "data"), tmp_path / "run", split=split)
    assert (saved.step, saved.images) == (2, "patients")
    row = ABOUT[source]
    expected = ("CTs of a hospital", "internal") if source == "pairs" else (row.title, row.license)
    assert (saved.data["title"], saved.data["license"]) == expected
    assert expected[0] in saved.source
    if source != "pairs":  # whose four scans are three patients'
        assert saved.data["scans"] == {"trained on": 2, "training": 2, "validation": 1, "testing": 1}
    assert list(saved.scores) == list(saved.recipe.labels.values())[1:]
    assert {"p0", "volume-0", str(tmp_path)}.isdisjoint(str(saved.data).replace("'", " ").split())  # nobody is named


def test_a_case_is_on_the_networks_grid_with_what_is_learned(four: Path, tmp_path: Path) -> None:
    cases = source_cases(made("lits17", four, split="2:1:1"), tmp_path)
    cases.make(cases.subjects[:1])
    case = read_case(cases.path(cases.subjects[0]))
    assert {*np.unique(case.labels)} == {0, 1, 2}
    for value, hu in ((1, LIVER_HU), (2, TUMOR_HU)):
        assert np.median(case.image[case.labels == value]) == hu
    stored = np.asarray(nibabel.load(cases.subjects[0].files[1]).dataobj)
    assert [np.count_nonzero(case.labels == n) for n in (1, 2)] == [np.count_nonzero(stored == n) for n in (1, 2)]
    margin = [np.flatnonzero(case.labels.any(axis=axes))[0] for axes in ((1, 2), (0, 2), (0, 1))]
    assert margin == [2, 3, 3]  # 12 mm in voxels of 5, 4, 4 mm


def test_a_structure_that_is_not_learned_is_liver_in_the_organ_and_nothing_elsewhere(tmp_path: Path) -> None:
    folder, counts = LAYOUTS["ltvs"](tmp_path / "data", 3), []
    for structures in (["liver", "tumor", "vessel"], ["liver", "tumor"], ["vessel"]):
        cases = source_cases(made("ltvs", folder, split="1:1:1", structures=structures), tmp_path / "cache")
        cases.make(cases.subjects[:1])
        case = read_case(cases.path(cases.subjects[0]))
        counts.append(np.bincount(case.labels.reshape(-1), minlength=4))
        assert VESSEL_HU in case.image[case.labels == 3] or 3 not in {*np.unique(case.labels)}
    every, without, alone = counts
    assert without[3] == 0 and without[1] == every[1] + every[3] and without[2] == every[2]
    assert alone[1] == alone[2] == 0 and alone[3] == every[3]


def test_a_fixed_size_is_kept_whatever_the_scan(four: Path, tmp_path: Path) -> None:
    """Papers 4 and 5 resize; paper 2 does so in the slice alone, with slices 1 mm apart."""
    for size, expected in (([20, 24, 12], (12, 24, 20)), ([20, 24, None], (16, 24, 20))):
        cases = source_cases(made("lits17", four, split="2:1:1", size=size, margin_mm=None), tmp_path)
        cases.make(cases.subjects[:1])
        case = read_case(cases.path(cases.subjects[0]))
        assert case.image.shape == expected
        share = np.count_nonzero(case.labels == 2) / case.labels.size
        assert share == pytest.approx(4 / 3 * np.pi * 11**3 / (128 * 104 * 80), rel=0.15)


def test_cases_are_made_once_and_anew_where_a_file_was_replaced(tmp_path: Path) -> None:
    folder = lits(tmp_path / "data")
    recipe = made("lits17", folder, split="2:1:1")
    cases = source_cases(recipe, tmp_path / "cache")
    cases.make(cases.subjects[:1])  # a run that was killed after the first
    first = cases.path(cases.subjects[0])
    before = first.stat().st_mtime_ns
    cases.make(cases.subjects)
    assert first.stat().st_mtime_ns == before
    assert len([*cases.folder.iterdir()]) == 3  # and nothing half-written
    os.utime(cases.subjects[0].files[1], ns=(0, 0))
    assert cases.path(cases.subjects[0]) != first
    # Another spacing, structure, folder or version of the code: another place.
    other = lits(tmp_path / "other", 3)
    changed = [made("lits17", folder, split="2:1:1", **data) for data in ({"spacing_mm": [5, 5, 5]}, {"margin_mm": 9})]
    places = {source_cases(r, tmp_path / "cache").folder for r in (recipe, *changed, made("lits17", other))}
    assert len(places) == 4
    assert source_cases(made("lits17", folder, split_seed=3), tmp_path / "cache").folder == cases.folder


def test_scans_can_be_kept_out_of_every_part(four: Path, tmp_path: Path) -> None:
    names = ("volume-1", "volume-3")
    cases = source_cases(made("lits17", four, split="1:1:0", without=list(names)), tmp_path)
    parts = cases.division.parts
    assert {subject.name for part in parts.values() for subject in part} == {"volume-0", "volume-2"}
    assert of_source(cases, 1).data["without"] == 2
    with pytest.raises(InputError, match="has no scan 'volume-9' to leave out; they are called like 'volume-0'"):
        source_cases(made("lits17", four, without=["volume-9"]), tmp_path)


def test_two_runs_that_share_a_cache_leave_whole_cases(four: Path, tmp_path: Path) -> None:
    runs = [source_cases(made("lits17", four, split="2:1:1"), tmp_path) for _ in range(2)]
    threads = [threading.Thread(target=run.make, args=(run.subjects,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = source_cases(made("lits17", four, split="2:1:1"), tmp_path / "alone")
    alone.make(alone.subjects)
    assert len([*runs[0].folder.iterdir()]) == 3
    for subject in alone.subjects:
        one, other = read_case(runs[0].path(subject)), read_case(alone.path(subject))
        assert np.array_equal(one.image, other.image) and np.array_equal(one.labels, other.labels)


def test_a_bad_case_is_named_and_refused_or_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = lits(tmp_path / "data")
    strict = source_cases(made("lits17", folder, split="2:1:1"), tmp_path / "cache")
    bad = strict.subjects[1]
    bad.files[0].write_bytes(bad.files[0].read_bytes()[:3000])
    with pytest.raises(InputError, match=rf"LiTS17: {bad.name} is no case: .*data.bad_cases: skip"):
        strict.make(strict.subjects)
    lenient = source_cases(made("lits17", folder, split="2:1:1", bad_cases="skip"), tmp_path / "cache")
    lenient.make(lenient.subjects)
    assert f"{bad.name} is left out: " in caplog.text
    caplog.clear()
    lenient.make(lenient.subjects)  # not asked again
    assert caplog.text == ""
    parts = {part: len(lenient.paths(part)) for part in (TRAINING, VALIDATION)}
    assert sum(parts.values()) == 2
    assert [*lenient.left_out(TRAINING), *lenient.left_out(VALIDATION)] == [bad.name]


def test_too_few_slices_and_no_liver_are_no_faults(four: Path, tmp_path: Path) -> None:
    cases = source_cases(made("lits17", four, split="2:1:1", fewest_slices=17), tmp_path)
    cases.make(cases.subjects)
    assert {*cases.left_out(TRAINING).values()} == {"it has 16 slices, and 17 are the fewest"}
    folder = totalsegmentator(tmp_path / "data")  # the last subject, of training, shows no liver
    values = {**recipe_for("totalsegmentator", folder), "stage": "segment"}
    values["data"] |= {"structures": ["liver"], "margin_mm": 10}
    cases = source_cases(recipe_from_dict(values, "test"), tmp_path)
    cases.make(cases.subjects)
    assert [*cases.left_out(TRAINING)] == ["s0003"] and cases.division.parts[TESTING][0].name == "s0002"


def test_from_dicom_in_archives_to_a_bundle_whose_card_says_where_from(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra [deploy])")
    saved = trained("ircadb01", LAYOUTS["ircadb01"](tmp_path / "data", 3), tmp_path / "run", split="1:1:1")
    settings = {
        "name": "toy", "version": "0.1", "patch": (16, 16, 16), "overlap": 0.25, "min_volume_mm3": {}, "margin_mm": 3,
    }  # fmt: skip
    bundle = load_bundle(export_bundle(saved, tmp_path / "bundle", settings).folder)
    assert (bundle.spec.training_data, bundle.spec.license) == ("patients", "NOASSERTION")
    assert bundle.spec.provenance["data"]["license"] == "CC-BY-NC-ND-4.0"
    assert bundle.spec.provenance["protocol"]["optimization"]["steps"] == 2
    card = (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in (
        "Images of patients: 1 scan of 3D-IRCADb-01",
        "- split: 1:1:1 of 3, drawn with seed 0",
        "validation_dice:",
    ):
        assert words in card
    assert "ynthetic" not in card and "Apache" not in card
    stated = export_bundle(replace(saved, data={}), tmp_path / "other", {**settings, "license": "CC-BY-NC-ND-4.0"})
    assert stated.spec.license == "CC-BY-NC-ND-4.0" and "data" not in stated.spec.provenance


@pytest.mark.parametrize(
    ("source", "change", "message"),
    [
        ("lits17", {"folder": None}, "field 'data.folder' is None; it must be the folder that LiTS17 lies in"),
        ("lits17", {"split": "paper2"}, r"field 'data.split' is 'paper2'; it must be one that lits17 has \(paper1, "),
        ("lits17", {"split": "8-1-1"}, "field 'data.split' is '8-1-1'; it must be the name of a paper's split"),
        ("lits17", {"structures": None}, r"LiTS17 says nothing about vessel.*data.structures: \[liver, tumor\]"),
        ("lits17", {"structures": ["spleen"]}, "must be a list of some of liver, tumor, vessel"),
        ("lits17", {"training_seeds": [0, 3]}, "training_seeds belongs to phantoms, and the source is 'lits17'"),
        ("msd08", {"margin_mm": 20}, "Task08_HepaticVessel has no liver to keep data.margin_mm around"),
        ("lits17", {"source": "lits18"}, "field 'data.source' is 'lits18'; it must be one of phantoms, pairs, lits17"),
        (
            "kvasir_seg",
            {"structures": None},
            "spacing_mm belongs to CTs, and 'kvasir_seg' holds color pictures; give null",
        ),
        (
            "lits17",
            {"neighbors": 1},
            r"data.neighbors belongs to a network of slices, .* is \[i, j, 1\]",
        ),
        ("lits17", {"bad_cases": "hide"}, "must be one of refuse, skip"),
        ("lits17", {"size": [0, 4, 4]}, "must be three sizes in voxels"),
        ("phantoms", {"folder": None}, "field 'data.phases' is None; it must be a positive share"),
        (
            "phantoms",
            {"phases": {"none": 1}, "training_seeds": [0, 1], "validation_seeds": [1, 2]},
            "folder belongs to",
        ),
    ],
)
def test_a_mistake_in_a_recipe_is_named(source: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe_from_dict({**(values := recipe_for(source, Path("data"))), "data": values["data"] | change}, "test")


def test_an_image_file_that_is_no_ct_is_named(tmp_path: Path) -> None:
    folder = lits(tmp_path / "data", 3)
    for path in folder.rglob("volume-*.nii"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)), path)
    cases = source_cases(made("lits17", folder), tmp_path)
    with pytest.raises(InputError, match=r"volume-\d is no case: .*volume-\d.nii"):
        cases.make(cases.subjects)
