# SPDX-License-Identifier: Apache-2.0
"""What a storage provider answers (DICOM PS3.4 B.2.3), and why an object was not taken."""

from __future__ import annotations

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
#: The data set is not of the SOP class or instance that was announced.
NOT_AS_ANNOUNCED = 0xA900
CANNOT_UNDERSTAND = 0xC000

_LONGEST_COMMENT = 64


class RefusedError(Exception):
    """An object is not taken; `reason` is one line without anything of the patient in it.

    Attributes:
        status: what is answered.
        reason: why.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    @property
    def comment(self) -> str:
        """The reason as an answer holds it (0000,0902)."""
        return self.reason[:_LONGEST_COMMENT]
