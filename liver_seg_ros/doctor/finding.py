# SPDX-License-Identifier: Apache-2.0
"""`Finding`: what one look at the machine found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        name: of what was looked at; the same on every machine.
        level: a problem keeps something from working, a warning makes it slow or may.
        found: in words.
        advice: what to do; empty where all is well.
    """

    name: str
    level: Level
    found: str
    advice: str = ""


def finding(name: str, found: str, advice: str, worst: Level = Level.OK) -> Finding:
    """A finding whose advice counts only where `worst` is not `OK`."""
    return Finding(name, worst, found, "" if worst == Level.OK else advice)
