# SPDX-License-Identifier: Apache-2.0
"""What a connection may send before anything of it is understood: so many bytes, and not one every other minute.

pynetdicom reads as many bytes as a peer announces, into memory, and waits for them for ever. Both are bounded here,
where it reads: at its socket, from the moment a connection is open.
"""

from __future__ import annotations

import threading
from typing import Any

from liver_seg_ros.dicom_network.limits import MB, ReceiveLimits

#: PS3.8 D.1: the longest message that we say we take at once; what announces more is no DICOM.
MOST_PDU_BYTES = 262_144
_HEADER_BYTES = 4096  # association requests are longer than data by their list of contexts, at most so much


class BoundedReading:
    """Reads for one association, up to its limits.

    Args:
        socket: pynetdicom's, which has the system's own inside.
        limits: of the receiver.
    """

    def __init__(self, socket: Any, limits: ReceiveLimits) -> None:
        self._recv = socket.recv
        self._most = limits.object_mb * MB
        self._read = 0
        self._lock = threading.Lock()
        socket.socket.settimeout(limits.timeout_s)
        socket.recv = self.recv

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes` from the peer. Raises `OSError`, upon which the connection ends, where they are too many."""
        with self._lock:
            self._read += nr_bytes
            if nr_bytes > MOST_PDU_BYTES + _HEADER_BYTES or self._read > self._most:
                raise OSError("more bytes than are taken")
        received: bytearray = self._recv(nr_bytes)
        return received

    def message_ended(self) -> None:
        """A whole message was read: the next one begins at nothing."""
        with self._lock:
            self._read = 0
