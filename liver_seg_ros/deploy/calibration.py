# SPDX-License-Identifier: Apache-2.0
"""Calibration data for quantization: windows of CTs as the network sees them in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.inference.resampling import resample_to_spacing
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.volume import Volume

#: Phantoms for calibration, those that the shipped networks were trained on.
PHANTOM_SEEDS = range(8)

#: Edge of a window in voxels: calibration keeps all maps of one in memory.
_EDGE = 64
_WINDOWS_PER_CT = 4


def phantom_windows(spec: BundleSpec) -> NDArray[np.float32]:
    """`(N, 1, K, J, I)`: windows of phantoms of every contrast phase, as the network of `spec` takes them."""
    windows = []
    for seed in PHANTOM_SEEDS:
        if spec.stage == "segment":  # around the liver, as training has it
            options = PhantomOptions((200, 172, 140), (1.45, 1.45, 1.8), center_mm=(0.0, 0.0, 0.0))
        else:
            options = PhantomOptions((170, 170, 85), (2.4, 2.4, 4.0))
        ct = generate_phantom(seed, options).ct
        windows += _windows(ct, Box((0, 0, 0), ct.geometry.size), spec, seed)
    return np.stack(windows)


def ct_windows(folder: Path, bundle: ModelBundle, localizer: ModelBundle | None) -> NDArray[np.float32]:
    """`(N, 1, K, J, I)`: windows of the CTs in `folder`, each a file or a folder of DICOM.

    Args:
        folder: of the CTs.
        bundle: whose network takes the windows.
        localizer: for a bundle of stage "segment": what finds the liver's box. None for one of stage "localize".

    Raises:
        InputError: the folder holds no CT, or something that cannot be read, or no liver is found in any.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one that holds CTs, each a file or a folder of DICOM")
    windows = []
    for number, (volume, box) in enumerate(_boxes(folder, bundle, localizer)):
        windows += _windows(volume, box, bundle.spec, number)
    if not windows:
        raise InputError(f"{folder} holds no CT with a liver to calibrate on")
    return np.stack(windows)


def _boxes(folder: Path, bundle: ModelBundle, localizer: ModelBundle | None) -> Iterator[tuple[Volume, Box]]:
    """Each CT and where in it the network works."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    segmenter = Segmenter(localizer, bundle) if localizer else None
    for path in paths:
        volume = read_volume(path)
        box = Box((0, 0, 0), volume.geometry.size) if segmenter is None else segmenter.segment(volume).liver_box
        if box is not None:
            yield volume, box
    if segmenter is not None:
        segmenter.close()


def _windows(volume: Volume, box: Box, spec: BundleSpec, seed: int) -> list[NDArray[np.float32]]:
    """`(1, K, J, I)` windows anywhere in `box`, its outer voxels repeated where it is smaller."""
    part = volume.crop(box)
    reorientation = to_canonical(part.geometry)
    geometry = reorientation.apply_to_geometry(part.geometry)
    values, _ = resample_to_spacing(reorientation.apply(part.array), geometry, spec.input.spacing_mm)
    if spec.values == "normalized":
        values = normalize(values, spec.input.hu_window)
    divisor = spec.input.divisor
    edge = max(divisor, _EDGE // divisor * divisor)
    values = np.pad(values, [(0, max(0, edge - n)) for n in values.shape], mode="edge")
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, np.array(values.shape) - edge + 1, (_WINDOWS_PER_CT, 3))
    return [values[k : k + edge, j : j + edge, i : i + edge][None] for k, j, i in corners]
