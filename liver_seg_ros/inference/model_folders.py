# SPDX-License-Identifier: Apache-2.0
"""Where the shipped models are, in a checkout, a colcon workspace, a pip installation or a folder of the user's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from liver_seg_ros.errors import InputError

LOCALIZER = "localizer"
SEGMENTER = "segmenter"
#: Not needed to segment.
SURROUNDINGS = "surroundings"

#: Environment variable that names the folder of models.
VARIABLE = "LIVER_SEG_MODELS"

_PACKAGE = "liver_seg_ros"


def find_models_dir(models_dir: Path | None = None) -> Path:
    """The folder that holds `localizer/` and `segmenter/`, and perhaps more models of the same kind as the latter.

    That is `models_dir` where given, else what the environment variable `LIVER_SEG_MODELS` says, else the first that
    has both of: the repository's checkout, `share/liver_seg_ros/models` of each prefix in `AMENT_PREFIX_PATH`, the same
    in Python's own prefix.

    Raises:
        InputError: the folder asked for lacks a model, or none has both.
    """
    asked_for = models_dir or os.environ.get(VARIABLE)
    if asked_for:
        folder = Path(asked_for)
        if not _has_models(folder):
            raise InputError(f"{folder} must hold the models {LOCALIZER}/ and {SEGMENTER}/, each with model.yaml")
        return folder
    candidates = _candidates()
    for folder in candidates:
        if _has_models(folder):
            return folder
    raise InputError(
        f"no models found in {', '.join(str(folder) for folder in candidates)}; "
        f"set {VARIABLE} to the folder that holds {LOCALIZER}/ and {SEGMENTER}/"
    )


def model_folders(models_dir: Path) -> list[Path]:
    """`localizer/`, `segmenter/`, and in the order of their names all `segmenter_*/` with a model (see `fusion`)."""
    others = sorted(path.parent for path in models_dir.glob(f"{SEGMENTER}_*/model.yaml"))
    return [models_dir / LOCALIZER, models_dir / SEGMENTER, *others]


def _candidates() -> list[Path]:
    checkout = Path(__file__).resolve().parents[2] / "models"
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    shared = [Path(prefix) / "share" / _PACKAGE / "models" for prefix in [*prefixes, sys.prefix]]
    return list(dict.fromkeys([checkout, *shared]))


def _has_models(folder: Path) -> bool:
    return all((folder / name / "model.yaml").is_file() for name in (LOCALIZER, SEGMENTER))
