# SPDX-License-Identifier: Apache-2.0
"""Bone, lung and gas by their HU in real CTs: a torso without contrast, and a patient whose bones are labelled."""

from __future__ import annotations

import tarfile
from pathlib import Path

import edt
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.files.volumes import read_labels, read_volume
from liver_seg_ros.labels import BONE, LIVER, LIVER_VESSELS, LUNG, TUMOR
from liver_seg_ros.planning.air_by_hu import GAS
from liver_seg_ros.planning.anatomy import prepare_anatomy
from liver_seg_ros.planning.body import find_body
from liver_seg_ros.planning.clearance import distance_field
from liver_seg_ros.planning.obstacles_by_hu import find_by_hu
from liver_seg_ros.planning.ranking import rank_trajectories
from liver_seg_ros.planning.skin import find_skin
from liver_seg_ros.volume import LabelVolume

pytestmark = pytest.mark.timeout(600)


def test_no_first_trajectory_of_a_real_torso_meets_what_is_as_bright_as_bone(shared_data: Path) -> None:
    folder = shared_data / "ct_torso_3mm"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    ct, liver = read_volume(folder / "ct.nii.gz"), read_labels(folder / "liver.nii.gz")
    labels = LabelVolume((liver.array > 0).astype(np.uint8), ct.geometry)
    anatomy = prepare_anatomy(labels, ct=ct)
    assert set(anatomy.by_hu.found) == {BONE, LUNG, GAS}
    inside = ct.geometry.index_to_lps(np.argwhere(labels.array)[:, ::-1])
    right = inside[inside[:, 0] < np.quantile(inside[:, 0], 0.3)]
    for target in right[:: len(right) // 4][:4]:
        ranked = rank_trajectories(anatomy, target).trajectories
        assert ranked
        for way in ranked[:3]:
            needle = way.evaluation.trajectory
            axis = np.linspace(needle.entry_mm, needle.target_mm, 300)
            hu = map_coordinates(ct.array.astype(np.float32), ct.geometry.lps_to_index(axis)[:, ::-1].T, order=1)
            under_skin = np.linspace(0, way.evaluation.length_mm, 300) > 10
            assert hu.max() < 200 and hu[under_skin].min() > -250  # neither bone nor lung


def test_needles_through_a_patients_hard_bone_are_not_open(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """3D-IRCADb-01, patient 17, whose mask of bone holds the ribs' cartilage, which is hardly brighter than muscle."""
    archive = shared_data / "ircadb01_17" / "original_dicom.tar.gz"
    if not archive.is_file():
        pytest.skip(f"the real patient 3D-IRCADb-01 17 is not at {archive}")
    folder = tmp_path_factory.mktemp("patient")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    ct, found = read_volume(folder / "PATIENT_DICOM"), read_label_source(folder).labels
    liver = [structure.value for structure in (LIVER, TUMOR, *LIVER_VESSELS)]
    labels = LabelVolume(np.where(np.isin(found.array, liver), found.array, np.uint8(0)), found.geometry)
    spacing_mm = ct.geometry.spacing_mm[::-1]
    mask = found.mask(BONE.value)
    hard = mask & (gaussian_filter(ct.array.astype(np.float32), [2 / mm for mm in spacing_mm]) > 170)

    body = find_body(ct)
    (bone,) = (mesh for mesh in find_by_hu(ct, labels, body).meshes if mesh.structure == BONE)
    field = distance_field(bone)
    for part, least in ((hard, 0.995), (mask, 0.95)):
        voxels = np.argwhere(part)[:: np.count_nonzero(part) // 5000, ::-1]
        assert (field.distance(ct.geometry.index_to_lps(voxels)) <= 1.75).mean() > least

    skin = find_skin(ct, point_spacing_mm=10.0, body=body)
    inside = np.argwhere(labels.array > 0)[:, ::-1]
    targets = ct.geometry.index_to_lps(inside[:: len(inside) // 30])
    pairs = [(entry, target) for target in targets for entry in skin.entries_to(target)]
    entries, ends = (np.array(points) for points in zip(*pairs, strict=True))
    short = np.linalg.norm(entries - ends, axis=1) <= 150  # longer ones pass heart and kidneys, which are as bright
    entries, ends = entries[short], ends[short]
    depth_mm = edt.edt(hard, anisotropy=spacing_mm)
    away_mm = edt.edt(~mask, anisotropy=spacing_mm)
    deepest, nearest = np.zeros(len(entries)), np.full(len(entries), np.inf)
    for share in np.linspace(0, 1, 200):
        index = ct.geometry.lps_to_index(entries + share * (ends - entries))[:, ::-1].T
        deepest = np.maximum(deepest, map_coordinates(depth_mm, index, order=1))
        nearest = np.minimum(nearest, map_coordinates(away_mm, index, order=1, mode="nearest"))
    is_open = field.along(entries, ends, 0.75).clearance_mm >= 1
    assert (deepest > 1).sum() > 500 and not is_open[deepest > 1].any()
    assert is_open[nearest > 4].mean() > 0.9  # those that pass beside it are
