# SPDX-License-Identifier: Apache-2.0
"""Where frames are in each other, from TF's messages: what `tf2_ros.Buffer` is, where tf2_ros is not installed.

From PyPI there is none, as it needs a C++ part; `transforms.py` takes it where it is installed.
Names and meanings are tf2's; lengths are in millimetres here, as everywhere below the messages.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.planning.transform import RigidTransform

#: How much of the past is kept, as tf2 does. A sample that is older by more than that begins its frame anew: its
#: publisher's clock was set back, or was wrong for a moment before. (tf2 ignores such samples.)
HISTORY_NS = 10_000_000_000
#: At most so many samples of one frame in it: a publisher at 10 kHz does not fill the memory.
MOST_SAMPLES = 20_000
#: At most so many frames: one that makes up names for ever does not either.
MOST_FRAMES = 2_000
#: How far a rotation's length may be from 1, as tf2 has it.
QUATERNION_TOLERANCE = 1e-2


class TransformError(Exception):
    """There is no such transform (now): a frame nobody published, two trees, no sample at this time, a loop."""


@dataclass(frozen=True)
class Found:
    """A transform that was looked up.

    Attributes:
        transform: from the source's frame to the target's, mm.
        stamp_ns: the time that it holds for; None where all on the way is static, which holds at any time.
    """

    transform: RigidTransform
    stamp_ns: int | None


@dataclass
class _Frame:
    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    samples: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)


class TransformBuffer:
    """The latest seconds of a tree of frames. Calls from several threads are safe."""

    def __init__(self) -> None:
        self._frames: dict[str, _Frame] = {}
        self._lock = Lock()

    def add(
        self, parent: str, child: str, translation_mm: Sequence[float], rotation_xyzw: Sequence[float],
        stamp_ns: int, static: bool = False,
    ) -> None:  # fmt: skip
        """Take in where `child` is in `parent`. A child that gets another parent forgets where it was in the last.

        Raises:
            TransformError: numbers that are no transform, a frame in itself or without a name, or too many frames.
        """
        parent, child = parent.removeprefix("/"), child.removeprefix("/")
        if not parent or not child or parent == child:
            raise TransformError(f"frame '{child}' in '{parent}' is refused: names must be there, and two")
        translation, rotation = np.array(translation_mm, float), np.array(rotation_xyzw, float)
        length = float(np.linalg.norm(rotation))
        if not np.isfinite(translation).all() or not abs(length - 1) < QUATERNION_TOLERANCE:
            raise TransformError(f"frame '{child}' in '{parent}' is refused: no finite shift with a unit quaternion")
        with self._lock:
            frame = self._frames.get(child)
            if frame is None and len(self._frames) >= MOST_FRAMES:
                raise TransformError(f"frame '{child}' is refused: {MOST_FRAMES} frames are known already")
            if frame is None or frame.parent != parent or frame.static != static:
                frame = self._frames[child] = _Frame(parent, static)
            _put(frame, stamp_ns, (translation, rotation / length))

    def clear(self) -> None:
        """Forget all but static frames; for a clock that was set back."""
        with self._lock:
            self._frames = {name: frame for name, frame in self._frames.items() if frame.static}

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Found:
        """What takes points of the frame `source` to the frame `target`.

        Args:
            stamp_ns: the time that is asked for, between samples interpolated; the latest that all frames on the way
                have where None.

        Raises:
            TransformError: see there.
        """
        target, source = target.removeprefix("/"), source.removeprefix("/")
        with self._lock:
            for name in (source, target):
                if name not in self._frames and not self._is_parent(name):
                    raise TransformError(f"no frame '{name}' was published")
            up_source, up_target = self._path(source), self._path(target)
            common = next((name for name in up_source if name in up_target), None)
            if common is None:
                raise TransformError(f"frames '{source}' and '{target}' are not connected")
            rising = up_source[: up_source.index(common)]
            falling = up_target[: up_target.index(common)]
            moving = [self._frames[name] for name in (*rising, *falling) if not self._frames[name].static]
            if stamp_ns is None and moving:
                stamp_ns = min(frame.stamps_ns[-1] for frame in moving)
            matrix = np.linalg.inv(self._matrix(falling, stamp_ns)) @ self._matrix(rising, stamp_ns)
        return Found(RigidTransform(matrix), stamp_ns if moving else None)

    def _path(self, name: str) -> list[str]:
        """From a frame up to the root of its tree."""
        path = [name]
        while (frame := self._frames.get(path[-1])) is not None:
            if frame.parent in path:
                raise TransformError(f"frames go in a circle: {' in '.join([*path, frame.parent])}")
            path.append(frame.parent)
        return path

    def _is_parent(self, name: str) -> bool:
        return any(frame.parent == name for frame in self._frames.values())

    def _matrix(self, names: Sequence[str], stamp_ns: int | None) -> NDArray[np.float64]:
        """`(4, 4)` from the first of these frames to the parent of the last."""
        matrix = np.eye(4)
        for name in names:
            matrix = _at(name, self._frames[name], stamp_ns) @ matrix
        return matrix


def _put(frame: _Frame, stamp_ns: int, sample: Any) -> None:
    if frame.static:
        frame.stamps_ns, frame.samples = [stamp_ns], [sample]
        return
    if frame.stamps_ns and stamp_ns < frame.stamps_ns[-1] - HISTORY_NS:
        frame.stamps_ns, frame.samples = [], []
    place = bisect_right(frame.stamps_ns, stamp_ns)
    if place and frame.stamps_ns[place - 1] == stamp_ns:
        frame.samples[place - 1] = sample
        return
    frame.stamps_ns.insert(place, stamp_ns)
    frame.samples.insert(place, sample)
    old = max(bisect_left(frame.stamps_ns, frame.stamps_ns[-1] - HISTORY_NS), len(frame.stamps_ns) - MOST_SAMPLES)
    if old > 0:
        del frame.stamps_ns[:old], frame.samples[:old]


def _at(name: str, frame: _Frame, stamp_ns: int | None) -> NDArray[np.float64]:
    """`(4, 4)` from a frame to its parent at a time."""
    if frame.static or stamp_ns is None:
        return _homogeneous(*frame.samples[-1])
    first_ns, last_ns = frame.stamps_ns[0], frame.stamps_ns[-1]
    if not first_ns <= stamp_ns <= last_ns:
        off_s = (stamp_ns - last_ns if stamp_ns > last_ns else first_ns - stamp_ns) / 1e9
        raise TransformError(
            f"'{name}' is asked for {off_s:.3f} s {'after' if stamp_ns > last_ns else 'before'} it is known"
        )
    after = bisect_right(frame.stamps_ns, stamp_ns)
    before = after - 1
    if frame.stamps_ns[before] == stamp_ns:
        return _homogeneous(*frame.samples[before])
    share = (stamp_ns - frame.stamps_ns[before]) / (frame.stamps_ns[after] - frame.stamps_ns[before])
    (shift_a, turn_a), (shift_b, turn_b) = frame.samples[before], frame.samples[after]
    a, b = Rotation.from_quat(turn_a), Rotation.from_quat(turn_b)
    between = a * Rotation.from_rotvec(share * (a.inv() * b).as_rotvec())
    return _homogeneous((1 - share) * shift_a + share * shift_b, between.as_quat())


def _homogeneous(shift_mm: NDArray[np.float64], turn_xyzw: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_quat(turn_xyzw).as_matrix(), shift_mm
    return matrix
