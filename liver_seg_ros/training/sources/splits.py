# SPDX-License-Identifier: Apache-2.0
"""Who is trained on, who is validated on, and who is kept for the end: by patients, and the same on every machine.

The papers say how many, not who. So patients are drawn: in the order of a hash of a seed and the patient's name, which
depends neither on the order of files nor on a library's version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from liver_seg_ros.errors import InputError

#: What is taken where neither recipe nor data set says anything: our choice.
DEFAULT = "8:1:1"
#: What a recipe calls the split that the data set itself comes with.
OWN_SPLIT = "given"

_RATIO = re.compile(r"\d{1,4}:\d{1,4}:\d{1,4}")


@dataclass(frozen=True)
class Plan:
    """How patients are divided.

    Attributes:
        shares: for training, validation and testing.
        are_counts: whether these are numbers of patients, and not a ratio. What is left over is in no part.
        fewest_slices: scans of fewer are left out of whatever part they are in.
    """

    shares: tuple[int, int, int]
    are_counts: bool = True
    fewest_slices: int = 0

    @property
    def in_words(self) -> str:
        """For a model card, e.g. "88:22:20 patients, scans from 48 slices"."""
        words = ":".join(map(str, self.shares)) + (" patients" if self.are_counts else "")
        return words + (f", scans from {self.fewest_slices} slices" if self.fewest_slices else "")


def is_ratio(text: str) -> bool:
    """Whether `text` is a ratio of training, validation and testing, such as "8:1:1", with something to train on."""
    return _RATIO.fullmatch(text) is not None and int(text.split(":")[0]) > 0


def ratio(text: str) -> Plan:
    """The plan that a ratio is, see `is_ratio`."""
    a, b, c = (int(number) for number in text.split(":"))
    return Plan((a, b, c), are_counts=False)


def divide(patients: Sequence[str], plan: Plan, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """The patients of training, validation and testing.

    Args:
        patients: their names, in any order; each counts once.
        plan: how many of them, or which share. A share above zero gets one patient at least, where there are enough.
        seed: another one gives another drawing.

    Raises:
        InputError: fewer patients than the plan counts, or than it has parts.
    """
    drawn = sorted({*patients}, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    counts = plan.shares if plan.are_counts else _counts(len(drawn), plan.shares)
    if sum(counts) > len(drawn):
        raise InputError(
            f"a split of {plan.in_words} needs {sum(counts)} patients, and there are {len(drawn)}; "
            f"complete the data set, or give a ratio such as {DEFAULT}"
        )
    a, b, c = counts
    return drawn[:a], drawn[a : a + b], drawn[a + b : a + b + c]


def _counts(total: int, shares: tuple[int, int, int]) -> tuple[int, int, int]:
    """`total` divided by largest remainders, one at least where the share is above zero."""
    least = [int(share > 0) for share in shares]
    exact = [total * share / sum(shares) for share in shares]
    counts = [max(low, int(part)) for low, part in zip(least, exact, strict=True)]
    order = sorted(range(3), key=lambda n: exact[n] - counts[n], reverse=True)
    for n in order:
        if sum(counts) < total and shares[n]:
            counts[n] += 1
    while sum(counts) > total and max(counts) > 1:
        counts[counts.index(max(counts))] -= 1
    return counts[0], counts[1], counts[2]
