# SPDX-License-Identifier: Apache-2.0
"""The names under which 3D Slicer shows what is served, and those of the poses that are taken."""

from __future__ import annotations

import re

from liver_seg_ros.errors import InputError

#: IMAGE of the CT, and of the labels.
CT, LABELS = "CT", "Labels"
#: TRANSFORM from the needle's own axes, and STRING with what the guard says. A surface has its structure's name.
TIP, GUARD = "NeedleTip", "NeedleGuard"

#: Bytes of a device's name in a message's header.
MOST_NAME_BYTES = 20
_FRAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~/-]*")

#: A pose's device, and the frame that it moves.
Taken = dict[str, str]


def taken_of(text: str) -> Taken:
    """From `device=frame` pairs with commas between, e.g. "NeedleToReference=needle_tip"; none where it is empty.

    Raises:
        InputError: not such a list, or a device or a frame twice.
    """
    taken: Taken = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        device, equals, frame = (part.strip() for part in pair.partition("="))
        if not equals or not _FRAME.fullmatch(frame):
            raise InputError(f"'{pair}' is not device=frame, such as NeedleToReference=needle_tip")
        if device in taken or frame in taken.values():
            raise InputError(f"'{pair}': the device or the frame is named twice")
        taken[checked_name(device)] = frame
    return taken


def checked_name(device: str) -> str:
    """`device`. Raises `InputError` where the header has no room for it."""
    if not device or not device.isascii() or not device.isprintable() or len(device) > MOST_NAME_BYTES:
        raise InputError(f"'{device}' is no name of a device: give 1 to {MOST_NAME_BYTES} letters of ASCII")
    return device
