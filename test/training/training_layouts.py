# SPDX-License-Identifier: Apache-2.0
"""Data sets of a few small scans in the layouts that they are distributed in, bytes and oddities included.

All show one scene, which is painted by where each voxel lies in LPS millimetres: whatever the orientation of a file, a
reader must find the same at the same place.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE = (32, 26, 16)
SPACING = (4.0, 4.0, 5.0)
BACKGROUND_HU, LIVER_HU, TUMOR_HU, VESSEL_HU = -80, 110, 40, 190

#: LPS mm, for tests to look at: (place, HU, what is there).
PLACES = (
    ((-20.0, 4.0, 8.0), LIVER_HU, "liver"),
    ((18.0, 6.0, 4.0), TUMOR_HU, "tumor"),
    ((-8.0, -10.0, -6.0), VESSEL_HU, "vessel"),
    ((52.0, -10.0, -6.0), VESSEL_HU, "vessel outside"),
    ((-50.0, 30.0, -25.0), BACKGROUND_HU, "background"),
)


def scene(affine_ras: NDArray[np.float64], size: tuple[int, int, int] = SIZE) -> dict[str, NDArray]:
    """HU `(I, J, K)` and masks of the scene on the grid of a NIfTI affine."""
    ijk = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(ijk @ affine_ras[:3, :3].T + affine_ras[:3, 3], -1, 0)
    x, y = -x, -y  # RAS to LPS
    masks = {
        "liver": (x / 40) ** 2 + (y / 30) ** 2 + (z / 25) ** 2 < 1,
        "vessel": ((y + 10) ** 2 + (z + 6) ** 2 < 49) & (abs(x) < 60),
        "tumor": (x - 18) ** 2 + (y - 6) ** 2 + (z - 4) ** 2 < 121,
    }
    hu = np.full(size, BACKGROUND_HU, np.int16)
    for name, value in (("liver", LIVER_HU), ("vessel", VESSEL_HU), ("tumor", TUMOR_HU)):
        hu[masks[name]] = value
    return {"hu": hu, **masks}


def affine(signs: tuple[int, int, int] = (-1, -1, 1)) -> NDArray[np.float64]:
    """RAS, its axes running as `signs` say, the scene's middle in the grid's middle."""
    matrix = np.diag([*(s * mm for s, mm in zip(signs, SPACING, strict=True)), 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SIZE) - 1) / 2)
    return matrix


def save(path: Path, array: NDArray, matrix: NDArray[np.float64], slope: tuple[float, float] | None = None) -> None:
    """A NIfTI file in mm; with `slope` (scl_slope, scl_inter) what is stored is not what is meant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, matrix)
    image.header.set_xyzt_units("mm")
    if slope is not None:  # nibabel stores the array as it is
        image = nibabel.Nifti1Image(np.rint((array - slope[1]) / slope[0]).astype(array.dtype), matrix, image.header)
        image.header.set_slope_inter(*slope)
    nibabel.save(image, path)


def values(found: dict[str, NDArray], *layers: tuple[str, int]) -> NDArray[np.uint8]:
    """Labels of the masks named, later ones over earlier ones."""
    labels = np.zeros(found["hu"].shape, np.uint8)
    for name, value in layers:
        labels[found[name]] = value
    return labels


def lits(folder: Path, count: int = 4) -> Path:
    """Two batches; orientations and slopes that differ, as in the real one; the test set beside."""
    for number in range(count):
        matrix = affine(((1, 1, 1), (-1, 1, 1), (-1, -1, 1))[number % 3])
        found = scene(matrix)
        batch = folder / f"Training Batch {1 + number % 2}"
        save(batch / f"volume-{number}.nii", found["hu"], matrix, (1.0, -1024.0) if number % 2 else None)
        labels = values(found, ("liver", 1), ("tumor", 2))
        save(batch / f"segmentation-{number}.nii", labels.astype((np.uint8, np.int16)[number % 2]), matrix)
    save(folder / "test-volume-0.nii", found["hu"], matrix)
    return folder


def msd(folder: Path, task: int, count: int = 4) -> Path:
    """`dataset.json`, floats in the images, and what macOS left behind."""
    name, labels = {3: ("liver", ("liver", "cancer")), 8: ("hepaticvessel", ("Vessel", "Tumour"))}[task]
    layers = {3: (("liver", 1), ("tumor", 2)), 8: (("vessel", 1), ("tumor", 2))}[task]
    matrix, pairs = affine((-1, 1, 1)), []
    for number in range(count):
        found, file = scene(matrix), f"{name}_{number:03d}.nii.gz"
        save(folder / "imagesTr" / file, found["hu"].astype(np.float32), matrix)
        save(folder / "labelsTr" / file, values(found, *layers), matrix)
        (folder / "imagesTr" / f"._{file}").write_bytes(b"\0\5\x16\7Mac OS X")
        pairs.append({"image": f"./imagesTr/{file}", "label": f"./labelsTr/{file}"})
    names = {"0": "background", "1": labels[0], "2": labels[1]}
    index = {"name": name, "modality": {"0": "CT"}, "labels": names, "training": pairs, "test": ["./imagesTs/x.nii.gz"]}
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def ircadb(folder: Path, count: int = 4, zipped: bool = True) -> Path:
    """Patients of DICOM files without suffix, masks of 0 and 255, every second one zipped as it is distributed."""
    for number in range(1, count + 1):
        patient = folder / f"3Dircadb1.{number}"
        found = scene(affine())
        artery = np.zeros_like(found["liver"])
        artery[0, 0, 0] = True
        masks = {
            "liver": found["liver"], "livertumor01": found["tumor"], "portalvein": found["vessel"],
            "venoussystem": found["vessel"], "artery": artery, "skin": found["hu"] > -2000,
        }  # fmt: skip
        _series(patient / "PATIENT_DICOM", found["hu"])
        for name, mask in masks.items():
            _series(patient / "MASKS_DICOM" / name, mask.astype(np.uint8) * 255)
        if zipped and number % 2:
            for part in ("PATIENT_DICOM", "MASKS_DICOM"):
                with zipfile.ZipFile(patient / f"{part}.zip", "w") as archive:
                    for path in sorted((patient / part).rglob("*")):
                        archive.write(path, path.relative_to(patient))
                for path in sorted((patient / part).rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                (patient / part).rmdir()
    return folder


def _series(folder: Path, ijk: NDArray) -> None:
    folder.mkdir(parents=True)
    series, frame = generate_uid(), generate_uid()
    first = affine()[:3, 3] * (-1, -1, 1)  # to LPS
    for k in range(ijk.shape[2]):
        item, meta = Dataset(), FileMetaDataset()
        item.SOPClassUID, item.SOPInstanceUID, item.Modality = CTImageStorage, generate_uid(), "CT"
        item.SeriesInstanceUID, item.StudyInstanceUID, item.FrameOfReferenceUID = series, series, frame
        item.InstanceNumber, item.SeriesNumber, item.RescaleSlope, item.RescaleIntercept = k, None, 1, 0
        item.ImageOrientationPatient, item.PixelSpacing = [1, 0, 0, 0, 1, 0], [SPACING[1], SPACING[0]]
        item.ImagePositionPatient = [first[0], first[1], first[2] + k * SPACING[2]]
        item.SliceThickness, item.PhotometricInterpretation, item.SamplesPerPixel = SPACING[2], "MONOCHROME2", 1
        item.Rows, item.Columns = ijk.shape[1], ijk.shape[0]
        bits = 8 * ijk.itemsize  # 16 signed ones in images, 8 in masks
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = bits, bits, bits - 1, bits // 16
        item.PixelData = np.ascontiguousarray(ijk[:, :, k].T).tobytes()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        item.file_meta = meta
        item.save_as(folder / f"image_{k}", enforce_file_format=True)


def totalsegmentator(folder: Path, count: int = 4) -> Path:
    """A file a structure, and `meta.csv` with semicolons; the last subject has no liver in view."""
    matrix, rows = affine((1, 1, 1)), ["image_id;age;gender;split"]
    for number, part in zip(range(count), ("train", "val", "test", *["train"] * count), strict=False):
        found, name = scene(matrix), f"s{number:04d}"
        save(folder / name / "ct.nii.gz", found["hu"].astype(np.int32), matrix)
        is_last = number == count - 1
        masks = {"liver": found["liver"] & (not is_last), "portal_vein_and_splenic_vein": found["vessel"]}
        for structure, mask in masks.items():
            save(folder / name / "segmentations" / f"{structure}.nii.gz", mask.astype(np.uint8), matrix)
        rows.append(f"{name};60;m;{part}")
    (folder / "meta.csv").write_text("\n".join(rows) + "\n")
    return folder


def ltbv(folder: Path, count: int = 4) -> Path:
    """A folder a patient, in it one a phase, each with the one structure that was drawn in it."""
    for number in range(count):
        found = scene(affine())
        for phase, structure in (("portal", "tumor"), ("arterial", "vessel")):
            place = folder / f"patient{number}" / phase
            save(place / "ct.nii.gz", found["hu"], affine())
            save(place / "labels.nii.gz", values(found, (structure, 1)), affine())
    return folder


def ltvs(folder: Path, count: int = 4) -> Path:
    """Hepatic veins, cava and portal vein told apart; veins are drawn outside of the liver too."""
    for number in range(count):
        found = scene(affine())
        labels = values(found, ("liver", 1), ("vessel", 5 if number % 2 else 3), ("tumor", 2))
        labels[-1, -1, -1] = 4
        save(folder / f"case{number}" / "ct.nii.gz", found["hu"], affine())
        save(folder / f"case{number}" / "labels.nii.gz", labels, affine())
    return folder


def pairs(folder: Path, count: int = 4) -> Path:
    """NRRD and NIfTI in a layout of one's own, and the YAML that says so; two scans are of one patient."""
    for number in range(count):
        found = scene(affine())
        save(folder / "cts" / f"p{number}.nii.gz", found["hu"], affine())
        labels = values(found, ("liver", 6), ("vessel", 9), ("tumor", 7))
        save(folder / "drawn" / f"p{number}-by-hand.nii.gz", labels, affine())
    (folder / "pairs.yaml").write_text(
        "title: CTs of a hospital\nlicense: internal\nimages: patients\n"
        "labels: {6: liver, 7: tumor, 9: portal_vein, 10: hepatic_vein}\n"
        'ct: "cts/{case}.nii.gz"\ntruth: "drawn/{case}-by-hand.nii.gz"\n'
        "cases:\n  p0: {patient: smith}\n  p1: {patient: smith}\n"
    )
    return folder


def kvasir(folder: Path, count: int = 4) -> Path:
    """Color pictures and masks as JPEG, which blurs the masks."""
    j, i = np.mgrid[:48, :64]
    for number in range(count):
        mask = (j - 20) ** 2 + (i - 40) ** 2 < 100 + 40 * number
        rgb = np.where(mask[..., None], (200, 90, 80), (120, 60, 50)).astype(np.uint8)
        for part, array in (("images", rgb), ("masks", np.repeat(mask[..., None] * np.uint8(255), 3, axis=2))):
            (folder / part).mkdir(parents=True, exist_ok=True)
            image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array), isVector=True)
            SimpleITK.WriteImage(image, str(folder / part / f"cju{number}.jpg"))
    (folder / "kavsir_bboxes.json").write_text("{}")
    return folder


#: Source -> what makes its layout.
LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "lits17": lits,
    "msd03": lambda folder: msd(folder, 3),
    "msd08": lambda folder: msd(folder, 8),
    "ircadb01": ircadb,
    "totalsegmentator": totalsegmentator,
    "ltbv_portal": ltbv,
    "ltbv_arterial": ltbv,
    "ltvs": ltvs,
    "pairs": pairs,
    "kvasir_seg": kvasir,
}
