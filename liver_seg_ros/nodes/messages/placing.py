# SPDX-License-Identifier: Apache-2.0
"""Which frame a message is in: conversions make all of them in `ct_lps`, and a node says what that is called there."""

from __future__ import annotations

from typing import TypeVar

Message = TypeVar("Message")


def placed(message: Message, frame_id: str) -> Message:
    """`message`, and the markers or meshes that it holds, in the frame of that name."""
    for part in (message, *getattr(message, "markers", ()), *getattr(message, "meshes", ())):
        if hasattr(part, "header"):
            part.header.frame_id = frame_id
    return message
