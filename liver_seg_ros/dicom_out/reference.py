# SPDX-License-Identifier: Apache-2.0
"""The CT that results belong to, as what goes back to its study has to name it: patient, study, frame, instances."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from liver_seg_ros.dicom_out.usable import make_usable
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import MULTI_FRAME, damage_named, read_header
from liver_seg_ros.short_repr import short_repr
from liver_seg_ros.volume import Volume

#: Attributes that an object of the study has to have, if without a value (type 2), and that old CTs may lack.
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
#: Without one of these a result would belong to no study, or lie nowhere.
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


@dataclass(frozen=True, eq=False)
class Reference:
    """A CT and the headers of its files.

    Attributes:
        ct: with its series.
        headers: one per file, in the order of the slices; without pixels.
    """

    ct: Volume
    headers: tuple[Dataset, ...]

    __repr__ = short_repr

    @property
    def first(self) -> Dataset:
        """The header that patient and study are taken from."""
        return self.headers[0]

    @property
    def is_multi_frame(self) -> bool:
        """Whether its files hold several slices each (enhanced CT)."""
        return self.ct.series is not None and self.ct.series.slices[0].frame is not None


def read_reference(ct: Volume) -> Reference:
    """The headers of the files that `ct` was read from.

    Raises:
        InputError: it comes from no DICOM series, or from one that does not say what objects have to refer to; a file
            is gone, or is another one by now.
    """
    if ct.series is None:
        raise InputError(
            "DICOM objects belong to a DICOM series, and this CT is none. Give the DICOM folder of the CT."
        )
    uids = {part.path: part.sop_instance_uid for part in ct.series.slices}
    headers = []
    for path in ct.series.files:
        if not path.is_file():
            raise InputError(f"{path}: is not there any more. Leave the CT where it is, or read it again.")
        header = read_header(path)
        if str(header.get("SOPInstanceUID") or "") != uids[path]:
            raise InputError(f"{path}: is another object than when the CT was read. Read the CT again.")
        missing = [name for name in _NEEDED if not header.get(name)]
        if missing:
            raise InputError(f"{path}: has no {missing[0]}, which results have to refer to. Export the CT again.")
        with damage_named(path, "has values that no object of its study can hold"):
            _complete(header, ct)
        headers.append(header)
    return Reference(ct, tuple(headers))


def _complete(header: Dataset, ct: Volume) -> None:
    """Add what CTs may leave out and objects made of them may not: as empty, or as the grid of `ct` has it."""
    for name in MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, None)
    make_usable(header)
    across, down, _ = ct.geometry.direction_matrix.T.tolist()
    i_mm, j_mm, k_mm = ct.geometry.spacing_mm
    if header.SOPClassUID not in MULTI_FRAME:
        header.ImageOrientationPatient = [*across, *down]  # slices may differ in the last digit
        if not header.get("SliceThickness"):
            header.SliceThickness = k_mm
        return
    [shared] = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    if "PlaneOrientationSequence" not in shared:
        shared.PlaneOrientationSequence = [Dataset()]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [*across, *down]
    if "PixelMeasuresSequence" not in shared:
        shared.PixelMeasuresSequence = [Dataset()]
        shared.PixelMeasuresSequence[0].PixelSpacing = [j_mm, i_mm]
    if not shared.PixelMeasuresSequence[0].get("SliceThickness"):
        shared.PixelMeasuresSequence[0].SliceThickness = k_mm
    header.SharedFunctionalGroupsSequence = [shared]
