# SPDX-License-Identifier: Apache-2.0
"""What is answered (DICOM PS3.4 B.2.3, F.7.2, J.3; PS3.7 C), and why an object was not taken."""

from __future__ import annotations

from pydicom import Dataset

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
#: The data set is not of the SOP class or instance that was announced.
NOT_AS_ANNOUNCED = 0xA900
CANNOT_UNDERSTAND = 0xC000

INVALID_VALUE = 0x0106
#: Of a procedure step that has ended.
NO_MORE_CHANGES = 0x0110
DUPLICATE = 0x0111
NO_SUCH_INSTANCE = 0x0112
INVALID_ARGUMENT = 0x0115
CLASS_INSTANCE_CONFLICT = 0x0119
NO_SUCH_ACTION = 0x0123
NOT_AUTHORIZED = 0x0124
RESOURCE_LIMITATION = 0x0213

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

    def answer(self) -> Dataset:
        """As it is sent: the status, and the reason as far as it fits (0000,0902)."""
        answer = Dataset()
        answer.Status, answer.ErrorComment = self.status, self.reason[:_LONGEST_COMMENT]
        return answer
