"""How long-running work reports progress and learns that it was cancelled, the same in every room."""

from __future__ import annotations

from collections.abc import Callable

from liver_seg_ros.errors import CancelledError

#: Called as `progress(stage, fraction)`: the stage's name and how much of that stage is done, 0.0 to 1.0.
Progress = Callable[[str, float], None]

#: Called between units of work (a window, a structure); True asks the work to stop.
Cancelled = Callable[[], bool]


def no_progress(stage: str, fraction: float) -> None:
    """The default `Progress`: says nothing."""


def never_cancelled() -> bool:
    """The default `Cancelled`: runs to the end."""
    return False


def raise_if_cancelled(cancelled: Cancelled, stage: str) -> None:
    """Raise `CancelledError` naming `stage` when `cancelled()` is true."""
    if cancelled():
        raise CancelledError(f"cancelled during {stage}")
