# SPDX-License-Identifier: Apache-2.0
"""Where engines and compiled models are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

#: Environment variable that names the folder; without it the XDG base directory specification decides.
VARIABLE = "LIVER_SEG_CACHE"


def cache_folder(asked_for: Path | None = None) -> Path:
    """`asked_for` where given, else `$LIVER_SEG_CACHE`, else `liver_seg_ros` in `$XDG_CACHE_HOME` or `~/.cache`.

    It may not exist yet.
    """
    if asked_for is not None:
        return Path(asked_for).expanduser()
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path("~/.cache").expanduser()  # relative ones are to be ignored
    return base / "liver_seg_ros"
