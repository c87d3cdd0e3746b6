# SPDX-License-Identifier: Apache-2.0
"""What comes from an OpenIGTLink peer: read within bounds, and believed only where its checksum agrees.

pyigtl knows the messages' contents; its own server takes any size, checks no sum and one peer at a time, and takes the
process's signals.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from pyigtl.messages import CRC64, TransformMessage

from liver_seg_ros.errors import InputError

HEADER_BYTES = 58
#: Of a body: room for what we take with its metadata, and for small things that we pass over.
MOST_BODY_BYTES = 65_536
_VERSIONS = (1, 2)
_FIELDS = struct.Struct(">H12s20sIIQQ")  # version, type, device, seconds, fraction of one, body's size, checksum
_EXTENDED = struct.Struct(">HHII")  # its size, metadata's header, metadata's body, message number


@dataclass(frozen=True)
class Header:
    """What is said of a message.

    Attributes:
        type: e.g. "TRANSFORM".
        device: its name.
        time_s: since 1970 by the sender's clock; 0 where it gave none.
        body_bytes: that follow.
        checksum: of them.
        version: of the header.
    """

    type: str
    device: str
    time_s: float
    body_bytes: int
    checksum: int
    version: int


def read_header(data: bytes) -> Header:
    """The header of `HEADER_BYTES`. Raises `InputError` where it is none, or its body is beyond `MOST_BODY_BYTES`."""
    version, kind, device, seconds, fraction, size, checksum = _FIELDS.unpack(data)
    if version not in _VERSIONS:
        raise InputError(f"version {version} is none of OpenIGTLink's {_VERSIONS}: the peer speaks something else")
    names = []
    for raw in (kind, device):
        text = raw.split(b"\0")[0].decode("ascii", "replace").strip()
        if not text.isprintable():
            raise InputError("a name that cannot be printed: the peer speaks something else")
        names.append(text)
    if size > MOST_BODY_BYTES:
        raise InputError(f"a {names[0]} of {size} bytes; {MOST_BODY_BYTES} are taken at most")
    return Header(names[0], names[1], seconds + fraction / 2**32, size, checksum, version)


def read_message(receive: Callable[[int], bytes]) -> tuple[Header, TransformMessage | None]:
    """The next message of a peer; the second is None where it is not a TRANSFORM.

    Args:
        receive: gives exactly so many bytes, or raises `EOFError`.

    Raises:
        InputError: what came is not OpenIGTLink, too large, or damaged: nothing behind it can be trusted either.
        EOFError: the peer is gone.
    """
    header = read_header(receive(HEADER_BYTES))
    body = receive(header.body_bytes)
    if CRC64(body) != header.checksum:
        raise InputError(f"the checksum of {header.type} '{header.device}' is wrong: it was damaged on its way")
    if header.type != "TRANSFORM":
        return header, None
    _check_extended(header, body)
    message = TransformMessage()
    try:
        message.unpack(
            {
                "header_version": header.version,
                "message_type": header.type,
                "device_name": header.device,
                "timestamp": header.time_s,
            },
            body,
        )
    except (struct.error, UnicodeDecodeError, IndexError, ValueError, TypeError) as error:
        raise InputError(f"the content of {header.type} '{header.device}' is not what its type says") from error
    return header, message


def _check_extended(header: Header, body: bytes) -> None:
    """In version 2 the body begins with sizes of its parts, which must fit into it."""
    if header.version == 1:
        return
    if len(body) < _EXTENDED.size:
        raise InputError(f"{header.type} '{header.device}' is shorter than its own header")
    size, metadata_header, metadata_body, _ = _EXTENDED.unpack_from(body)
    if size + metadata_header + metadata_body > len(body) or size < _EXTENDED.size:
        raise InputError(f"the parts of {header.type} '{header.device}' are larger than it is")
