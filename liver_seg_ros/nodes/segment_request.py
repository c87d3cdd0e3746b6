# SPDX-License-Identifier: Apache-2.0
"""What a goal of the action `segment_volume` asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from liver_seg_interfaces.action import SegmentVolume
from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import Structure, structure_by_name
from liver_seg_ros.nodes.messages.text import shown


@dataclass(frozen=True)
class SegmentRequest:
    """One of `path` and `volume_uid` is empty.

    Attributes:
        path, series_uid, acquisition: as `read_volume` takes them.
        volume_uid: of a volume that came.
        models_dir: other models than the node's; None: the node's.
        wanted: structures in labels and report; empty: all that the models give.
    """

    path: str = ""
    volume_uid: str = ""
    series_uid: str = ""
    acquisition: str = ""
    models_dir: Path | None = None
    wanted: tuple[Structure, ...] = ()

    @property
    def doing(self) -> str:
        """What is said while it is worked on; a volume's uid follows where it is known."""
        return f"reading and segmenting {shown(self.path)}" if self.path else "segmenting"


def request_of(goal: SegmentVolume.Goal) -> SegmentRequest:
    """Raises `InputError` for a goal that names no CT or two, or an unknown structure."""
    if bool(goal.path) == bool(goal.volume_uid):
        raise InputError("the goal names no CT or two; give one of path and volume_uid")
    return SegmentRequest(
        path=goal.path,
        volume_uid=goal.volume_uid,
        series_uid=goal.series_uid,
        acquisition=goal.acquisition,
        models_dir=Path(goal.model).expanduser() if goal.model else None,
        wanted=tuple(map(structure_by_name, goal.structures)),
    )
