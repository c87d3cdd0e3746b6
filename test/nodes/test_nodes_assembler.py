# SPDX-License-Identifier: Apache-2.0
"""Slabs put together: any order, doubles, several volumes, contradictions, gaps, memory."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Geometry
from liver_seg_ros.nodes.messages.assembler import Assembler
from liver_seg_ros.nodes.messages.slab import WIRE_TYPES, Slab

GEOMETRY = Geometry(size=(5, 4, 7), spacing_mm=(0.7, 0.7, 2.0))
HU = np.arange(7 * 4 * 5, dtype=np.int16).reshape(7, 4, 5)


def slab(first, stop, uid="ct", stamp_ns=1, voxels=HU, encoding="16SC1", geometry=GEOMETRY):
    data = voxels[first:stop].astype(WIRE_TYPES[encoding]).tobytes()
    return Slab(uid, stamp_ns, encoding, geometry, first, stop - first, data)


def assembler(dtype=np.int16, timeout_s=1.0, max_bytes=10_000, **options):
    return Assembler(dtype, timeout_s, max_bytes, **options)


@given(
    borders=st.sets(st.integers(1, 6)),
    order=st.randoms(use_true_random=False),
    doubled=st.lists(st.integers(0, 100), max_size=5),
)
def test_any_partition_in_any_order_with_doubles_gives_the_volume_once(borders, order, doubled):
    edges = [0, *sorted(borders), 7]
    pieces = [slab(a, b) for a, b in pairwise(edges)]
    sent = pieces + [pieces[n % len(pieces)] for n in doubled]
    order.shuffle(sent)
    under_test = assembler()
    complete = [volume for piece in sent if (volume := under_test.add(piece, now_s=0.0)) is not None]
    assert len(complete) == 1
    np.testing.assert_array_equal(complete[0].array, HU)
    assert complete[0].array.dtype == np.int16
    assert complete[0].geometry == GEOMETRY
    assert under_test.open_bytes == 0


def test_overlapping_slabs_complete_a_volume():
    under_test = assembler()
    assert under_test.add(slab(0, 5), 0.0) is None
    np.testing.assert_array_equal(under_test.add(slab(3, 7), 0.0).array, HU)


def test_interleaved_volumes_stay_apart():
    under_test = assembler()
    under_test.add(slab(0, 4, "a"), 0.0)
    under_test.add(slab(0, 4, "b", voxels=-HU), 0.0)
    first = under_test.add(slab(4, 7, "b", voxels=-HU), 0.0)
    second = under_test.add(slab(4, 7, "a"), 0.0)
    assert (first.uid, second.uid) == ("b", "a")
    np.testing.assert_array_equal(first.array, -HU)
    np.testing.assert_array_equal(second.array, HU)


def test_a_later_stamp_begins_a_new_edition_and_an_old_one_does_not():
    under_test = assembler()
    assert under_test.add(slab(0, 7, stamp_ns=5), 0.0) is not None
    assert under_test.add(slab(0, 7, stamp_ns=5), 0.0) is None
    assert under_test.add(slab(0, 7, stamp_ns=6, voxels=HU + 1), 0.0).array[0, 0, 0] == 1


def test_a_volume_that_comes_again_after_a_while_is_done_again_and_its_stray_doubles_are_not():
    """A bag played twice has the same stamps, a clock set back gives earlier ones."""
    under_test = assembler(timeout_s=1.0)
    assert under_test.add(slab(0, 7, stamp_ns=5), 0.0) is not None
    assert under_test.add(slab(0, 4, stamp_ns=5), 0.9) is None
    assert under_test.add(slab(4, 6, stamp_ns=5), 1.8) is None
    assert under_test.open_bytes == 0 and under_test.take_warnings(1.8) == []
    for stamp_ns, now_s in ((5, 3.0), (2, 5.0), (3, 5.1)):
        assert under_test.add(slab(0, 3, stamp_ns=stamp_ns), now_s) is None
        again = under_test.add(slab(3, 7, voxels=HU + stamp_ns, stamp_ns=stamp_ns), now_s)
        np.testing.assert_array_equal(again.array[3:], HU[3:] + stamp_ns)
    assert under_test.take_warnings(9.0) == []


def test_a_volume_that_comes_again_at_once_is_ignored_and_that_is_said_once():
    under_test = assembler(timeout_s=1.0)
    assert under_test.add(slab(0, 7, stamp_ns=5), 0.0) is not None
    for _ in range(3):
        for piece in (slab(0, 4, stamp_ns=5), slab(4, 7, stamp_ns=4)):
            assert under_test.add(piece, 0.5) is None
    [line] = under_test.take_warnings(0.5)
    assert "volume ct came again within 1 s" in line and "later header.stamp" in line


def test_doubles_of_the_edition_before_do_not_get_into_the_new_one():
    under_test = assembler()
    under_test.add(slab(0, 7, stamp_ns=5), 0.0)
    assert under_test.add(slab(0, 4, stamp_ns=6, voxels=HU + 1), 9.0) is None
    assert under_test.add(slab(4, 7, stamp_ns=5), 9.0) is None
    np.testing.assert_array_equal(under_test.add(slab(4, 7, stamp_ns=6, voxels=HU + 1), 9.0).array, HU + 1)


def test_missing_slices_are_named_once_after_the_timeout_and_may_still_come():
    under_test = assembler()
    under_test.add(slab(0, 2), 0.0)
    under_test.add(slab(3, 4), 0.5)
    assert under_test.take_warnings(1.4) == []
    [line] = under_test.take_warnings(1.6)
    assert "slices 2, 4 to 6 of 7 are missing" in line
    assert under_test.take_warnings(9.0) == []
    under_test.add(slab(4, 7), 9.0)
    np.testing.assert_array_equal(under_test.add(slab(2, 3), 9.0).array, HU)


def gave_up(slabs, at_s=20.0):
    """An assembler that has given these up, and was asked what it says of it."""
    under_test = assembler(give_up_after_s=10.0)
    for piece in slabs:
        under_test.add(piece, 0.0)
    assert under_test.take_warnings(9.9) != [] and under_test.take_dropped() == []
    assert len(under_test.take_warnings(at_s)) == len(under_test.take_dropped()) == 1
    return under_test


def test_an_incomplete_volume_is_given_up_once_and_its_memory_is_freed():
    under_test = assembler(give_up_after_s=10.0)
    under_test.add(slab(0, 2), 0.0)
    under_test.add(slab(3, 4), 5.0)
    under_test.add(slab(0, 2), 14.0)  # once more the same: nothing new
    assert len(under_test.take_warnings(15.0)) == 1 and under_test.open_bytes == HU.nbytes
    [line] = under_test.take_warnings(15.1)
    assert under_test.take_dropped() == [("ct", line)] and under_test.open_bytes == 0 and not under_test.knows("ct")
    assert line == (
        "volume ct is given up, as nothing new came for 10 s: slices 2, 4 to 6 of 7 are missing; send it whole again"
    )
    assert under_test.take_warnings(99.0) == under_test.take_dropped() == []


def test_late_slabs_of_a_volume_that_was_given_up_are_said_once_and_forgotten():
    under_test = gave_up([slab(0, 3), slab(4, 6)])
    assert under_test.add(slab(3, 4), 21.0) is None
    assert under_test.add(slab(6, 7), 22.0) is None
    [line] = under_test.take_warnings(28.0)
    assert "volume ct was given up before slice 3 came" in line
    for again_s in (40.0, 60.0):
        assert under_test.take_warnings(again_s) == under_test.take_dropped() == [] and under_test.open_bytes == 0
        assert under_test.add(slab(3, 4), again_s + 1) is None


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2), (3, 1, 2, 0)])
@pytest.mark.parametrize("stamp_ns", [1, 2])
def test_a_volume_that_was_given_up_begins_anew_when_it_is_sent_whole_again(order, stamp_ns):
    under_test = gave_up([slab(0, 3), slab(4, 6)])
    pieces = [slab(*ends, voxels=HU + 1, stamp_ns=stamp_ns) for ends in ((0, 3), (3, 4), (4, 6), (6, 7))]
    complete = [volume for n in order if (volume := under_test.add(pieces[n], 21.0)) is not None]
    np.testing.assert_array_equal(complete[0].array, HU + 1)
    assert under_test.take_dropped() == []


@pytest.mark.parametrize("stamp_ns", [1, 2])
def test_a_volume_that_loses_slices_once_more_is_given_up_once_more(stamp_ns):
    under_test = gave_up([slab(0, 3), slab(4, 6)])
    for first in (3, 4):
        under_test.add(slab(first, first + 1, stamp_ns=stamp_ns), 21.0)
    under_test.take_warnings(40.0)
    [(uid, line)] = under_test.take_dropped()
    assert uid == "ct" and "slices 0 to 2, 5 to 6 of 7 are missing" in line


@pytest.mark.parametrize(
    "other",
    [
        Geometry(size=(5, 4, 7), spacing_mm=(0.8, 0.7, 2.0)),
        Geometry(size=(5, 4, 7), spacing_mm=(0.7, 0.7, 2.0), origin_mm=(1, 0, 0)),
        Geometry(size=(5, 4, 8), spacing_mm=(0.7, 0.7, 2.0)),
    ],
    ids=["spacing", "origin", "size"],
)
def test_a_contradicting_slab_is_refused_and_the_volume_completes_without_it(other):
    under_test = assembler()
    under_test.add(slab(0, 4), 0.0)
    with pytest.raises(InputError, match="refused"):
        under_test.add(slab(4, 7, voxels=HU * 0, geometry=other), 0.0)
    np.testing.assert_array_equal(under_test.add(slab(4, 7), 0.0).array, HU)


def test_a_contradicting_slab_replaces_what_is_overdue():
    under_test = assembler()
    under_test.add(slab(0, 4), 0.0)
    assert under_test.take_warnings(5.0)
    other = Geometry(size=(5, 4, 7))
    np.testing.assert_array_equal(under_test.add(slab(0, 7, geometry=other), 5.0).array, HU)


def test_the_volume_fed_longest_ago_makes_room():
    under_test = assembler(max_bytes=HU.nbytes * 2)
    for uid in "abc":
        under_test.add(slab(0, 4, uid), 0.0)
    assert under_test.open_bytes == HU.nbytes * 2
    [line] = under_test.take_warnings(0.0)
    assert "volume a was dropped" in line
    assert under_test.add(slab(4, 7, "b"), 0.0) is not None


def test_a_volume_beyond_the_memory_allowed_is_refused_without_allocating():
    huge = Geometry(size=(60000, 60000, 60000))
    with pytest.raises(InputError, match="max_volume_mb"):
        assembler().add(Slab("ct", 1, "16SC1", huge, 0, 1, b"", "zlib"), 0.0)


@pytest.mark.parametrize("size", [(2**32 - 1,) * 3, (2**32 - 1, 2**31, 2), (60000, 60000, 1)])
def test_sizes_beyond_64_bits_are_refused_too_and_a_compressed_slab_before_it_is_inflated(size):
    huge = Slab("ct", 1, "16SC1", Geometry(size=size), 0, 1, b"no stream at all", "zlib")
    with pytest.raises(InputError, match="max_volume_mb"):
        assembler().add(huge, 0.0)


def test_what_is_not_taken_is_not_inflated():
    """Of a completed volume, of another grid, or of another kind: none of these bytes are looked at."""
    under_test = assembler()
    bomb = zlib.compress(bytes(10_000_000))
    under_test.add(slab(0, 7), 0.0)
    assert under_test.add(Slab("ct", 1, "16SC1", GEOMETRY, 0, 7, bomb, "zlib"), 0.0) is None
    under_test.add(slab(0, 4, "other"), 0.0)
    shifted = Geometry(size=(5, 4, 7))
    for refused in (
        Slab("other", 1, "16SC1", shifted, 4, 3, bomb, "zlib"),
        Slab("labels", 1, "8UC1", GEOMETRY, 0, 7, bomb, "zlib"),
    ):
        with pytest.raises(InputError, match=r"is refused|this topic takes"):
            under_test.add(refused, 0.0)


def test_a_slab_that_cannot_be_used_leaves_what_was_collected():
    under_test = assembler()
    under_test.add(slab(0, 4), 0.0)
    assert under_test.take_warnings(5.0)  # overdue: another grid would replace it
    with pytest.raises(InputError, match="volume ct: the message's zlib stream is damaged"):
        under_test.add(Slab("ct", 1, "16SC1", Geometry(size=(5, 4, 7)), 0, 7, b"damaged", "zlib"), 5.0)
    np.testing.assert_array_equal(under_test.add(slab(4, 7), 5.0).array, HU)


def test_ever_more_volumes_of_which_one_slab_comes_are_held_in_bounded_number():
    under_test = assembler(max_bytes=10**9)
    for number in range(1000):
        under_test.add(slab(0, 1, f"{number}"), 0.0)
    assert under_test.open_bytes <= 64 * HU.nbytes
    assert len(under_test.take_warnings(0.0)) == 1000 - 64
    assert under_test.add(slab(1, 7, "999"), 0.0) is not None


def test_float_hounsfield_units_are_rounded():
    voxels = HU.astype(np.float32) + 0.4
    complete = assembler().add(slab(0, 7, voxels=voxels, encoding="32FC1"), 0.0)
    np.testing.assert_array_equal(complete.array, HU)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 40000.0])
def test_float_values_that_are_no_hounsfield_units_are_refused(bad):
    voxels = HU.astype(np.float32)
    voxels[2, 1, 1] = bad
    under_test = assembler()
    with pytest.raises(InputError, match="NaN or values beyond"):
        under_test.add(slab(0, 7, voxels=voxels, encoding="32FC1"), 0.0)
    assert under_test.open_bytes == 0


def test_labels_are_refused_where_a_ct_belongs():
    with pytest.raises(InputError, match="this topic takes 16SC1 or 32FC1"):
        assembler().add(slab(0, 7, encoding="8UC1"), 0.0)


class FromMemory(Slab):
    """As a slab that came by a handle: it comes in slabs, too."""

    @property
    def is_copy(self):
        return True


def from_memory(stamp_ns):
    return FromMemory("ct", stamp_ns, "16SC1", GEOMETRY, 0, 7, HU.tobytes())


def test_what_comes_by_a_handle_and_in_slabs_comes_once_and_nothing_is_said_of_it():
    under_test = assembler(timeout_s=1.0)
    np.testing.assert_array_equal(under_test.add(from_memory(5), 0.0).array, HU)
    assert under_test.add(slab(0, 4, stamp_ns=5), 0.1) is None and under_test.add(slab(4, 7, stamp_ns=5), 0.1) is None
    under_test.expect_doubles(50.0)  # subscribed to slabs again: those that are kept come once more
    assert under_test.add(slab(0, 7, stamp_ns=5), 50.5) is None
    assert under_test.add(slab(0, 4, stamp_ns=6), 51.0) is None and under_test.open_bytes > 0  # a newer one, in slabs
    np.testing.assert_array_equal(under_test.add(from_memory(6), 51.0).array, HU)
    assert under_test.add(slab(4, 7, stamp_ns=6), 51.1) is None and under_test.open_bytes == 0
    assert under_test.add(slab(0, 7, stamp_ns=7), 52.0) is not None
    assert under_test.add(from_memory(7), 52.0) is None  # the slabs were faster
    assert under_test.take_warnings(60.0) == []
