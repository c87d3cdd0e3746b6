# SPDX-License-Identifier: Apache-2.0
"""The files of a phantom in a folder, as `liver-seg phantom` writes them, and how they are known again."""

from __future__ import annotations

import json
from pathlib import Path

CT, LABELS, VESSELS = "ct.nii.gz", "labels.nii.gz", "vessels.json"
#: Where the organs around the liver are, if that is asked for; it says itself what each value is.
SURROUNDINGS = "surroundings.seg.nrrd"
#: In place of the vessels', where tumors and vessels were painted into a real CT: that is no synthetic patient.
IMPLANTS = "implants.json"


def known_synthetic(path: Path) -> bool | None:
    """True where `liver-seg phantom` wrote the CT or labels at `path`: its description lies beside them. Else None."""
    try:
        description = json.loads((path.parent / VESSELS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(description, dict) or path.name not in (description.get("ct"), description.get("labels")):
        return None
    return True
