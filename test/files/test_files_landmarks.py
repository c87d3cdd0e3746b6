# SPDX-License-Identifier: Apache-2.0
"""Landmarks as CSV and JSON, and the transform that registering writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.landmarks import read_landmarks, read_transform

NUMBERS = st.floats(-1e4, 1e4)


def write(folder: Path, text: str, name: str = "pairs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@given(rows=st.lists(st.lists(NUMBERS, min_size=6, max_size=6), min_size=1, max_size=9), named=st.booleans())
def test_csv_and_json_say_the_same(tmp_path_factory, rows, named):
    folder = tmp_path_factory.mktemp("pairs")
    names = [f"landmark {n}, left" if named else "" for n in range(len(rows))]
    start = "name,x,y,z,ct_x,ct_y,ct_z\n" if named else "x,y,z,ct_x,ct_y,ct_z\n"
    cells = [
        [f'"{name}"', *map(repr, row)] if named else [*map(repr, row)] for name, row in zip(names, rows, strict=True)
    ]
    table = read_landmarks(write(folder, start + "\n".join(map(",".join, cells)) + "\n\n"))
    plain = [{"name": name, "measured_mm": row[:3], "ct_mm": row[3:]} for name, row in zip(names, rows, strict=True)]
    tree = read_landmarks(write(folder, json.dumps({"landmarks": plain}), "pairs.json"))
    for found in (table, tree):
        assert np.array_equal(np.hstack([found.measured_mm, found.ct_mm]), np.array(rows))
        assert found.names == (tuple(names) if named else tuple(str(n + 1) for n in range(len(rows))))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "has no landmarks"),
        ("x,y,z,ct_x,ct_y,ct_z\n", "has no landmarks"),
        ("1,2,3,4,5,6\n1,2,3,4,5\n", "line 2: '1,2,3,4,5' is no landmark"),
        ("1,2,3,4,5,nan\n", "line 1: .* is no landmark"),
        ("a,b,1,2,3,4,5,6\n", "line 1: .* is no landmark"),
        ("1,2,3,4,5,6\nname,x,y,z,ct_x,ct_y,ct_z\n", "line 2: .* is no landmark"),
    ],
)
def test_a_table_that_holds_no_landmarks(tmp_path, text, line):
    with pytest.raises(InputError, match=line) as error:
        read_landmarks(write(tmp_path, text))
    assert "x,y,z,ct_x,ct_y,ct_z" in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "has no list of landmarks"),
        ("[]", "has no list of landmarks"),
        ('{"landmarks": []}', "has no landmarks"),
        ('{"landmarks": [{"measured_mm": [1, 2, 3]}]}', "landmark 1 has no measured_mm and ct_mm"),
        ('{"landmarks": [{"measured_mm": [1, 2], "ct_mm": [1, 2, 3]}]}', "landmark 1 has no"),
        ('{"landmarks": [{"measured_mm": [1, 2, NaN], "ct_mm": [1, 2, 3]}]}', "landmark 1 has no"),
        ('{"landmarks": ["one"]}', "landmark 1 has no"),
    ],
)
def test_json_that_holds_no_landmarks(tmp_path, text, line):
    with pytest.raises(InputError, match=line):
        read_landmarks(write(tmp_path, text, "pairs.json"))


@pytest.mark.parametrize("read", [read_landmarks, read_transform])
def test_what_cannot_be_read_is_named(tmp_path, read):
    with pytest.raises(InputError, match=r"none\.json: cannot be read \(No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.json: cannot be read \(it is no text\)"):
        read(tmp_path / "bytes.json")


def test_only_a_transform_into_the_ct_is_one(tmp_path):
    values = {"from": "measured", "to": "LPS", "unit": "mm", "matrix": np.eye(4).tolist()}
    assert np.array_equal(read_transform(write(tmp_path, json.dumps(values), "t.json")), np.eye(4))
    for wrong, line in (
        ({**values, "to": "RAS"}, "leads from measured to RAS in mm"),
        ({**values, "unit": "m"}, "in m, not from"),
        ({**values, "matrix": "none"}, "holds no transform"),
        ({"matrix": values["matrix"]}, "holds no transform"),
    ):
        with pytest.raises(InputError, match=line):
            read_transform(write(tmp_path, json.dumps(wrong), "t.json"))
