# SPDX-License-Identifier: Apache-2.0
"""What can be exported, and what it needs; asked before anything is read, and where the extra is not installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liver_seg_ros.errors import InputError
from liver_seg_ros.extras import need
from liver_seg_ros.labels import STRUCTURES

#: What can be exported, in the order in which it is made.
KINDS = ("seg", "sr", "rtstruct", "stl", "obj", "pictures")
SEGMENTATION, MEASUREMENTS, CONTOURS = "labels.dcm", "measurements.dcm", "contours.dcm"
PICTURES = ("overlay", "scene")

#: The extra that a kind needs beside [dicom].
_EXTRAS = {"rtstruct": "meshes", "stl": "meshes", "obj": "meshes", "pictures": "pages"}


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """`kinds` in the order of `KINDS`; measurements bring the segmentation, which they refer to.

    Raises `InputError` for one that there is not, and where an extra that one needs is missing.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"'{kind}' is nothing to export; there is {', '.join(KINDS)}")
    need("dicom", "DICOM out")
    for kind in kinds:
        if kind in _EXTRAS:
            need(_EXTRAS[kind], f"export of {kind}")
    wanted = {*kinds, *(("seg",) if "sr" in kinds else ())}
    return tuple(kind for kind in KINDS if kind in wanted)


def names_of(kinds: Sequence[str]) -> Iterator[str]:
    """All files that `export` may give for `kinds`."""
    fixed = {"seg": SEGMENTATION, "sr": MEASUREMENTS, "rtstruct": CONTOURS}
    for kind in kinds:
        if kind in fixed:
            yield fixed[kind]
        elif kind == "pictures":
            yield from (f"{picture}.dcm" for picture in PICTURES)
        else:
            yield from (f"{structure.name}_{kind}.dcm" for structure in STRUCTURES)
