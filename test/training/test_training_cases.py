# SPDX-License-Identifier: Apache-2.0
"""Cases: a seed is a case, on the network's grid, around the liver, and safe on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.labels import AORTA, LIVER, SMALL_BOWEL, TUMOR, VESSEL
from liver_seg_ros.orientation import Reorientation
from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom
from liver_seg_ros.training.cases import (
    Case,
    _scan,
    case_folder,
    case_of,
    case_path,
    class_of_values,
    make_case,
    read_case,
    write_case,
)
from liver_seg_ros.training.recipe import Recipe, read_recipe
from liver_seg_ros.volume import LabelVolume, Volume


@pytest.fixture(scope="module")
def coarse(recipe: Recipe) -> Recipe:
    """A recipe whose phantoms are quick to make: the localizer's, at its spacing."""
    data = replace(recipe.data, spacing_mm=(4.0, 4.0, 4.0), margin_mm=None, coarse_scans=1.0)
    return replace(recipe, stage="localize", data=data)


#: Whose scans have the fewest voxels of the first 2000 seeds: a phantom takes seconds.
SEED, OTHER = 1113, 1685


@pytest.fixture(scope="module")
def one(coarse: Recipe) -> Case:
    return make_case(SEED, coarse)


@pytest.fixture(scope="module")
def phantom(coarse: Recipe) -> Phantom:
    """That of which `one` was made."""
    return generate_phantom(SEED, _scan(coarse, np.random.default_rng((SEED, 1))))


def test_a_seed_is_a_case(coarse: Recipe, one: Case) -> None:
    again, other = (make_case(seed, coarse) for seed in (SEED, OTHER))
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.labels, again.labels)
    assert one.image.shape != other.image.shape or not np.array_equal(one.image, other.image)


def test_the_localizer_sees_one_whole_organ_of_plausible_size(one: Case) -> None:
    assert one.image.dtype == np.int16
    assert one.image.shape == one.labels.shape
    assert set(np.unique(one.labels)) == {0, 1}
    liver_ml = np.count_nonzero(one.labels) * 4.0**3 / 1000
    assert 500 < liver_ml < 4000
    assert one.image.min() < -900  # air around the patient
    assert 0 < np.median(one.image[one.labels == 1]) < 200


def test_what_surrounds_the_liver_keeps_its_values_and_the_liver_is_whole(coarse: Recipe) -> None:
    recipe = replace(coarse, stage="surround")
    geometry = Geometry((24, 20, 16), (4.0, 4.0, 4.0))
    values = np.zeros(geometry.shape, np.uint8)
    values[:, :10, :12], values[4:8, 2:6, 2:6], values[8:12, 2:6, 2:6] = LIVER.value, TUMOR.value, VESSEL.value
    values[:, 12:16, :8], values[:, 12:16, 10:16] = AORTA.value, SMALL_BOWEL.value
    case = case_of(Volume(values.astype(np.int16) * 10, geometry, "x"), LabelVolume(values, geometry, "x"), recipe)
    expected = np.where(np.isin(values, (TUMOR.value, VESSEL.value)), LIVER.value, values)
    assert np.array_equal(case.labels, expected)
    classes = class_of_values(recipe)
    for structure in (LIVER, AORTA, SMALL_BOWEL):
        assert recipe.labels[int(classes[structure.value])] == structure.name


def test_the_segmenter_sees_the_liver_and_the_margin_around_it(recipe: Recipe) -> None:
    case = make_case(71, replace(recipe, data=replace(recipe.data, coarse_scans=1.0)))  # quick to make
    assert set(np.unique(case.labels)) == {0, 1, 2, 3}
    box = Box.around(case.labels)
    assert box is not None
    voxels = recipe.data.margin_mm / 3.0  # type: ignore[operator]
    margins = np.concatenate([box.start, np.array(case.labels.shape[::-1]) - box.stop])
    assert np.abs(margins - voxels).max() <= 1.5
    tissue, vessel = (np.median(case.image[case.labels == value]) for value in (1, 3))
    assert vessel > tissue + 10  # portal-venous phase: image and labels lie on each other


def test_the_recipe_says_how_many_tumors(recipe: Recipe) -> None:
    def tumor_voxels(count: tuple[int, int]) -> int:
        data = replace(recipe.data, spacing_mm=(5.0, 5.0, 5.0), tumor_count=count, coarse_scans=1.0)
        return int(np.count_nonzero(make_case(5, replace(recipe, data=data)).labels == TUMOR.value))

    assert tumor_voxels((0, 0)) == 0
    assert tumor_voxels((8, 8)) > 0


def test_the_recipe_says_how_much_phantoms_vary(coarse: Recipe) -> None:
    def scans(variations: dict[str, float]) -> list[PhantomOptions]:
        data = replace(coarse.data, variations=variations)
        return [_scan(replace(coarse, data=data), np.random.default_rng(seed)) for seed in range(200)]

    plain, mixed = scans({"plain": 1.0}), scans({"plain": 1, "varied": 3})
    assert [scan.variation for scan in plain] == ["plain"] * 200
    assert [replace(scan, variation="plain") for scan in mixed] == plain  # what else is drawn stays as it was
    assert 120 < sum(scan.variation == "varied" for scan in mixed) < 180


def test_the_recipe_says_how_many_scans_are_coarse(recipe: Recipe, tmp_path: Path) -> None:
    def widths_mm(share: float | None) -> np.ndarray:
        data = replace(recipe.data, coarse_scans=share)
        scans = (_scan(replace(recipe, stage="segment", data=data), np.random.default_rng(s)) for s in range(200))
        return np.array([scan.spacing_mm[0] for scan in scans])

    assert widths_mm(None).max() <= 1.0 and widths_mm(0.0).tolist() == widths_mm(None).tolist()
    assert widths_mm(1.0).min() >= 2.0 and widths_mm(1.0).max() <= 3.5
    assert np.mean(widths_mm(0.25) > 1.5) == pytest.approx(0.25, abs=0.08)
    folders = {case_folder(tmp_path, replace(recipe, data=replace(recipe.data, coarse_scans=s))) for s in (None, 0.25)}
    assert len(folders) == 2


def test_the_cache_tells_recipes_apart(recipe: Recipe, coarse: Recipe, tmp_path: Path) -> None:
    longer = replace(recipe, data=replace(recipe.data, training_seeds=(0, 2), hu_window=(-50.0, 200.0)))
    assert case_folder(tmp_path, recipe) == case_folder(tmp_path, longer)
    assert case_folder(tmp_path, recipe) != case_folder(tmp_path, coarse)
    wider = replace(recipe, data=replace(recipe.data, margin_mm=30))
    assert case_folder(tmp_path, recipe) != case_folder(tmp_path, wider)


def test_cases_made_by_earlier_versions_are_found(tmp_path: Path) -> None:
    """The names that these recipes' folders had before there were other sources than phantoms."""
    recipes = Path(__file__).parents[2] / "config" / "training"
    for name, folder in (("localizer", "localize-c266a9ec"), ("segmenter_mixed", "segment-bede71be")):
        assert case_folder(tmp_path, read_recipe(recipes / f"{name}.yaml")).name == folder


def test_a_damaged_case_is_named(folder: Path) -> None:
    path = case_path(folder, 1)
    case = read_case(path)
    write_case(path, case)
    assert np.array_equal(read_case(path).image, case.image)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot read the training case .*00001.npz.*delete it"):
        read_case(path)


def test_any_ct_with_its_truth_is_a_case_in_any_orientation(coarse: Recipe, one: Case, phantom: Phantom) -> None:
    """As `make_case` has it, for the same phantom; stored with other axes it is the same case."""
    turned = Reorientation((2, 0, 1), (True, True, False))
    grid = turned.apply_to_geometry(phantom.ct.geometry)
    case = case_of(
        Volume(np.ascontiguousarray(turned.apply(phantom.ct.array)), grid),
        LabelVolume(np.ascontiguousarray(turned.apply(phantom.labels.array)), grid),
        coarse,
    )
    assert np.array_equal(case.labels, one.labels) and np.array_equal(case.image, one.image)


def test_a_ct_and_labels_of_other_grids_are_no_case(coarse: Recipe, phantom: Phantom) -> None:
    box = Box((0, 0, 0), (10, 10, 10))
    with pytest.raises(InputError, match="give both on one grid"):
        case_of(phantom.ct, phantom.labels.crop(box), coarse)
