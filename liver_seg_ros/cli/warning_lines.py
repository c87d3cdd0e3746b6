# SPDX-License-Identifier: Apache-2.0
"""Reasons to doubt a result as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from liver_seg_ros.plausibility.judgment import PlausibilityWarning


def warning_lines(warnings: Iterable[PlausibilityWarning]) -> tuple[str, ...]:
    """A line each: how grave, what and what to do, and its code, to be looked up in docs/warnings.md."""
    return tuple(f"{warning.level.capitalize()}: {warning.message} [{warning.code}]" for warning in warnings)
