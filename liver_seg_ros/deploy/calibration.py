# SPDX-License-Identifier: Apache-2.0
"""Calibration data for quantization: windows of CTs as the network sees them in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from liver_seg_ros.deploy.graph_sizes import traced_sizes
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.geometry import Box
from liver_seg_ros.inference.bundle import BundleSpec, ModelBundle
from liver_seg_ros.inference.canny import canny_map
from liver_seg_ros.inference.conventions import flips_of, network_grid
from liver_seg_ros.inference.input_spec import CT_VIEW, EDGES, IMAGE
from liver_seg_ros.inference.network import fed_slices
from liver_seg_ros.inference.preprocessing import normalize
from liver_seg_ros.inference.segmenter import Segmenter
from liver_seg_ros.orientation import to_canonical
from liver_seg_ros.phantom import PhantomOptions, generate_phantom
from liver_seg_ros.volume import Volume

#: Phantoms for calibration, those that the shipped networks were trained on.
PHANTOM_SEEDS = range(8)

#: Edge of a window in voxels: calibration keeps all maps of one in memory.
_EDGE = 64
_WINDOWS_PER_CT = 4
#: A slice has fewer voxels than a window, so more of them are taken.
_SLICES_PER_CT = 16

#: `(N, channels, K, J, I)` of each input by name; of slices `(N, channels, J, I)`.
Windows = dict[str, NDArray[np.float32]]


def phantom_windows(spec: BundleSpec) -> Windows:
    """Windows of phantoms of every contrast phase, as the network of `spec` takes them."""
    windows = []
    for seed in PHANTOM_SEEDS:
        if spec.stage == "segment":  # around the liver, as training has it
            options = PhantomOptions((200, 172, 140), (1.45, 1.45, 1.8), center_mm=(0.0, 0.0, 0.0))
        else:
            options = PhantomOptions((170, 170, 85), (2.4, 2.4, 4.0))
        ct = generate_phantom(seed, options).ct
        windows.append(_windows(ct, Box((0, 0, 0), ct.geometry.size), spec, seed))
    return _joined(windows)


def any_window(spec: BundleSpec) -> Windows:
    """One window of noise, of the smallest sizes at which a network can show all that it does."""
    sizes, _ = traced_sizes(spec.input)
    rng = np.random.default_rng(0)
    shapes = {name: (1, channels, *sizes) for name, channels in spec.input.channels.items()}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def ct_windows(folder: Path, bundle: ModelBundle, localizer: ModelBundle | None) -> Windows:
    """Windows of the CTs in `folder`, each a file or a folder of DICOM.

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
        windows.append(_windows(volume, box, bundle.spec, number))
    if not windows:
        raise InputError(f"{folder} holds no CT with a liver to calibrate on")
    return _joined(windows)


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


def _windows(volume: Volume, box: Box, spec: BundleSpec, seed: int) -> Windows:
    """Windows anywhere in `box`, or in the whole CT where that is what the network is shown; see `_padded`."""
    part = volume if spec.input.view == CT_VIEW else volume.crop(box)
    reorientation = to_canonical(part.geometry)
    geometry = reorientation.apply_to_geometry(part.geometry)
    grid = network_grid(geometry, spec.input.spacing_for(geometry), spec.input.convention, spec.input.orientation)
    turn = flips_of(spec.input.orientation)
    values = np.stack([plane[turn] for plane in fed_slices(spec, reorientation.apply(part.array), geometry, grid)])
    rng = np.random.default_rng(seed)
    if spec.input.slices:
        return _slices(values, spec, rng)
    edges = spec.input.least_window
    if not spec.input.fixed_window:
        divisor = spec.input.divisor
        edges = (max(divisor, _EDGE // divisor * divisor),) * 3
    values = _padded(values, edges, spec.input.beyond)
    corners = rng.integers(0, np.array(values.shape) - np.array(edges) + 1, (_WINDOWS_PER_CT, 3))
    depth, height, width = edges
    return {IMAGE: np.stack([values[k : k + depth, j : j + height, i : i + width][None] for k, j, i in corners])}


def _slices(values: NDArray[np.float32], spec: BundleSpec, rng: Generator) -> Windows:
    """Slices of `values` `(K, J, I)`, and what else the network takes of them, in plane as large as the patch."""
    i, j, _ = spec.input.patch
    values = _padded(values, (1, j, i), spec.input.beyond)
    chosen = rng.integers(0, len(values), _SLICES_PER_CT)
    offsets = np.arange(-spec.input.neighbors, spec.input.neighbors + 1)
    stacks = values[np.clip(chosen[:, None] + offsets, 0, len(values) - 1)]  # (N, 2 n + 1, J, I)
    top, left = (rng.integers(0, n - edge + 1) for n, edge in zip(values.shape[1:], (j, i), strict=True))
    windows = {IMAGE: np.ascontiguousarray(stacks[..., top : top + j, left : left + i])}
    if EDGES in spec.input.inputs:
        middle = windows[IMAGE][:, spec.input.neighbors]
        shown = normalize(middle, spec.input.hu_window) if spec.values == "hu" else middle
        windows[EDGES] = canny_map(shown)[:, None]
    return windows


def _padded(values: NDArray[np.float32], edges: tuple[int, int, int], beyond: float | None) -> NDArray[np.float32]:
    """`values` `(K, J, I)`; where they are smaller than `edges`, `beyond`, or their outer voxels repeated."""
    missing = [(0, max(0, edge - n)) for edge, n in zip(edges, values.shape, strict=True)]
    if beyond is None:
        return np.pad(values, missing, mode="edge")
    return np.pad(values, missing, constant_values=beyond)


def _joined(windows: list[Windows]) -> Windows:
    return {name: np.concatenate([part[name] for part in windows]) for name in windows[0]}
