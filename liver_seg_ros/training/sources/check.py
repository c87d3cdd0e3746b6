# SPDX-License-Identifier: Apache-2.0
"""Looking at a data set before anything is trained on it: what each scan is, and what of it cannot be right.

Voxels are read one scan at a time. Nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import IDENTITY
from liver_seg_ros.labels import LIVER, SEGMENTED, TUMOR
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.plausibility.findings import (
    LEAST_LIVER_HU,
    LEAST_LIVER_ML,
    MOST_LIVER_HU,
    MOST_LIVER_ML,
    MOST_TUMOR,
)
from liver_seg_ros.progress import Done, not_told
from liver_seg_ros.training.sources.subject import DataSet, Picture, Scan, Subject


@dataclass(frozen=True)
class CheckedScan:
    """What one scan is.

    Attributes:
        source: its data set's name.
        subject, patient: its name, and whose it is.
        size: voxels, or pixels of a picture, `(i, j, k)` in the file's order; empty where it could not be read.
        spacing_mm: of its axes; empty for a picture.
        orientation: see `Geometry.orientation`; empty for a picture.
        volumes_ml: of each structure that its labels speak about; the liver's is the organ's, with what lies in it.
        digest: the same for scans of the same voxels, whatever the order of axes and the header.
        problems: sentences; what has to be mended before training.
        notes: sentences; what is well to know.
    """

    source: str
    subject: str
    patient: str
    size: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    orientation: str = ""
    volumes_ml: dict[str, float] = field(default_factory=dict)
    digest: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_data_sets(data_sets: Sequence[DataSet], done: Done = not_told) -> list[CheckedScan]:
    """Every scan of the data sets, in their order; scans of the same voxels are told across them."""
    subjects = [(data_set, subject) for data_set in data_sets for subject in data_set.subjects]
    scans = []
    for number, (data_set, subject) in enumerate(subjects):
        done(number / len(subjects))
        scans.append(_checked(data_set, subject))
    return _with_doubles(scans)


def _checked(data_set: DataSet, subject: Subject) -> CheckedScan:
    known = CheckedScan(data_set.about.name, subject.name, subject.patient)
    try:
        found = subject.load()
    except InputError as error:
        return replace(known, problems=(str(error),))
    return _picture(known, found) if isinstance(found, Picture) else _scan(known, found)


def _picture(known: CheckedScan, picture: Picture) -> CheckedScan:
    j, i, _ = picture.rgb.shape
    problems = () if picture.mask.any() else ("Its mask is empty.",)
    return replace(known, size=(i, j), digest=_digest(picture.rgb), problems=problems)


def _scan(known: CheckedScan, scan: Scan) -> CheckedScan:
    geometry, labels = scan.ct.geometry, scan.truth.labels
    counts = {name: voxels * geometry.voxel_volume_ml for name, voxels in labels.counts().items()}
    volumes = {structure.name: counts[structure.name] for structure in scan.truth.structures}
    if LIVER.name in volumes:
        volumes[LIVER.name] = sum(counts[structure.name] for structure in SEGMENTED)
    problems = [*_implausible(scan, volumes)]
    if geometry.spacing_mm == (1.0, 1.0, 1.0) and _axes_are_plain(scan):
        problems.append(
            "Its voxels are said to be 1 x 1 x 1 mm, which stands in headers that know nothing of the spacing "
            "(LiTS volumes 28 to 47)."
        )
    notes = [] if any(volumes.values()) else ["Nothing is labelled in it."]
    return replace(
        known,
        size=geometry.size,
        spacing_mm=tuple(round(mm, 4) for mm in geometry.spacing_mm),
        orientation=geometry.orientation,
        volumes_ml={name: round(ml, 3) for name, ml in volumes.items()},
        digest=_digest(to_canonical(geometry).apply(scan.ct.array)),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _implausible(scan: Scan, volumes: dict[str, float]) -> Iterable[str]:
    organ_ml = volumes.get(LIVER.name, 0.0)
    if organ_ml == 0:
        return
    if organ_ml < LEAST_LIVER_ML:
        yield f"Its liver has {organ_ml:.0f} ml, below {LEAST_LIVER_ML:.0f} ml."
    if organ_ml > MOST_LIVER_ML:
        yield f"Its liver has {organ_ml:.0f} ml, above {MOST_LIVER_ML:.0f} ml."
    if volumes.get(TUMOR.name, 0.0) > MOST_TUMOR * organ_ml:
        yield f"More than {MOST_TUMOR:.0%} of its liver is tumor."
    liver = scan.truth.labels.array == LIVER.value
    if liver.any():
        hu = float(np.median(scan.ct.array[liver]))
        if not LEAST_LIVER_HU <= hu <= MOST_LIVER_HU:
            yield f"What is labelled as liver has {hu:.0f} HU, which no liver has."


def _axes_are_plain(scan: Scan) -> bool:
    return bool(np.allclose(np.abs(scan.ct.geometry.direction_matrix), IDENTITY))


def _digest(array: np.ndarray) -> str:
    """Of shape and values, slice by slice: a view is not copied whole."""
    digest = hashlib.sha256(str(array.shape).encode())
    for part in array:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def _with_doubles(scans: list[CheckedScan]) -> list[CheckedScan]:
    """The scans, each that has the voxels of an earlier one with a problem that names it: one scan under two names
    would be trained on and judged by."""
    first: dict[str, CheckedScan] = {}
    told = []
    for scan in scans:
        known = first.setdefault(scan.digest, scan) if scan.digest else scan
        if known is not scan:
            other = f"{known.source} {known.subject}" if known.source != scan.source else known.subject
            scan = replace(scan, problems=(*scan.problems, f"It has the very voxels of {other}."))
        told.append(scan)
    return told
