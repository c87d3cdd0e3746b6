# SPDX-License-Identifier: Apache-2.0
"""Results as JSON has them, whatever they are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from liver_seg_ros.labels import LIVER, TUMOR, Structure
from liver_seg_ros.plain import plain, plain_fields


@dataclass(frozen=True)
class Inner:
    at_mm: tuple[float, ...] = (1.0, 2.0)
    structure: Structure = TUMOR


@dataclass(frozen=True)
class Computed:
    length_mm: float = 2.0

    def to_dict(self) -> dict[str, Any]:
        return {**plain_fields(self), "square_mm2": self.length_mm**2}


@dataclass(frozen=True, eq=False)
class Outer:
    array: Any = field(default_factory=lambda: np.array([[1, 2]], np.int16))
    number: Any = field(default_factory=lambda: np.float32(0.5))
    flag: Any = np.True_
    inner: tuple[Inner, ...] = (Inner(),)
    computed: Mapping[Structure, Computed] = field(default_factory=lambda: {LIVER: Computed()})
    nothing: None = None

    to_dict = plain_fields


def test_every_field_is_plain_and_in_order_structures_are_their_names() -> None:
    assert json.dumps(Outer().to_dict()) == json.dumps({
        "array": [[1, 2]], "number": 0.5, "flag": True, "inner": [{"at_mm": [1.0, 2.0], "structure": "tumor"}],
        "computed": {"liver": {"length_mm": 2.0, "square_mm2": 4.0}}, "nothing": None,
    })  # fmt: skip


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", [1, "a"], {"a": [1]}])
def test_what_is_plain_stays(value: Any) -> None:
    assert plain(value) == value and type(plain(value)) is type(value)
