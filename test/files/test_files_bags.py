# SPDX-License-Identifier: Apache-2.0
"""Bags: whole or not at all, and what is cut off or damaged is one line."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed (make setup installs it)")

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.bags import messages_of, opened_bag, topics_of, written_bag

TEXT = b"\0\1\0\0" + (6).to_bytes(4, "little") + b"liver\0"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Two topics, three messages."""
    folder = tmp_path_factory.mktemp("bags") / "bag"
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("string data", "std_msgs/msg/String"))
    with written_bag(folder) as writer:
        one, two = (writer.add_connection(topic, "std_msgs/msg/String", typestore=store) for topic in ("/one", "/two"))
        for connection, stamp_ns in ((one, 5), (two, 7), (one, 9)):
            writer.write(connection, stamp_ns, TEXT)
    return folder


def played(folder, wanted=()):
    with opened_bag(folder) as reader:
        return [
            (connection.topic, stamp_ns, bytes(data))
            for connection, stamp_ns, data in messages_of(reader, topics_of(reader, wanted))
        ]


def test_what_was_written_is_read_by_topic(bag):
    assert played(bag) == [("/one", 5, TEXT), ("/two", 7, TEXT), ("/one", 9, TEXT)]
    assert played(bag, ["two"]) == [("/two", 7, TEXT)]
    with opened_bag(bag) as reader, pytest.raises(InputError, match="has no topic /three; there are: /one, /two"):
        topics_of(reader, ["/one", "three"])


def test_nothing_stays_of_a_bag_that_fails_and_none_is_written_over(bag, tmp_path):
    with pytest.raises(RuntimeError, match="power"), written_bag(tmp_path / "deep" / "bag"):
        raise RuntimeError("power")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="is there already"), written_bag(bag):
        pass
    assert len(played(bag)) == 3


def test_a_bag_that_is_cut_off_or_damaged_anywhere_is_refused_in_one_line(bag, tmp_path):
    whole = (bag / "bag.mcap").read_bytes()
    cut = [whole[:length] for length in range(0, len(whole), 37)]
    flipped = [whole[:n] + bytes([whole[n] ^ 0xFF]) + whole[n + 1 :] for n in range(0, len(whole), 23)]
    for content in cut + flipped:
        folder = tmp_path / "damaged"
        shutil.copytree(bag, folder)
        (folder / "bag.mcap").write_bytes(content)
        try:
            played(folder)
        except InputError as error:
            assert "\n" not in str(error) and str(folder) in str(error)
        else:
            assert len(content) == len(whole)  # a byte that nobody needs; whatever is cut off is noticed
        shutil.rmtree(folder)


def test_a_folder_that_is_no_bag_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="is no recorded bag"), opened_bag(folder):
            pass
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    with pytest.raises(InputError, match="damaged"), opened_bag(tmp_path):
        pass
