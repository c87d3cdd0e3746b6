# SPDX-License-Identifier: Apache-2.0
"""Which networks a network began with, in words: a name, a version and, in brackets, what that one was trained on.

A network that began with another tells all that the other tells. Blends of such networks would tell it twice as often
each time, so that what was told stands once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: A name and a version with an opening bracket behind them.
_NETWORK = re.compile(r"(\S+ \d+(?:\.\d+)+) \(")
_TOLD = "as above"


class _Part(NamedTuple):
    """A text up to the first network in it that tells what it was trained on, what it tells, and what follows."""

    before: str
    about: str
    rest: str


def told_once(text: str) -> str:
    """`text` with "(as above)" for each network that it has told of already."""
    return _told_once(text, set())


def lineage(text: str, told: set[str], depth: int = 0) -> list[str]:
    """`text` as a Markdown list: what a network was trained on is listed below its name, and only once.

    `told` are those texts in brackets that were listed already.
    """
    text, lines = text.strip(" ."), []
    while text:
        part = _first(text)
        is_known = part.about in told or part.about == _TOLD
        said = part.before if not part.about else part.before + (f" ({_TOLD})" if is_known else ":")
        lines.append(f"{'  ' * depth}- {said}")
        if not is_known:
            lines += lineage(part.about, told, depth + 1)
            told.add(part.about)
        text = part.rest.strip(" .")
    return lines


def _told_once(text: str, told: set[str]) -> str:
    said = ""
    while text:
        part = _first(text)
        said += part.before
        if part.about:
            said += f" ({_TOLD if part.about in told else _told_once(part.about, told)})"
            told.add(part.about)
        text = part.rest
    return said


def _first(text: str) -> _Part:
    found = _NETWORK.search(text)
    if found is None:
        return _Part(text, "", "")
    begin = end = found.end()
    level = 1
    while level and end < len(text):
        level += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return _Part(text[: begin - 2], text[begin : end if level else end - 1], text[end:])
