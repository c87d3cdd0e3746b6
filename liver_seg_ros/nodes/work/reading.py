# SPDX-License-Identifier: Apache-2.0
"""The work of the node `ct_source`: from a file or a DICOM folder to a CT."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from liver_seg_ros.progress import Cancelled, Progress
from liver_seg_ros.volume import Volume


class Reading:
    """Nothing is kept between two files. What reads them is imported here, where it is needed, and not by the node."""

    def __init__(self, progress: Progress, cancelled: Cancelled) -> None:
        import_module("liver_seg_ros.files.volumes")

    def read(
        self, path: str, series_uid: str, acquisition: str, progress: Progress, cancelled: Cancelled
    ) -> Iterator[Volume]:
        """One CT; see `read_volume` for what is refused."""
        from liver_seg_ros.files.volumes import read_volume

        yield read_volume(Path(path).expanduser(), series_uid or None, acquisition or None)
