"""Reading the fields of a `model.yaml` with errors that a user can act on: which file, which field, what is valid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Vector
from liver_seg_ros.labels import BACKGROUND, STRUCTURES

#: {name: value} of all that a class may be called.
LABEL_VALUES = {"background": BACKGROUND, **{structure.name: structure.value for structure in STRUCTURES}}


@dataclass(frozen=True)
class Fields:
    """One mapping of a YAML file. Every method returns the field's value or raises `InputError`."""

    values: Mapping[str, Any]
    path: Path
    prefix: str = ""

    @staticmethod
    def read(path: Path, shown_as: Path | None = None) -> Fields:
        """The top-level mapping of the YAML file `path`; errors call the file `shown_as`."""
        shown = shown_as or path
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read the model description {shown}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{shown} is not valid YAML: {error}") from error
        if not isinstance(values, dict):
            raise InputError(f"{shown} must hold a mapping of fields, not {type(values).__name__}")
        return Fields(values, shown)

    def text(self, name: str) -> str:
        value = self._get(name, "text")
        if not isinstance(value, str) or not value.strip():
            self._refuse(name, value, "text that is not empty (quote a number, as in '1.0')")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        valid = "a list of names, at least one"
        value = self._get(name, valid)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            self._refuse(name, value, valid)
        return tuple(value)

    def file_name(self, name: str) -> str:
        value = self.text(name)
        if Path(value).name != value:
            self._refuse(name, value, "a file name without folders")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of `choices`; `default` where the field is missing and there is a default."""
        if default is not None and name not in self.values:
            return default
        value = self._get(name, f"one of {', '.join(choices)}")
        if value not in choices:
            self._refuse(name, value, f"one of {', '.join(choices)}")
        return str(value)

    def choices(self, name: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        """Some of `choices`, perhaps none; all where the field is missing."""
        value = self.values.get(name, list(choices))
        if not isinstance(value, list) or not all(isinstance(v, str) and v in choices for v in value):
            self._refuse(name, value, f"a list of {', '.join(choices)}, of those that are wanted")
        return tuple(value)

    def integer(self, name: str, least: int, most: int) -> int:
        valid = f"a whole number from {least} to {most}"
        value = self._get(name, valid)
        if not _is_integer(value) or not least <= value <= most:
            self._refuse(name, value, valid)
        return int(value)

    def number(self, name: str, least: float, most: float) -> float:
        valid = f"a number from {least:g} to {most:g}"
        value = self._get(name, valid)
        if not _is_number(value) or not least <= value <= most:
            self._refuse(name, value, valid)
        return float(value)

    def lengths_mm(self, name: str) -> Vector:
        valid = "three positive lengths in mm, [i, j, k]"
        value = self._get(name, valid)
        if not _is_list(value, 3) or not all(_is_number(v) and v > 0 for v in value):
            self._refuse(name, value, valid)
        i, j, k = (float(v) for v in value)
        return i, j, k

    def sizes(self, name: str, multiple_of: int) -> tuple[int, int, int]:
        valid = f"three positive sizes in voxels, [i, j, k], each a multiple of {self.prefix}divisor = {multiple_of}"
        value = self._get(name, valid)
        if not _is_list(value, 3) or not all(_is_integer(v) and v > 0 and v % multiple_of == 0 for v in value):
            self._refuse(name, value, valid)
        i, j, k = (int(v) for v in value)
        return i, j, k

    def window(self, name: str) -> tuple[float, float]:
        valid = "[low, high] in HU with low < high"
        value = self._get(name, valid)
        if not _is_list(value, 2) or not all(_is_number(v) for v in value) or value[0] >= value[1]:
            self._refuse(name, value, valid)
        return float(value[0]), float(value[1])

    def labels(self, name: str) -> dict[int, str]:
        """{class index: name} from 0 upward, each name of the label table once."""
        valid = f"{{0: background, 1: liver, ...}} without a gap, each of {', '.join(LABEL_VALUES)} at most once"
        value = self._get(name, valid)
        if (
            not isinstance(value, dict)
            or list(value) != list(range(len(value)))
            or len(value) < 2
            or value[0] != "background"
            or not all(isinstance(label, str) and label in LABEL_VALUES for label in value.values())
            or len(set(value.values())) < len(value)
        ):
            self._refuse(name, value, valid)
        return dict(value)

    def per_structure(self, name: str) -> dict[str, float]:
        """{structure: number that is not negative}; structures may be left out."""
        names = [structure.name for structure in STRUCTURES]
        valid = f"numbers from 0 upward per structure ({', '.join(names)})"
        value = self._get(name, valid)
        if not isinstance(value, dict) or not all(
            structure in names and _is_number(number) and number >= 0 for structure, number in value.items()
        ):
            self._refuse(name, value, valid)
        return {str(structure): float(number) for structure, number in value.items()}

    def dice(self, name: str, least: float) -> dict[str, float]:
        """{structure: Dice, or a difference of two}; `least` is 0 or -1."""
        valid = f"numbers from {least:g} to 1 per structure"
        value = self._get(name, valid)
        if not isinstance(value, dict) or not all(
            isinstance(structure, str) and _is_number(number) and least <= number <= 1
            for structure, number in value.items()
        ):
            self._refuse(name, value, valid)
        return {structure: float(number) for structure, number in value.items()}

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._get(name, "a mapping")
        if not isinstance(value, dict):
            self._refuse(name, value, "a mapping")
        return dict(value)

    def section(self, name: str) -> Fields:
        return Fields(self.mapping(name), self.path, f"{self.prefix}{name}.")

    def sections(self, name: str) -> dict[str, Fields]:
        """{key: section} of a mapping of mappings; empty where the field is missing."""
        if name not in self.values:
            return {}
        sections = self.section(name)
        return {str(key): sections.section(key) for key in sections.values}

    def _get(self, name: str, valid: str) -> Any:
        if name not in self.values:
            raise InputError(f"{self.path}: field '{self.prefix}{name}' is missing; it must be {valid}")
        return self.values[name]

    def _refuse(self, name: str, value: Any, valid: str) -> NoReturn:
        raise InputError(f"{self.path}: field '{self.prefix}{name}' is {value!r}; it must be {valid}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
