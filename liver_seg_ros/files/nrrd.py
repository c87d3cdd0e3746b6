# SPDX-License-Identifier: Apache-2.0
"""What ITK does not look at in the header of a NRRD file, although the voxels mean nothing without it.

ITK takes a spacing that is not there for 1 mm, an unknown space for LPS, centimetres for millimetres, and values that
were quantized for the ones that they came from. Fields: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import re
from math import inf
from pathlib import Path

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.claims import MOST_INFLATED

LONGEST_HEADER = 1 << 22  # a segmentation of many segments has a line of 200 bytes for each of their fields
SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las")
MILLIMETRES = ("mm", "millimeter", "millimeters", "")


def read_nrrd_fields(path: Path) -> dict[str, str]:
    """The fields of the header by their names in small letters, without key/value pairs.

    Raises:
        InputError: the file is no NRRD file, or its header has no end.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    header, end, _ = start.replace(b"\r\n", b"\n").partition(b"\n\n")
    if not header.startswith(b"NRRD") or not (end or path.suffix.lower() == ".nhdr"):
        raise InputError(f"{path}: is no readable NRRD file. Export it again.")
    lines = (line.partition(": ") for line in header.decode("utf-8", "replace").splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon and not name.startswith("#")}


def check_nrrd(path: Path, fields: dict[str, str]) -> None:
    """Raise `InputError` where `fields` do not say how the voxels lie, in mm, or their values are quantized."""
    space = fields.get("space", "").lower().removesuffix("-time")
    if space not in SPACES:
        raise InputError(
            f"{path}: does not say how it lies in the patient (space: {space or 'none'}). Export it with the space "
            "left-posterior-superior."
        )
    if len(re.findall(r"\([^()]*\d[^()]*\)", fields.get("space directions", ""))) < 3:
        raise InputError(f"{path}: has no spacing (space directions) on all three axes. Export it with its spacing.")
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))[:3])
    if not units <= set(MILLIMETRES):
        raise InputError(f"{path}: its axes are in {', '.join(sorted(units))}, not mm. Export it in mm.")
    if {"old min", "old max"} <= fields.keys() and not fields.get("type", "").startswith(("float", "double")):
        raise InputError(
            f"{path}: its values were quantized (old min, old max) and are not what they stand for. "
            "Export it before quantization."
        )


def most_bytes(path: Path, fields: dict[str, str], voxel_bytes: int) -> float:
    """What the voxels in the file, or in the one beside it that it names, can have at most, unpacked."""
    name = fields.get("data file", fields.get("datafile"))
    data_path = path if name is None else path.parent / name
    if not data_path.is_file():
        return inf  # several files, or none: ITK refuses what is missing
    text = voxel_bytes / 2  # a digit and a space for each voxel, but for the last
    growth = {
        "raw": 1,
        "gzip": MOST_INFLATED,
        "gz": MOST_INFLATED,
        "hex": 0.5,
        "ascii": text,
        "text": text,
        "txt": text,
    }
    return (data_path.stat().st_size + 1) * growth.get(fields.get("encoding", "").lower(), inf)
