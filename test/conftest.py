"""What all tests share: where the real data is, and the skip that says so when it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("liver_seg_ros", deadline=None)
settings.load_profile("liver_seg_ros")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CT and masks (see docs); tests that need it skip with a reason where it is missing."""
    folder = Path(os.environ.get("LIVER_SEG_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real CT test data is not at {folder}; set LIVER_SEG_TEST_DATA to its folder")
    return folder
