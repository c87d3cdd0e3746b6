# SPDX-License-Identifier: Apache-2.0
"""What the fine networks are shown, at which spacing, and where the liver comes from that none of them gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import POSTPROCESSING_STEPS, InputSpec, ModelBundle, Postprocessing
from liver_seg_ros.inference.labeling import shown_of
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.volume import Volume

MakeBundle = Callable[..., ModelBundle]
Truth = tuple[Volume, NDArray[np.uint8]]

HU_WINDOW = (-200.0, 300.0)


def test_whole_slices_are_shown_and_the_whole_ct_where_its_slices_are_counted() -> None:
    geometry, box = Geometry((60, 52, 40), (2.0, 2.5, 3.0)), Box((10, 12, 14), (30, 32, 34))
    spec = InputSpec((1.0, 1.0, 1.0), HU_WINDOW, (32, 32, 32), 0.25, 4)
    assert shown_of(spec, box, geometry) == box
    in_plane = InputSpec(*_fields(spec), size=(120, 104, None), view="ct")
    assert shown_of(in_plane, box, geometry) == Box((0, 0, 14), (60, 52, 34))
    assert in_plane.spacing_for(geometry) == pytest.approx((1.0, 1.25, 1.0))
    counted = InputSpec(*_fields(spec), size=(120, None, 20), view="ct")
    assert shown_of(counted, box, geometry) == Box((0, 0, 0), (60, 52, 40))
    assert counted.spacing_for(geometry) == pytest.approx((1.0, 1.0, 6.0))


@pytest.mark.parametrize("view", ["ct", "liver"])
def test_a_size_decides_over_the_spacing(
    view: str, localizer: ModelBundle, make_bundle: MakeBundle, liver_truth: Truth
) -> None:
    """Of as many voxels as the CT has, each is judged by its own HU; at the bundle's 5 mm none would be."""
    volume, _ = liver_truth
    box = Segmenter(localizer, make_bundle("segment", ["liver", "tumor", "vessel"])).segment(volume).liver_box
    assert box is not None
    size = volume.geometry.size if view == "ct" else box.size
    fine = make_bundle(
        "segment",
        ["liver", "tumor", "vessel"],
        input=InputSpec((5.0, 5.0, 5.0), HU_WINDOW, (64, 64, 64), 0.25, 4, size=size, view=view),
    )
    found = Segmenter(localizer, fine, skip=POSTPROCESSING_STEPS).segment(volume)
    assert found.liver_box == box
    k, j, i = np.nonzero(found.labels.array)
    hu = volume.array[k, j, i]
    expected = np.digitize(hu, [-20, 100, 180, 260])
    sure = np.abs(hu[:, None] - [-20, 100, 180, 260]).min(axis=1) > 1
    np.testing.assert_array_equal(found.labels.array[k, j, i][sure], expected[sure])
    assert sure.mean() > 0.9 and np.unique(expected[sure]).tolist() == [1, 2, 3]


def test_a_tumor_only_and_a_vessel_only_model_take_the_localizers_liver(
    make_bundle: MakeBundle, liver_truth: Truth, tmp_path: Path
) -> None:
    volume, truth = liver_truth
    fine_grid = InputSpec((2.0, 2.5, 3.0), HU_WINDOW, (64, 64, 64), 0.25, 4)
    # As in paper 2, where the liver's network works at full resolution: tumors and vessels are part of the liver.
    liver = make_bundle("localize", [(-20.0, 260.0)], tmp_path / "l", input=fine_grid)
    single = [
        make_bundle("segment", [name], tmp_path / name, input=fine_grid, labels={0: "background", 1: name})
        for name in ("tumor", "vessel")
    ]
    found = Segmenter(liver, single).segment(volume)
    assert found.liver_found and found.message == "liver found, as the localizer has it"
    for value in (1, 2, 3):
        a, b = found.labels.array == value, truth == value
        assert 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)) > 0.97
    assert not found.labels.array[truth == 0].any() or np.mean(found.labels.array[truth == 0] > 0) < 0.01


def test_an_unsure_localizer_is_believed_where_nobody_else_knows_the_liver(
    make_bundle: MakeBundle, liver_truth: Truth, tmp_path: Path
) -> None:
    volume, _ = liver_truth
    unsure = make_bundle("localize", [(-20.0, 260.0)], tmp_path / "l", gain=0.01)
    tumors = make_bundle("segment", ["tumor"], tmp_path / "t", labels={0: "background", 1: "tumor"})
    stages: list[str] = []
    found = Segmenter(unsure, tumors).segment(volume, lambda stage, _: stages.append(stage))
    assert found.message == "liver found, as the localizer has it; the localizer was unsure"
    assert not found.searched and "search" not in stages
    assert {1, 2} == set(np.unique(found.labels.array)) - {0}


def test_the_bundles_smoothing_is_done_and_the_callers_comes_first(
    localizer: ModelBundle, make_bundle: MakeBundle, liver_truth: Truth
) -> None:
    volume, _ = liver_truth
    smooth = make_bundle(
        "segment", ["liver", "tumor", "vessel"], postprocessing=Postprocessing({}, 6.0, gaussian_mm={"vessel": 4.0})
    )
    voxels = {}
    for name, bundle_mm in (("own", None), ("none", {"vessel": 0.0}), ("tumor too", {"tumor": 6.0})):
        labels = Segmenter(localizer, smooth, gaussian_mm=bundle_mm).segment(volume).labels.array
        voxels[name] = np.bincount(labels.ravel(), minlength=4)
    assert voxels["own"][3] < voxels["none"][3]
    assert voxels["tumor too"][3] <= voxels["own"][3] and voxels["tumor too"][2] != voxels["own"][2]


def _fields(spec: InputSpec) -> tuple[object, ...]:
    return spec.spacing_mm, spec.hu_window, spec.patch, spec.overlap, spec.divisor
