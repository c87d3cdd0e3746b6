"""The table of tiny networks, and one small phantom to train them on."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from liver_seg_ros.phantom import Phantom, PhantomOptions, generate_phantom

SMALL = runpy.run_path(str(Path(__file__).with_name("small.py")))["SMALL"]  # tests are not importable from each other


@pytest.fixture(scope="session")
def small() -> dict:
    """Network -> `Small`, see small.py."""
    return SMALL


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """The whole liver on coarse voxels, with many slices that have all three structures."""
    return generate_phantom(2, PhantomOptions(size=(48, 48, 48), spacing_mm=(5, 5, 4.5), tumor_count=6, noise_hu=8))
