# SPDX-License-Identifier: Apache-2.0
"""Several fine networks on one CT: which structure comes from which, and what lies over what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.bundle import ROUND_VESSELS, THIN_VESSELS, InputSpec, ModelBundle, Postprocessing
from liver_seg_ros.inference.fusion import joint_postprocessing, label_tables, lay_over
from liver_seg_ros.inference.segmenter import Segmenter, load_default_segmenter
from liver_seg_ros.volume import Volume

MakeBundle = Callable[..., ModelBundle]
Truth = tuple[Volume, NDArray[np.uint8]]


@pytest.fixture
def bundle_of(make_bundle: MakeBundle) -> MakeBundle:
    """Makes a network that finds these structures by their HU, in this order of classes: `(folder, *structures)`."""

    def make(folder: Path, *structures: str, **changes: object) -> ModelBundle:
        labels = dict(enumerate(("background", *structures)))
        return make_bundle("segment", list(structures), folder, labels=labels, **changes)

    return make


def test_each_structure_comes_from_the_first_bundle_that_has_it(bundle_of: MakeBundle, tmp_path: Path) -> None:
    tumors = bundle_of(tmp_path / "a", "liver", "tumor")
    vessels = bundle_of(tmp_path / "b", "liver", "vessel")
    first, second = label_tables([tumors, vessels])
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [0, 0, 3]  # its liver does not count, its second class is label 3
    with pytest.raises(InputError, match="b gives liver, vessel, which the models before it give already"):
        label_tables([tumors, vessels, vessels])
    assert [table.tolist() for table in label_tables([bundle_of(tmp_path / "c", "vessel")])] == [[0, 3]]


def test_a_tumor_lies_over_a_vessel_and_a_vessel_over_the_liver() -> None:
    values = np.arange(4, dtype=np.uint8)
    over = [[int(lay_over(np.array([a]), np.array([b]))[0]) for b in values] for a in values]
    assert over == [[0, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 2], [3, 3, 2, 3]]


def test_least_volumes_come_with_the_structures(bundle_of: MakeBundle, tmp_path: Path) -> None:
    tumors = bundle_of(
        tmp_path / "a", "liver", "tumor", postprocessing=Postprocessing({"liver": 9.0, "tumor": 8.0}, 6.0)
    )
    vessels = bundle_of(
        tmp_path / "b", "liver", "vessel", postprocessing=Postprocessing({"liver": 1.0, "vessel": 2.0}, 1.0)
    )
    joint = joint_postprocessing([tumors, vessels])
    assert joint.min_volume_mm3 == {"liver": 9.0, "tumor": 8.0, "vessel": 2.0} and joint.margin_mm == 6.0


@pytest.mark.parametrize("says_so", [(False, True), (True, False)])
def test_thin_vessels_are_followed_where_the_bundle_that_gives_vessels_says_so(
    bundle_of: MakeBundle, tmp_path: Path, says_so: tuple[bool, bool]
) -> None:
    """Of a bundle of tumors and one of vessels; what else is done is said by the first."""
    steps = [("one_liver", THIN_VESSELS) if says else ("one_liver",) for says in says_so]
    tumors, vessels = (
        bundle_of(tmp_path / name, "liver", name, postprocessing=Postprocessing({}, 3.0, own))
        for name, own in zip(("tumor", "vessel"), steps, strict=True)
    )
    assert joint_postprocessing([tumors, vessels]).steps == steps[1]


def test_round_vessels_are_lesions_where_lesions_are_asked_for(bundle_of: MakeBundle, tmp_path: Path) -> None:
    own = Postprocessing({}, 3.0, ("one_liver", THIN_VESSELS, ROUND_VESSELS))
    vessels = bundle_of(tmp_path / "a", "liver", "vessel", postprocessing=own)
    assert joint_postprocessing([vessels]).steps == ("one_liver", THIN_VESSELS)
    tumors = bundle_of(tmp_path / "b", "liver", "tumor")
    assert joint_postprocessing([vessels, tumors]).steps == ("one_liver", ROUND_VESSELS, THIN_VESSELS)


def test_two_networks_find_together_what_one_finds_that_has_all(
    localizer: ModelBundle,
    make_segmenter_bundle: MakeBundle,
    bundle_of: MakeBundle,
    liver_truth: Truth,
    tmp_path: Path,
) -> None:
    volume, truth = liver_truth
    (tmp_path / "localizer").symlink_to(localizer.folder)
    bundle_of(tmp_path / "segmenter", "liver", "tumor")
    other = InputSpec((1.5, 1.5, 2.5), (-200.0, 300.0), (32, 32, 32), 0.25, 4)  # each may have a spacing of its own
    bundle_of(tmp_path / "segmenter_vessels", "liver", "vessel", input=other)
    fractions: list[float] = []
    segmenter = load_default_segmenter(tmp_path)
    assert [bundle.folder.name for bundle in segmenter.bundles] == ["localizer", "segmenter", "segmenter_vessels"]
    fused = segmenter.segment(volume, lambda stage, f: fractions.append(f) if stage == "segment" else None)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    single = Segmenter(localizer, make_segmenter_bundle()).segment(volume)
    for value in (1, 2, 3):
        a, b = fused.labels.array == value, single.labels.array == value
        assert 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)) > 0.93
        assert np.count_nonzero(a & (truth == value)) > 0.85 * np.count_nonzero(truth == value)
