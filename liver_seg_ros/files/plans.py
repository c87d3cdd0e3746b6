# SPDX-License-Identifier: Apache-2.0
"""The files of answers, plain values as JSON and CSV, and the points that a user may give."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.atomic import written_beside
from liver_seg_ros.errors import InputError


def write_values(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, completely or not at all."""
    with written_beside(path) as beside:
        beside.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write heads and rows as CSV; what is None is left empty."""
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def read_points(path: Path, what: str = "entries", frame: str = "LPS") -> NDArray[np.float64]:
    """`(N, 3)` mm: points from a CSV of three columns x, y, z; a first line without a digit is a heading.

    Args:
        path: the CSV.
        what: the points are, in messages.
        frame: in which, in messages.

    Raises:
        InputError: no such file, a row that is not three finite numbers, or no row.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a CSV of {what} x,y,z ({error})") from error
    points: list[tuple[float, float, float]] = []
    for number, row in enumerate(csv.reader(lines), start=1):
        try:
            x, y, z = (float(value) for value in row)
            if not np.isfinite([x, y, z]).all():
                raise ValueError
        except ValueError:
            if not row or (number == 1 and not any(character.isdigit() for character in "".join(row))):
                continue
            raise InputError(f"{path}, line {number}: '{','.join(row)}' is not three numbers x,y,z in mm") from None
        points.append((x, y, z))
    if not points:
        raise InputError(f"{path}: has no {what}. Give lines of three numbers x,y,z, {frame} in mm.")
    return np.array(points)
