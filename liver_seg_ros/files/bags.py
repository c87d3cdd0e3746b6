# SPDX-License-Identifier: Apache-2.0
"""Recorded topics as rosbag2 has them: a folder with `metadata.yaml` and an MCAP file, by the library `rosbags`.

What is in a bag stays as DDS carried it (CDR); whoever plays it, Foxglove and `ros2 bag play` included, finds the
definitions of all messages in it. The message packages themselves are not needed here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rosbags.interfaces import Connection, ConnectionExtRosbag2, Qos
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer

from liver_seg_ros.atomic import no_space_said, scratch_in_made_folder, uninterrupted
from liver_seg_ros.errors import InputError

#: The layout of `metadata.yaml`: the newest that Humble reads too.
_VERSION: Final = 8
#: What the library raises for files that are damaged.
_DAMAGED = (
    ReaderError,
    struct.error,
    ArithmeticError,
    AssertionError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    ValueError,
)


@contextmanager
def written_bag(folder: Path) -> Iterator[Writer]:
    """A bag to be filled, which becomes `folder` when the block ends without an error; otherwise nothing is left.

    Raises:
        InputError: there is something at `folder` already, or it cannot be made.
        WriteError: there is no space.
    """
    if os.path.lexists(folder):
        raise InputError(f"{folder}: is there already, and bags are not written over. Give another folder.")
    parent = folder.absolute().parent
    with scratch_in_made_folder(parent) as scratch, no_space_said(folder):
        unfinished = scratch / folder.name
        with Writer(unfinished, version=_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
            yield writer
        with uninterrupted():
            unfinished.rename(folder)


@contextmanager
def opened_bag(folder: Path) -> Iterator[Reader]:
    """A bag to be read. Raises `InputError` for one that is none, was cut off or is damaged."""
    if not (folder / "metadata.yaml").is_file():
        raise InputError(f"{folder}: is no recorded bag: it has no metadata.yaml. Give the folder of a bag.")
    try:
        reader = Reader(folder)
        reader.open()
    except _DAMAGED as error:
        raise _damaged(folder, error) from error
    try:
        yield reader
    finally:
        reader.close()


def topics_of(reader: Reader, wanted: Collection[str] = ()) -> list[Connection]:
    """The recordings of the topics wanted, or of all; one topic may have several.

    Raises `InputError` where one that is wanted is not in the bag.
    """
    names = {topic if topic.startswith("/") else f"/{topic}" for topic in wanted}
    there = {connection.topic for connection in reader.connections}
    if missing := sorted(names - there):
        raise InputError(f"{reader.path}: has no topic {', '.join(missing)}; there are: {', '.join(sorted(there))}")
    return [connection for connection in reader.connections if not names or connection.topic in names]


def messages_of(reader: Reader, topics: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
    """Topic, time of reception in ns, and message as CDR, in the order of time.

    Raises `InputError` where the bag is damaged.
    """
    messages = reader.messages(topics)
    while True:
        try:
            message = next(messages, None)
        except _DAMAGED as error:
            raise _damaged(reader.path, error) from error
        if message is None:
            return
        yield message


def offered_in(recordings: Collection[Connection]) -> list[Qos]:
    """What the publishers of these recordings offered."""
    extras = [recording.ext for recording in recordings]
    return [qos for extra in extras if isinstance(extra, ConnectionExtRosbag2) for qos in extra.offered_qos_profiles]


def _damaged(folder: object, error: Exception) -> InputError:
    why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return InputError(f"{folder}: the bag is damaged, or its recording was cut off ({why}). Record it again.")
