# SPDX-License-Identifier: Apache-2.0
"""How much is taken from a network."""

from __future__ import annotations

from dataclasses import dataclass

from liver_seg_ros.errors import InputError

MB = 1_000_000


@dataclass(frozen=True)
class ReceiveLimits:
    """What bounds a receiver. Raises `InputError` where one of them is not positive.

    Attributes:
        associations: at once; more are refused and may come again.
        object_mb: of one object as sent; what is larger ends its association.
        unpacked_mb: that the pixels of one object may claim to be, once decoded.
        spool_mb: of all that lies in the spool; None for no bound but the disk's.
        keep_free_mb: of the disk; what would take from it is refused.
        timeout_s: without a byte, within a message or between two.
        set_aside: objects kept that were not taken.
    """

    associations: int = 20
    object_mb: float = 600.0
    unpacked_mb: float = 4000.0
    spool_mb: float | None = None
    keep_free_mb: float = 1000.0
    timeout_s: float = 60.0
    set_aside: int = 200

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0 and not (value == 0 and name == "keep_free_mb"):
                raise InputError(f"limit {name} is {value}; it must be positive")
