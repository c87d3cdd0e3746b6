# SPDX-License-Identifier: Apache-2.0
"""Dataclasses from mappings: what is valid comes through as it is, whatever is not is named by its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import pytest

from liver_seg_ros.checked_fields import (
    REQUIRED,
    FieldError,
    Number,
    Text,
    Valid,
    Whole,
    check_fields,
    from_mapping,
)
from liver_seg_ros.errors import InputError


@dataclass(frozen=True)
class Part:
    size: Annotated[tuple[Whole, Whole], Valid("two sizes", lambda sizes: min(sizes) > 0)]
    share: Annotated[Number, Valid.between(0, 1, "a fraction"), REQUIRED] = 0.5

    def __post_init__(self) -> None:
        check_fields(self)
        if sum(self.size) > 10:
            raise FieldError("size", list(self.size), "together at most 10")
        if self.share == 0.25:
            raise InputError("a quarter is no share")


@dataclass(frozen=True)
class Thing:
    name: Annotated[Text, Valid("text")]
    part: Part
    parts: Mapping[str, Part] = field(default_factory=dict)
    kind: Annotated[str, Valid.one_of(("a", "b"))] = "a"


GOOD: dict[str, Any] = {
    "name": "x",
    "part": {"size": [1, 2], "share": 1},
    "parts": {"p": {"size": [3, 4], "share": 0.5}},
}


def test_what_is_valid_comes_through_and_goes_back() -> None:
    made = from_mapping(Thing, GOOD, "file")
    assert made == Thing("x", Part((1, 2), 1), {"p": Part((3, 4))})
    assert isinstance(made.part.share, int)  # a whole number stays one
    assert from_mapping(Thing, asdict(made), "file") == made


@pytest.mark.parametrize(("path", "value", "said"), [
    ("name", " ", "file: field 'name' is ' '; it must be text"),
    ("kind", "c", "file: field 'kind' is 'c'; it must be one of a, b"),
    ("part", [1], "file: field 'part' is [1]; it must be a mapping"),
    ("part.size", [1, True], "file: field 'part.size' is [1, True]; it must be two sizes"),
    ("part.size", ["1", 2], "file: field 'part.size' is ['1', 2]; it must be two sizes"),
    ("part.size", [6, 5], "file: field 'part.size' is [6, 5]; it must be together at most 10"),
    ("part.share", float("nan"), "file: field 'part.share' is nan; it must be a fraction from 0 to 1"),
    ("part.share", "half", "file: field 'part.share' is 'half'; it must be a fraction from 0 to 1"),
    ("part.share", 0.25, "file: part: a quarter is no share"),
    ("parts.p", 3, "file: field 'parts.p' is 3; it must be a mapping"),
    ("parts.p.size", [0, 1], "file: field 'parts.p.size' is [0, 1]; it must be two sizes"),
    ("part.more", 1, "file: 'part' has unknown fields more; known are size, share"),
    ("more", 1, "file has unknown fields more; known are name, part, parts, kind"),
])  # fmt: skip
def test_what_is_not_is_named_by_its_path(path: str, value: Any, said: str) -> None:
    values = {**GOOD, "part": dict(GOOD["part"]), "parts": {"p": dict(GOOD["parts"]["p"])}}
    *sections, last = path.split(".")
    place = values
    for section in sections:
        place = place[section]
    place[last] = value
    with pytest.raises(InputError) as refused:
        from_mapping(Thing, values, "file")
    assert str(refused.value) == said


def test_what_is_missing_is_named_with_what_it_must_be_unless_it_has_a_default() -> None:
    for values, said in (
        ({"part": GOOD["part"]}, "file: field 'name' is missing; it must be text"),
        ({"name": "x"}, "file: field 'part' is missing; it must be a mapping"),
        (
            {"name": "x", "part": {"size": [1, 1]}},
            "file: field 'part.share' is missing; it must be a fraction from 0 to 1",
        ),
    ):
        with pytest.raises(InputError) as refused:
            from_mapping(Thing, values, "file")
        assert str(refused.value) == said
    assert from_mapping(Thing, {**GOOD, "later": 1}, "file", others=True).kind == "a"


def test_the_constructor_checks_as_the_file_does() -> None:
    assert Part([1, 2], 0).size == (1, 2)  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="size is \\(1, 0\\); it must be two sizes"):
        Part((1, 0))
