# SPDX-License-Identifier: Apache-2.0
"""What is counted of one fault, for benchmarks/faults.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class WrongError(Exception):
    """An answer came that is not right."""


@dataclass
class Tries:
    """Counts the tries of one fault.

    Attributes:
        count: how many there are to be.
        done, lost, wrong: how many were made, had no answer, had a wrong one.
        slowest_s: the longest time to an answer.
        said: the first line of each that was lost or wrong.
    """

    count: int
    done: int = 0
    lost: int = 0
    wrong: int = 0
    slowest_s: float = 0.0
    said: list[str] = field(default_factory=list)

    def numbers(self) -> Iterator[int]:
        """0, 1, 2 and so on."""
        yield from range(self.count)

    @contextmanager
    def one(self) -> Iterator[None]:
        """The body is what has to happen after the fault: it is timed, and its failures are counted."""
        self.done += 1
        began = time.monotonic()
        try:
            yield
        except WrongError as error:
            self.wrong += 1
            self.said.append(str(error))
        except AssertionError as error:  # of the tests' harness: it did not come in time
            self.lost += 1
            self.said.append(str(error).partition("\n")[0])
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def expect(condition: bool, otherwise: str) -> None:
    """Raises `WrongError`."""
    if not condition:
        raise WrongError(otherwise)
