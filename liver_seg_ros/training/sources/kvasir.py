# SPDX-License-Identifier: Apache-2.0
"""Kvasir-SEG: color pictures of polyps and masks of the same names, both JPEG.

JPEG blurs the masks, so that a voxel of one is anything from 0 to 255: from the middle on it counts as polyp.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.training.sources.reading import by_number
from liver_seg_ros.training.sources.subject import Picture, Subject

IMAGES, MASKS = "images", "masks"
_MIDDLE = 128


def looks_like(folder: Path) -> bool:
    """Whether the folder has pictures, and masks beside them."""
    return (folder / MASKS).is_dir() and any((folder / IMAGES).glob("*.jpg"))


def subjects(folder: Path) -> tuple[Subject, ...]:
    """A subject a picture; nobody says whose it is, so each counts as a patient."""
    pictures = sorted((folder / IMAGES).glob("*.jpg"), key=lambda path: by_number(path.stem))
    return tuple(_subject(path, folder / MASKS / path.name) for path in pictures)


def _subject(image: Path, mask: Path) -> Subject:
    return Subject(image.stem, image.stem, (image, mask), partial(_read, image, mask))


def _read(image: Path, mask: Path) -> Picture:
    rgb, gray = _pixels(image), _pixels(mask)
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InputError(f"{image}: is no color picture")
    gray = gray.mean(axis=2) if gray.ndim == 3 else gray
    if gray.shape != rgb.shape[:2]:
        raise InputError(f"{mask}: is of {gray.shape[::-1]} pixels, its picture of {rgb.shape[1::-1]}")
    return Picture(rgb, gray >= _MIDDLE)


def _pixels(path: Path) -> NDArray[np.uint8]:
    try:
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputError(f"{path}: is missing or no readable picture") from error
