# SPDX-License-Identifier: Apache-2.0
"""What slices of one acquisition have in common: its number, time, contrast, kernel and the like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from liver_seg_ros.files.dicom_file import UNREADABLE

Value = int | float | str | datetime


@dataclass(frozen=True)
class Trait:
    """An attribute in which slices of different acquisitions differ.

    Attributes:
        keyword: DICOM's name of it; the date goes with a time.
        shown: what stands before its value in messages.
        is_ordered: values grow while patients are scanned, so that one acquisition may have many.
        is_sure: differs between acquisitions only. Others, such as times, may differ from slice to slice and count
            only where they separate whole stacks.
    """

    keyword: str
    shown: str
    is_ordered: bool = False
    is_sure: bool = False


SURE_TRAITS = (
    Trait("AcquisitionNumber", "acquisition number", is_ordered=True, is_sure=True),
    Trait("TemporalPositionIdentifier", "temporal position", is_ordered=True, is_sure=True),
    Trait("TemporalPositionIndex", "temporal position", is_ordered=True, is_sure=True),
    Trait("TemporalPositionTimeOffset", "time offset", is_ordered=True, is_sure=True),
    Trait("ContrastBolusAgent", "contrast", is_sure=True),
    Trait("ConvolutionKernel", "kernel", is_sure=True),
    Trait("KVP", "kV", is_sure=True),
    Trait("StackID", "stack", is_sure=True),
    Trait("ConcatenationUID", "file", is_sure=True),  # of frames only: see dicom_frames
)

LIKELY_TRAITS = (
    Trait("AcquisitionTime", "acquired", is_ordered=True),
    Trait("ContentTime", "content time", is_ordered=True),
    Trait("ImageType", "image type"),
    Trait("NominalPercentageOfCardiacPhase", "cardiac phase"),
    Trait("SliceThickness", "thickness"),
    Trait("ImagePositionPatient", "at"),
    Trait("SeriesDescription", "series description"),
    Trait("ProtocolName", "protocol"),
    Trait("InstanceNumber", "instance number", is_ordered=True),
)

TRAITS = SURE_TRAITS + LIKELY_TRAITS

# All that `traits` looks at; `dicom_frames` collects these for a frame.
TRAIT_KEYWORDS = (
    *(trait.keyword for trait in TRAITS),
    "ContrastBolusAgentSequence", "ContrastBolusAgentAdministered", "ContrastBolusAgentPhase",
    "AcquisitionDate", "AcquisitionDateTime", "ContentDate",
)  # fmt: skip


def traits(header: Dataset) -> dict[str, Value]:
    """The traits of a slice by keyword; those that it does not tell, or not readably, are left out."""
    found: dict[str, Value] = {}
    for trait in TRAITS:
        read = _SPECIAL.get(trait.keyword, lambda header, keyword=trait.keyword: _plain(header.get(keyword)))
        try:
            value = read(header)
        except UNREADABLE:
            continue
        if trait.is_ordered and isinstance(value, str):
            continue  # several numbers where there should be one
        if value is not None and value != "":
            found[trait.keyword] = value
    return found


def _plain(value: Any) -> Value | None:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\\".join(str(part).strip() for part in value)
    return str(value).strip()


def _contrast(header: Dataset) -> str | None:
    """The agent, and in which phase; "none" where a file says that none was given."""
    if header.get("ContrastBolusAgentAdministered") == "NO":
        return "none"
    agents = [str(item.get("CodeMeaning", "")) for item in header.get("ContrastBolusAgentSequence") or ()]
    words = [str(header.get("ContrastBolusAgent") or "") or ", ".join(agents), header.get("ContrastBolusAgentPhase")]
    return " ".join(str(word).strip() for word in words if word) or None


def _acquired(header: Dataset) -> datetime | None:
    stated = str(header.get("AcquisitionDateTime") or "").strip()
    return DT(stated).replace(tzinfo=None) if stated else _moment(header, "Acquisition")


def _moment(header: Dataset, name: str) -> datetime | None:
    """The date and time of an attribute; without a date the time alone, on a day of no meaning."""
    clock, day = (str(header.get(f"{name}{part}") or "").strip() for part in ("Time", "Date"))
    if not clock:
        return None
    return datetime.combine(DA(day) if day else date.min, TM(clock))


def _beside(header: Dataset) -> str:
    """Where in its plane a slice begins, to 0.1 mm: two reconstructions may differ in nothing but their center."""
    axes = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    along = np.round(axes @ np.array(header.ImagePositionPatient, float), 1) + 0.0  # no -0.0
    return f"{along[0]:g}, {along[1]:g} mm"


_SPECIAL = {
    "ImagePositionPatient": _beside,
    "ContrastBolusAgent": _contrast,
    "AcquisitionTime": _acquired,
    "ContentTime": lambda header: _moment(header, "Content"),
}
