# SPDX-License-Identifier: Apache-2.0
"""Folders of masks as TotalSegmentator and 3D-IRCADb leave them, and the one door for labels of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.found_labels import Canvas
from liver_seg_ros.files.label_folders import find_in_folder
from liver_seg_ros.files.label_schemes import IRCADB, LITS, TOTALSEGMENTATOR, LabelScheme
from liver_seg_ros.files.label_sources import read_label_source
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import (
    AORTA,
    BONE,
    HEPATIC_ARTERY,
    HEPATIC_VEIN,
    KIDNEY,
    LIVER,
    PORTAL_VEIN,
    SPLEEN,
    TUMOR,
    VENA_CAVA,
    VESSEL,
)

SHAPE = (5, 12, 16)  # of the series that `make_series` makes, [k, j, i]


def mask(*boxes: tuple[slice, ...]) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    for box in boxes:
        array[box] = 1
    return array


LIVER_BOX = (slice(1, 4), slice(2, 8), slice(2, 10))
TUMOR_BOX = (slice(2, 3), slice(3, 6), slice(3, 6))
VEIN_BOX = (slice(2, 3), slice(4, 5), slice(4, 15))  # through the tumor, out of the liver


@pytest.fixture
def nifti(tmp_path: Path) -> Callable[..., Path]:
    """Writes masks as `<name>.nii.gz`."""

    def write(masks: Mapping[str, np.ndarray], folder: str = "masks", spacing_mm: float = 2.0) -> Path:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, array in masks.items():
            image = nibabel.Nifti1Image(array.T, np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0]))
            image.header.set_xyzt_units("mm")
            nibabel.save(image, tmp_path / folder / f"{name}.nii.gz")
        return tmp_path / folder

    return write


@pytest.fixture
def ircadb(tmp_path: Path, make_series: Callable) -> Callable[..., Path]:
    """Writes a patient of 3D-IRCADb: `MASKS_DICOM/<name>/` with DICOM files without suffix, 255 in the mask."""

    def write(masks: Mapping[str, np.ndarray]) -> Path:
        for name, array in masks.items():
            folder = make_series(array.astype(np.int16) * 255).save(tmp_path / "MASKS_DICOM" / name)
            for number, path in enumerate(sorted(folder.iterdir())):
                path.rename(folder / f"image_{number}")
        return tmp_path

    return write


def test_a_folder_of_totalsegmentator(nifti: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    kidney, spleen, rib = (mask((slice(0, 1), slice(j, j + 2), slice(12, 14))) for j in (0, 4, 8))
    folder = nifti(
        {
            "vertebrae_L5": rib, "portal_vein_and_splenic_vein": mask(VEIN_BOX), "liver_tumor": mask(TUMOR_BOX),
            "spleen": spleen, "liver": mask(LIVER_BOX), "kidney_left": kidney, "kidney_right": mask(),
            "esophagus": mask(LIVER_BOX),
        }
    )  # fmt: skip
    (folder / "statistics.json").write_text("{}")
    found = find_in_folder(folder)
    expected = np.zeros(SHAPE, np.uint8)
    for box, structure in ((LIVER_BOX, LIVER), (VEIN_BOX, PORTAL_VEIN), (TUMOR_BOX, TUMOR)):
        expected[box] = structure.value
    for array, structure in ((kidney, KIDNEY), (spleen, SPLEEN), (rib, BONE)):
        expected[array > 0] = structure.value
    assert (found.labels.array == expected).all()
    assert found.labels.geometry.spacing_mm == (2, 2, 2) and found.source == TOTALSEGMENTATOR.about
    assert found.organ is not None and (found.organ == (mask(LIVER_BOX) > 0)).all()
    assert found.structures == (LIVER, TUMOR, PORTAL_VEIN, KIDNEY, SPLEEN, BONE)
    assert found.taken_for["esophagus"] is None and found.taken_for["vertebrae_L5"] == BONE
    assert not caplog.records
    assert (read_label_source(folder).labels.array == expected).all()


def test_the_public_data_sets_folder_of_a_patient(nifti: Callable[..., Path]) -> None:
    folder = nifti({"liver": mask(LIVER_BOX)}, "s0011/segmentations").parent
    nifti({"ct": mask()}, "s0011")
    assert find_in_folder(folder).taken_for == {"liver": LIVER}


def test_strange_files_are_left_out_and_named(nifti: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    masks = {"liver": mask(LIVER_BOX), "ct": mask(VEIN_BOX), "Tumor 2": mask(TUMOR_BOX), "gizzard": mask(VEIN_BOX)}
    found = find_in_folder(nifti(masks))
    assert found.labels.counts() == {"liver": 135, "tumor": 9, "vessel": 0}
    assert "left out, since no structure is known by these names: ct, gizzard" in caplog.text


def test_a_patient_of_3d_ircadb(ircadb: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    artery = (slice(3, 4), slice(6, 11), slice(5, 6))
    masks = {
        "skin": mask((slice(None), slice(None), slice(None))), "venoussystem": mask(VEIN_BOX),
        "livertumor2": mask(TUMOR_BOX), "livertumor1": mask((slice(1, 2), slice(2, 4), slice(2, 4))),
        "liver": mask(LIVER_BOX), "artery": mask(artery), "tumor": mask((slice(0, 1),)), "bone": mask((slice(4, 5),)),
    }  # fmt: skip
    patient = ircadb(masks)
    (patient / "PATIENT_DICOM").mkdir()
    for folder in (patient, patient / "MASKS_DICOM"):
        found = find_in_folder(folder)
        inside = np.zeros(SHAPE, bool)
        inside[LIVER_BOX] = True
        expected = np.zeros(SHAPE, np.uint8)
        expected[4] = BONE.value
        expected[inside] = LIVER.value
        expected[VEIN_BOX] = VENA_CAVA.value
        expected[inside & (mask(VEIN_BOX) > 0)] = HEPATIC_VEIN.value
        expected[artery] = AORTA.value
        expected[inside & (mask(artery) > 0)] = HEPATIC_ARTERY.value
        expected[TUMOR_BOX] = expected[1:2, 2:4, 2:4] = TUMOR.value
        assert (found.labels.array == expected).all()
        assert found.organ is not None and (found.organ == inside).all()
    assert found.labels.geometry.spacing_mm == (1.5, 1.25, 2.5) and found.source == IRCADB.about
    assert found.taken_for["venoussystem"] == HEPATIC_VEIN
    assert found.taken_for["venoussystem outside the liver"] == VENA_CAVA
    assert found.taken_for["skin"] is None and found.taken_for["tumor"] is None
    assert not caplog.records


def test_one_mask_of_3d_ircadb(ircadb: Callable[..., Path]) -> None:
    patient = ircadb({"liver": mask(LIVER_BOX), "venoussystem": mask(VEIN_BOX)})
    found = find_in_folder(patient / "MASKS_DICOM" / "venoussystem")
    assert found.structures == (HEPATIC_VEIN, VENA_CAVA)
    assert (found.labels.mask(HEPATIC_VEIN.value) == mask(VEIN_BOX)).all()  # no liver says what is outside of it
    assert found.organ is None


def test_the_flag_forces_whose_names_they_are(
    nifti: Callable[..., Path], ircadb: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = nifti({"livertumor": mask(TUMOR_BOX), "liver": mask(LIVER_BOX)})
    assert find_in_folder(folder, IRCADB).structures == (LIVER, TUMOR)
    assert not caplog.records
    assert find_in_folder(folder, TOTALSEGMENTATOR).structures == (LIVER,) and "livertumor" in caplog.text
    assert find_in_folder(ircadb({"spleen": mask(TUMOR_BOX)}), TOTALSEGMENTATOR).structures == (SPLEEN,)


def test_a_users_scheme_says_each_name(nifti: Callable[..., Path]) -> None:
    folder = nifti({"organ": mask(LIVER_BOX), "v1": mask(VEIN_BOX), "ct": mask()})
    mine = LabelScheme("my.yaml", "my.yaml", {}, {"organ": LIVER, "v*": VESSEL, "ct": None}, is_users=True)
    found = find_in_folder(folder, mine)
    assert found.taken_for == {"ct": None, "organ": LIVER, "v1": VESSEL} and found.source == "my.yaml"
    partly = LabelScheme("my.yaml", "my.yaml", {}, {"organ": LIVER, "ct": None}, is_users=True)
    with pytest.raises(InputError, match=r"my.yaml says nothing about 'v1'.*null"):
        find_in_folder(folder, partly)
    with pytest.raises(InputError, match=r"is a folder of masks, whose names my\.yaml does not say"):
        find_in_folder(folder, LabelScheme("my.yaml", "my.yaml", {1: LIVER}, is_users=True))
    with pytest.raises(InputError, match="is a folder of masks, whose names LiTS"):
        find_in_folder(folder, LITS)


def test_folders_that_are_none_of_masks(nifti: Callable[..., Path], tmp_path: Path, make_series: Callable) -> None:
    (tmp_path / "empty").mkdir()
    make_series().save(tmp_path / "series")
    for folder in (tmp_path / "empty", tmp_path / "series", nifti({"abc": mask()}, "others")):
        with pytest.raises(InputError, match=r"show whose they are.*--labels: totalsegmentator"):
            find_in_folder(folder)
    with pytest.raises(InputError, match="none of its masks is in the label table: esophagus, trachea"):
        find_in_folder(nifti({"esophagus": mask(), "trachea": mask()}, "throat"))


def test_masks_that_do_not_fit_together(nifti: Callable[..., Path]) -> None:
    folder = nifti({"liver": mask(LIVER_BOX)})
    nifti({"spleen": mask(TUMOR_BOX)}, spacing_mm=3.0)
    with pytest.raises(
        InputError,
        match=r"spleen.nii.gz: lies on another grid than liver.nii.gz .*: spacing 3x3x3 instead of 2x2x2 mm",
    ):
        find_in_folder(folder)


def test_masks_stored_in_different_orders_of_axes(nifti: Callable[..., Path]) -> None:
    folder = nifti({"liver": mask(LIVER_BOX), "spleen": mask(VEIN_BOX)})
    expected = find_in_folder(folder).labels.array
    stored = nibabel.load(folder / "spleen.nii.gz")
    turned = nibabel.Nifti1Image(np.asarray(stored.dataobj), stored.affine)
    nibabel.save(nibabel.as_closest_canonical(turned), folder / "spleen.nii.gz")
    assert (nibabel.load(folder / "spleen.nii.gz").affine != stored.affine).any()
    assert (find_in_folder(folder).labels.array == expected).all()


def test_a_mask_of_several_values(nifti: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"liver.nii.gz: holds the values 1, 2"):
        find_in_folder(nifti({"liver": mask(LIVER_BOX) + mask(TUMOR_BOX)}))


def test_a_masks_file_name_says_what_it_is_of(nifti: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    """Each of TotalSegmentator's masks holds 1, which is a liver here and a spleen in its table of numbers."""
    names = ("liver", "spleen", "kidney_left", "tumors", "scan12")
    folder = nifti({name: mask(TUMOR_BOX) for name in (*names, "trachea")})

    def taken(name: str, scheme: LabelScheme | None = None) -> list:
        found = read_label_source(folder / f"{name}.nii.gz", scheme)
        assert found.labels.counts()[found.structures[0].name] == 9 == np.count_nonzero(found.labels.array)
        return list(found.taken_for.values())

    assert taken("liver") == [LIVER] and taken("scan12") == [LIVER] and not caplog.records
    assert taken("spleen") == [SPLEEN] and taken("tumors") == [TUMOR] and taken("kidney_left") == [KIDNEY]
    assert "spleen.nii.gz: taken for a mask of the structure spleen, as its name says." in caplog.text
    caplog.clear()
    assert taken("liver", TOTALSEGMENTATOR) == [LIVER] and taken("kidney_left", TOTALSEGMENTATOR) == [KIDNEY]
    assert not caplog.records
    assert read_label_source(folder / "scan12.nii.gz", TOTALSEGMENTATOR).taken_for == {"1": SPLEEN}  # by its number
    assert read_label_source(folder / "tumors.nii.gz", TOTALSEGMENTATOR).taken_for == {"1": SPLEEN}  # no name of its
    assert read_label_source(folder / "spleen.nii.gz", LITS).taken_for == {"1": LIVER}  # as the user says
    for scheme in (None, TOTALSEGMENTATOR):
        with pytest.raises(InputError, match=r"is a mask of 'trachea' by its name, which the label table does not"):
            read_label_source(folder / "trachea.nii.gz", scheme)


def test_several_values_are_no_mask_whatever_the_file_is_called(nifti: Callable[..., Path]) -> None:
    folder = nifti({"spleen": mask(LIVER_BOX) + mask(TUMOR_BOX)})
    assert read_label_source(folder / "spleen.nii.gz").taken_for == {"1": LIVER, "2": TUMOR}


def test_paths_that_hold_no_labels(tmp_path: Path, make_series: Callable) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_label_source(tmp_path / "none.nii.gz")
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(InputError, match="is no NIfTI, NRRD or MetaImage file"):
        read_label_source(tmp_path / "text.txt")
    (tmp_path / "text.dcm").write_text("text")
    with pytest.raises(InputError, match="is no readable DICOM Segmentation"):
        read_label_source(tmp_path / "text.dcm", None, Geometry((16, 12, 5)))
    (slice_path, *_) = make_series().save(tmp_path / "series").iterdir()
    slice_path = slice_path.rename(tmp_path / "slice")
    with pytest.raises(InputError, match="Give that CT too, with --ct"):
        read_label_source(slice_path)


@given(st.permutations([LIVER, TUMOR, PORTAL_VEIN, BONE, VENA_CAVA]))
def test_the_order_of_masks_does_not_matter(order: list) -> None:
    """In a voxel that lies in all of them, and in voxels that lie in all but the ones before."""
    last = [TUMOR, PORTAL_VEIN, BONE, VENA_CAVA, LIVER]  # who wins over all that come after it
    canvas = Canvas((1, 1, 6))
    for structure in order:
        where = np.zeros((1, 1, 6), bool)
        where[..., : last.index(structure) + 1] = True
        canvas.paint(structure, where)
    assert canvas.array[0, 0].tolist() == [*(structure.value for structure in last), 0]
    assert canvas.organ is not None and canvas.organ[0, 0].tolist() == [True] * 5 + [False]
