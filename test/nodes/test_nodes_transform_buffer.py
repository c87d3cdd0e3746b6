# SPDX-License-Identifier: Apache-2.0
"""Frames in frames, against chains of transforms multiplied another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liver_seg_ros.nodes import transform_buffer
from liver_seg_ros.nodes.transform_buffer import TransformBuffer, TransformError

SECOND = 1_000_000_000
STILL = (0.0, 0.0, 0.0, 1.0)


def filled(*frames: tuple[str, str, float, int], static: bool = False) -> TransformBuffer:
    """Of (parent, child, x in mm, seconds), none of them turned."""
    buffer = TransformBuffer()
    for parent, child, x, stamp_s in frames:
        buffer.add(parent, child, (x, 0, 0), STILL, stamp_s * SECOND, static)
    return buffer


def x_of(buffer: TransformBuffer, target: str, source: str, stamp_s: float | None = None) -> float:
    stamp = None if stamp_s is None else round(stamp_s * SECOND)
    return float(buffer.lookup(target, source, stamp).transform.apply([0, 0, 0])[0])


quaternion = st.tuples(*[st.floats(-1, 1)] * 3, st.floats(0.1, 1)).map(lambda q: tuple(np.array(q) / np.linalg.norm(q)))
link = st.tuples(st.tuples(*[st.floats(-500, 500)] * 3), quaternion)


@settings(max_examples=50)
@given(st.lists(link, min_size=4, max_size=4))
def test_up_one_branch_and_down_the_other(links: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    """world > a > b and world > c > d: from b to d, of a point moved step by step."""
    buffer = TransformBuffer()
    for (parent, child), (shift, turn) in zip(
        [("world", "a"), ("a", "b"), ("world", "c"), ("c", "d")], links, strict=True
    ):
        buffer.add(parent, child, shift, turn, SECOND)
    point = np.array([3.0, -7.0, 11.0])
    expected = point
    for shift, turn in (links[1], links[0]):
        expected = Rotation.from_quat(turn).apply(expected) + shift
    for shift, turn in (links[2], links[3]):
        expected = Rotation.from_quat(turn).inv().apply(expected - shift)
    np.testing.assert_allclose(buffer.lookup("d", "b").transform.apply(point), expected, atol=1e-6)


def test_between_samples_it_is_interpolated() -> None:
    buffer = TransformBuffer()
    buffer.add("map", "tip", (0, 0, 0), STILL, 0)
    buffer.add("map", "tip", (100, 0, 0), Rotation.from_euler("z", 90, degrees=True).as_quat(), SECOND)
    quarter = buffer.lookup("map", "tip", SECOND // 4).transform
    np.testing.assert_allclose(quarter.apply([0, 0, 0]), [25, 0, 0], atol=1e-6)
    turned = Rotation.from_euler("z", 22.5, degrees=True).apply([1, 0, 0])
    np.testing.assert_allclose(quarter.apply([1, 0, 0]) - [25, 0, 0], turned, atol=1e-6)


def test_the_latest_is_what_all_on_the_way_have() -> None:
    buffer = filled(("map", "arm", 0, 0), ("map", "arm", 100, 10), ("arm", "tip", 1, 0), ("arm", "tip", 2, 4))
    found = buffer.lookup("map", "tip")
    assert found.stamp_ns == 4 * SECOND
    assert found.transform.apply([0, 0, 0])[0] == pytest.approx(42)


def test_what_is_static_holds_at_any_time() -> None:
    buffer = filled(("map", "ct", 7, 5), static=True)
    assert x_of(buffer, "map", "ct", 1e6) == 7
    assert buffer.lookup("map", "ct").stamp_ns is None
    buffer.add("ct", "tip", (1, 0, 0), STILL, 3 * SECOND)
    assert buffer.lookup("map", "tip").stamp_ns == 3 * SECOND
    assert x_of(buffer, "tip", "map") == -8


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1, 1)])
def test_samples_may_come_late_and_twice(order: tuple[int, ...]) -> None:
    buffer = filled(*(("map", "tip", 10.0 * second, second) for second in order))
    assert x_of(buffer, "map", "tip", 1.5) == pytest.approx(15)
    assert x_of(buffer, "map", "tip") == 30


def test_ten_seconds_are_kept_and_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert transform_buffer.HISTORY_NS == 10 * SECOND
    buffer = filled(*(("map", "tip", second, second) for second in range(30)))
    assert x_of(buffer, "map", "tip", 20) == 20
    with pytest.raises(TransformError, match=r"'tip' is asked for 1\.000 s before it is known"):
        x_of(buffer, "map", "tip", 18)
    monkeypatch.setattr(transform_buffer, "MOST_SAMPLES", 3)
    buffer = filled(*(("map", "tip", second, second) for second in range(9)))
    with pytest.raises(TransformError):
        x_of(buffer, "map", "tip", 5)


@pytest.mark.parametrize(
    ("target", "source", "stamp_s", "message"),
    [
        ("map", "nowhere", None, "no frame 'nowhere' was published"),
        ("nowhere", "nowhere", None, "no frame 'nowhere' was published"),
        ("map", "island", None, "frames 'island' and 'map' are not connected"),
        ("map", "tip", 3, r"'tip' is asked for 2\.000 s after it is known"),
    ],
)
def test_why_there_is_none(target: str, source: str, stamp_s: float | None, message: str) -> None:
    buffer = filled(("map", "tip", 1, 1), ("sea", "island", 1, 1))
    with pytest.raises(TransformError, match=message):
        x_of(buffer, target, source, stamp_s)


def test_a_circle_ends() -> None:
    buffer = filled(("a", "b", 1, 1), ("b", "c", 1, 1), ("c", "a", 1, 1))
    with pytest.raises(TransformError, match="circle: a in c in b in a"):
        buffer.lookup("b", "a")


def test_another_parent_begins_anew() -> None:
    buffer = filled(("map", "tip", 1, 1), ("map", "tip", 2, 2), ("arm", "tip", 5, 3), ("map", "arm", 100, 3))
    assert x_of(buffer, "map", "tip") == 105
    with pytest.raises(TransformError):
        x_of(buffer, "map", "tip", 1)


def test_a_clock_set_back_leaves_what_is_static() -> None:
    buffer = filled(("map", "ct", 7, 5), static=True)
    buffer.add("ct", "tip", (1, 0, 0), STILL, 9 * SECOND)
    buffer.clear()
    buffer.add("ct", "tip", (2, 0, 0), STILL, SECOND)
    assert x_of(buffer, "ct", "tip") == 2
    assert x_of(buffer, "map", "ct") == 7


def test_one_stamp_from_the_far_future_does_not_hide_what_comes_after_it() -> None:
    """A publisher's clock that is wrong for one message, or that is set back with no /clock to tell of it."""
    buffer = filled(("map", "tip", 1, 1), ("map", "tip", 2, 3600), ("map", "tip", 3, 2))
    assert buffer.lookup("map", "tip").stamp_ns == 2 * SECOND
    assert x_of(buffer, "map", "tip") == 3
    buffer.add("map", "tip", (4, 0, 0), STILL, 3 * SECOND)
    assert x_of(buffer, "map", "tip", 2.5) == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("parent", "child", "shift", "turn"),
    [
        ("map", "map", (0, 0, 0), STILL), ("", "tip", (0, 0, 0), STILL), ("map", "", (0, 0, 0), STILL),
        ("map", "tip", (np.nan, 0, 0), STILL), ("map", "tip", (0, 0, 0), (0, 0, 0, 0)),
        ("map", "tip", (0, 0, 0), (0, 0, 0, 2)), ("map", "tip", (0, 0, 0), (np.nan, 0, 0, 1)),
    ],
)  # fmt: skip
def test_what_is_no_transform_is_refused_and_forgotten(
    parent: str, child: str, shift: tuple[float, ...], turn: tuple[float, ...]
) -> None:
    buffer = filled(("map", "tip", 1, 1))
    with pytest.raises(TransformError, match="is refused"):
        buffer.add(parent, child, shift, turn, 2 * SECOND)
    assert x_of(buffer, "map", "tip") == 1


def test_names_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform_buffer, "MOST_FRAMES", 3)
    buffer = filled(("map", "a", 1, 1), ("map", "b", 1, 1), ("map", "c", 1, 1))
    with pytest.raises(TransformError, match="3 frames are known already"):
        buffer.add("map", "d", (0, 0, 0), STILL, 1)
    buffer.add("map", "c", (5, 0, 0), STILL, 2 * SECOND)
    assert x_of(buffer, "map", "c") == 5


def test_a_leading_slash_is_the_same_frame() -> None:
    assert x_of(filled(("/map", "/tip", 4, 1)), "map", "/tip") == 4
