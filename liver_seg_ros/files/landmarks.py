# SPDX-License-Identifier: Apache-2.0
"""Reading landmarks, measured in the CT and in the robot's frame, and rigid transforms.

A CSV has a line for each landmark: `x,y,z,ct_x,ct_y,ct_z`, with its name before them where it has one. The JSON of the
same: `{"landmarks": [{"name": "...", "measured_mm": [x, y, z], "ct_mm": [x, y, z]}]}`. All in millimetres, the CT's in
LPS.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import finite_vector
from liver_seg_ros.short_repr import short_repr

FORM = "Give lines of [name,]x,y,z,ct_x,ct_y,ct_z in mm, or the JSON of docs/how_to/planner.md."


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The same landmarks in two frames.

    Attributes:
        names: of the landmarks; their numbers from 1 where the file has none.
        measured_mm: `(N, 3)` in the frame of what measured them.
        ct_mm: `(N, 3)` in the CT, LPS.
    """

    names: tuple[str, ...]
    measured_mm: NDArray[np.float64]
    ct_mm: NDArray[np.float64]

    __repr__ = short_repr


def read_landmarks(path: Path) -> Landmarks:
    """The landmarks in a `.json` or else CSV file. Raises `InputError` naming the line or landmark at fault."""
    text = _read_text(path)
    rows = _from_json(path, text) if path.suffix.lower() == ".json" else _from_csv(path, text)
    if not rows:
        raise InputError(f"{path}: has no landmarks. {FORM}")
    names, numbers = zip(*rows, strict=True)
    places = np.array(numbers, np.float64)
    return Landmarks(tuple(name or str(n) for n, name in enumerate(names, start=1)), places[:, :3], places[:, 3:])


def read_transform(path: Path) -> NDArray[np.float64]:
    """`(4, 4)` the matrix in the JSON that `liver-seg register` writes. Raises `InputError` for any other file."""
    text = _read_text(path)
    try:
        values = json.loads(text)
        matrix = np.array(values["matrix"], np.float64)
        frames = (values["from"], values["to"], values["unit"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: holds no transform. Give a transform.json of 'liver-seg register'.") from error
    if frames != ("measured", "LPS", "mm"):
        raise InputError(
            f"{path}: leads from {frames[0]} to {frames[1]} in {frames[2]}, not from measured to LPS in mm"
        )
    return matrix


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})") from error


def _from_csv(path: Path, text: str) -> list[tuple[str, list[float]]]:
    rows = []
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        values = [_number(cell) for cell in cells[-6:]]
        if number == 1 and all(value is None for value in values):
            continue  # a heading
        whole = [value for value in values if value is not None]
        if len(cells) not in (6, 7) or len(whole) != 6:
            raise InputError(f"{path}, line {number}: '{','.join(row)}' is no landmark. {FORM}")
        rows.append((cells[0] if len(cells) == 7 else "", whole))
    return rows


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _from_json(path: Path, text: str) -> list[tuple[str, list[float]]]:
    try:
        landmarks: list[Any] = list(json.loads(text)["landmarks"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: has no list of landmarks. {FORM}") from error
    rows = []
    for number, landmark in enumerate(landmarks, start=1):
        try:
            places = [finite_vector(landmark[key], key) for key in ("measured_mm", "ct_mm")]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: landmark {number} has no measured_mm and ct_mm of three numbers. {FORM}"
            ) from error
        rows.append((str(landmark.get("name") or ""), [*places[0], *places[1]]))
    return rows
