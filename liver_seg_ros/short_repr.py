# SPDX-License-Identifier: Apache-2.0
"""Results as one line: what a person sees who types a variable's name. Arrays are named by their type and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any

#: A tuple of numbers this long is shown, a longer one counted.
_MOST_NUMBERS = 3
_MOST_CHARACTERS = 60


def short_repr(self: Any) -> str:
    """The `__repr__` of a dataclass that holds arrays or other results: `__repr__ = short_repr` in its body."""
    shown = ", ".join(f"{field.name}={_short(getattr(self, field.name))}" for field in fields(self))
    return f"{type(self).__name__}({shown})"


def _short(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{value.dtype} {' x '.join(map(str, value.shape)) or 'number'}>"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (str, bytes)):
        text = repr(value)
        return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
    if isinstance(value, (Sequence, Set, Mapping)):
        if len(value) <= _MOST_NUMBERS and all(isinstance(item, (int, float)) for item in value):
            return f"({', '.join(map(_short, value))})"
        return f"<{len(value)}>"
    if is_dataclass(value):
        name = getattr(value, "name", None)
        if isinstance(name, str):
            return name
        return f"{type(value).__name__}(...)"
    return repr(value)
