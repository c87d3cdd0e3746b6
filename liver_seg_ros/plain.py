# SPDX-License-Identifier: Apache-2.0
"""Results as JSON has them: dicts, lists, strings and numbers. One mechanism for all, driven by dataclasses' fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from liver_seg_ros.labels import Structure


def plain_fields(self: Any) -> dict[str, Any]:
    """Every field as JSON has it, by its name; structures by theirs."""
    # The method of a dataclass that has nothing else to say: `to_dict = plain_fields` in its body.
    return {field.name: plain(getattr(self, field.name)) for field in fields(self)}


def plain(value: Any) -> Any:
    """`value` as `json.dumps` takes it.

    A structure is its name. What has a method `to_dict` is what that gives, any other dataclass its fields. Arrays,
    tuples and lists are lists, NumPy's numbers are Python's. Anything else is left as it is.
    """
    if isinstance(value, Structure):
        return value.name
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value
