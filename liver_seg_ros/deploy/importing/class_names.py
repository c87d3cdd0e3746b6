# SPDX-License-Identifier: Apache-2.0
"""Which structure of the label table a class of another tool's network is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_schemes import TOTALSEGMENTATOR, structure_named
from liver_seg_ros.inference.bundle import LABEL_VALUES
from liver_seg_ros.labels import TUMOR, VESSEL

BACKGROUND = "background"

#: What data sets of the liver call its tumors and vessels, beyond what `structure_named` knows.
_WORDS = {
    **dict.fromkeys(("cancer", "hcc", "metastasis", "metastases", "malignancy"), TUMOR),
    **dict.fromkeys(("vasculature", "blood_vessel"), VESSEL),
}
_OF_THE_LIVER = re.compile(r"^(liver|hepatic)_")


def structures_of(
    classes: Sequence[str], asked: Mapping[str, str] | None = None, others: str | None = None
) -> tuple[str, ...]:
    """The structure that each class counts as, by the names of the label table.

    Args:
        classes: as the source names them, the background first.
        asked: `{class: structure or "background"}`, which wins over what the names say.
        others: what a class counts as that no name tells; None to refuse it.

    Returns:
        One name for each class, "background" for what is left out.

    Raises:
        InputError: a class that is not there was asked for, a structure that the label table has not, or a class whose
            structure nobody tells, or none of all is a structure of ours.
    """
    asked = dict(asked or {})
    if unknown := [name for name in asked if name not in classes]:
        raise InputError(f"the model has no class '{unknown[0]}'; it has {', '.join(classes[1:])}")
    if wrong := [name for name in (*asked.values(), *([others] if others else [])) if name not in LABEL_VALUES]:
        raise InputError(f"'{wrong[0]}' is no structure of the label table: {', '.join(LABEL_VALUES)}")
    found = [BACKGROUND, *(asked.get(name) or _by_name(name) or others for name in classes[1:])]
    if untold := [name for name, structure in zip(classes, found, strict=True) if structure is None]:
        raise InputError(
            f"of the model's classes nobody knows which structure {', '.join(untold)} "
            f"{'is' if len(untold) == 1 else 'are'}; say it with --label {untold[0]}=STRUCTURE (background to leave it "
            "out), or leave all of these out with --others background"
        )
    told = tuple(name for name in found if name is not None)
    if set(told) == {BACKGROUND}:
        raise InputError(f"none of the model's classes is a structure of ours: {', '.join(classes[1:])}; use --label")
    return told


def _by_name(name: str) -> str | None:
    """The structure that a class's name tells, "background" for what the label table knowingly has not."""
    plain = re.sub(r"[\s_-]+", "_", name.strip().lower())
    for word in (plain, _OF_THE_LIVER.sub("", plain)):
        structure = structure_named(word) or _WORDS.get(word) or _WORDS.get(word.removesuffix("s"))
        if structure is not None:
            return structure.name
    return BACKGROUND if TOTALSEGMENTATOR.knows(plain) else None
