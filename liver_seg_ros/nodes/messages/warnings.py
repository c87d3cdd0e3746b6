# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a result to `liver_seg_interfaces/msg/PlausibilityWarning`."""

from __future__ import annotations

from liver_seg_interfaces.msg import PlausibilityWarning as WarningMessage
from liver_seg_ros.plausibility.judgment import PlausibilityWarning
from liver_seg_ros.plausibility.rules import DOUBT, NOTE

_LEVELS = {NOTE: WarningMessage.LEVEL_NOTE, DOUBT: WarningMessage.LEVEL_DOUBT}


def warning_to_message(warning: PlausibilityWarning) -> WarningMessage:
    """The same reason; what it is not about is empty."""
    return WarningMessage(
        code=warning.code,
        level=_LEVELS[warning.level],
        structure=warning.structure or "",
        lesions=list(warning.lesions),
        text=warning.message,
    )
