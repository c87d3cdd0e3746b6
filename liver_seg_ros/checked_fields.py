# SPDX-License-Identifier: Apache-2.0
"""Dataclasses from YAML: pydantic checks the types of fields, and errors say which file, which field and what is valid.

A field's annotation has its type and, as a `Valid`, what is valid in words; a type alone is what pydantic checks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import Field as Constraint
from pydantic import TypeAdapter, ValidationError

from liver_seg_ros.errors import InputError

Checked = TypeVar("Checked")

#: `true` is no number, and "3" neither; a whole one stays whole. Of text, at least one character has to be seen.
Whole = Annotated[int, Constraint(strict=True)]
Number = Whole | Annotated[float, Constraint(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Constraint(strict=True)]
Text = Annotated[str, Constraint(strict=True, pattern=r"\S")]


#: Beside a type in `Annotated`: a file must have this field, though the constructor has a default for it.
REQUIRED = object()


@dataclass(frozen=True)
class Valid:
    """What is valid in a field, beside its type in `Annotated`.

    Attributes:
        words: what follows "it must be".
        check: true of a value of that type that is valid.
    """

    words: str
    check: Callable[[Any], bool] = lambda value: True

    @staticmethod
    def one_of(choices: Collection[str]) -> Valid:
        return Valid(f"one of {', '.join(choices)}", lambda value: value in choices)

    @staticmethod
    def between(least: float, most: float, what: str = "a number") -> Valid:
        return Valid(f"{what} from {least:g} to {most:g}", lambda value: least <= value <= most)


class FieldError(InputError):
    """A field that may not hold what it does: what a `__post_init__` raises where one field does not fit another."""

    def __init__(self, name: str, value: Any, words: str) -> None:
        super().__init__(f"{name} is {value!r}; it must be {words}")
        self.name, self.value, self.words = name, value, words


def read_mapping(path: Path, what: str, shown_as: Path | None = None) -> dict[Any, Any]:
    """The fields at the top of a YAML file; errors call it `shown_as`, and `what` it is.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    shown = shown_as or path
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the {what} {shown}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{shown} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{shown} must hold a mapping of fields, not {type(values).__name__}")
    return values


def from_mapping(kind: type[Checked], values: Mapping[Any, Any], where: str, others: bool = False) -> Checked:
    """The dataclass `kind` that `values` describe, the dataclasses in it by mappings of their own.

    Args:
        kind: whose fields are annotated as this file says.
        values: by field; those that have a default may be missing.
        where: what errors begin with, e.g. the file.
        others: whether fields that `kind` has not may be there; they are left aside.

    Raises:
        InputError: a field that is missing, unknown or invalid; or what the constructor refuses.
    """
    return _build(kind, values, where, "", others)


def check_fields(self: Any) -> None:
    """Check and convert the fields of a frozen dataclass that was just constructed: for its `__post_init__`.

    Raises `InputError` naming the first field that is invalid.
    """
    for name, checked in _checked_fields(type(self)).items():  # type: ignore[arg-type]
        if checked.inner is None:
            object.__setattr__(self, name, checked.convert(getattr(self, name), name))


@dataclass(frozen=True)
class _CheckedField:
    """What a field may hold.

    Attributes:
        valid: in words.
        adapter: checks and converts; of a section only that it is a mapping.
        inner: the dataclass of a section, or of each of several by name; None for a plain value.
        several: whether it holds several by name.
        needed: it has no default, or none for a file.
    """

    valid: Valid
    adapter: TypeAdapter[Any]
    inner: type | None
    several: bool
    needed: bool

    @staticmethod
    def of(field: Field[Any], hint: Any) -> _CheckedField:
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        needed = not has_default or REQUIRED in getattr(hint, "__metadata__", ())
        kinds = (kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and is_dataclass(kind))
        inner = next(kinds, None)
        if inner is not None:
            return _CheckedField(Valid("a mapping"), TypeAdapter(dict), inner, inner is not hint, needed)
        valid = next(extra for extra in hint.__metadata__ if isinstance(extra, Valid))
        return _CheckedField(valid, TypeAdapter(hint), None, False, needed)

    def convert(self, value: Any, what: str) -> Any:
        """The value as the field's type has it; errors call it `what`."""
        try:
            converted = self.adapter.validate_python(value)
            if self.valid.check(converted):
                return converted
        except ValidationError:
            pass
        raise FieldError(what, value, self.valid.words)


@cache
def _checked_fields(kind: type) -> dict[str, _CheckedField]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _CheckedField.of(field, hints[field.name]) for field in fields(kind)}


def _build(kind: type[Checked], values: Mapping[Any, Any], where: str, prefix: str, others: bool) -> Checked:
    known, section = _checked_fields(kind), prefix.rstrip(".")  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown and not others:
        place = f"{where}: '{section}'" if section else where
        raise InputError(f"{place} has unknown fields {', '.join(unknown)}; known are {', '.join(known)}")
    given: dict[str, Any] = {}
    for name, checked in known.items():
        path = f"{prefix}{name}"
        if name not in values:
            if checked.needed:
                raise InputError(f"{where}: field '{path}' is missing; it must be {checked.valid.words}")
            continue
        value = checked.convert(values[name], f"{where}: field '{path}'")
        if checked.several:
            sections = ((str(key), f"{path}.{key}", part) for key, part in value.items())
            given[name] = {key: _section(checked.inner, part, where, at, others) for key, at, part in sections}
        elif checked.inner is not None:
            given[name] = _section(checked.inner, value, where, path, others)
        else:
            given[name] = value
    try:
        return kind(**given)
    except FieldError as error:
        raise FieldError(f"{where}: field '{prefix}{error.name}'", error.value, error.words) from error
    except InputError as error:
        raise InputError(f"{where}: {f'{section}: ' if section else ''}{error}") from error


def _section(kind: type | None, values: Any, where: str, path: str, others: bool) -> Any:
    if not isinstance(values, Mapping) or kind is None:
        raise FieldError(f"{where}: field '{path}'", values, "a mapping")
    return _build(kind, values, where, f"{path}.", others)
