# SPDX-License-Identifier: Apache-2.0
"""User identity of associations (DICOM PS3.7 D.3.3.7): names and passcodes, from a file that others cannot read.

A passcode goes over the network as it is: without TLS it is neither sent nor asked for beyond this machine. Nothing
that is said or raised here holds a name or a passcode.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pynetdicom.pdu_primitives import UserIdentityNegotiation

from liver_seg_ros.errors import InputError

_NAME_AND_PASSCODE = 2  # user identity type
_MOST_BYTES = 1_000_000
_LONGEST = 65_535  # of a field, as its length has two bytes


@dataclass(frozen=True)
class User:
    """Who calls. Attributes: `name`; `passcode`, which is not shown."""

    name: str
    passcode: str = field(repr=False)

    def item(self) -> Any:
        """As it is negotiated."""
        item = UserIdentityNegotiation()
        item.user_identity_type = _NAME_AND_PASSCODE
        item.primary_field, item.secondary_field = self.name.encode(), self.passcode.encode()
        return item


def read_users(path: Path | None, host: str, encrypts: bool) -> list[User]:
    """The users of a file with `NAME:PASSCODE` in each line; none where no file is given.

    Lines that are empty or begin with # are passed over; a passcode may hold colons.

    Args:
        path: the file.
        host: that is called, or the own address that is listened on.
        encrypts: whether there is TLS.

    Raises:
        InputError: the file cannot be read, others may read it, a line is no user, or a name is there twice; or a
            passcode would leave this machine without TLS.
    """
    if path is None:
        return []
    if not encrypts and not _is_this_machine(host):
        raise InputError(
            f"{path}: passcodes would be readable between {host} and others; use TLS (--tls-cert, --tls-key, --tls-ca)"
        )
    users: dict[str, User] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, passcode = line.partition(":")
        if not (name and colon and passcode) or max(len(name.encode()), len(passcode.encode())) > _LONGEST:
            raise InputError(f"{path}, line {number}: names no user; write NAME:PASSCODE")
        if name in users:
            raise InputError(f"{path}, line {number}: names a user of a line before; give each one line")
        users[name] = User(name, passcode)
    if not users:
        raise InputError(f"{path} names no user; write a line NAME:PASSCODE")
    return list(users.values())


def read_user(path: Path | None, host: str, encrypts: bool) -> User | None:
    """The one user of a file, see `read_users`; None where no file is given."""
    users = read_users(path, host, encrypts)
    if len(users) > 1:
        raise InputError(f"{path} names {len(users)} users; who calls is one of them")
    return users[0] if users else None


def is_known(asked: Any, passcodes: Mapping[str, str]) -> bool:
    """Whether a requestor's item (None without one) is a name with its passcode; takes as long for any wrong one."""
    if asked is None or asked.user_identity_type != _NAME_AND_PASSCODE:
        return False
    name = bytes(asked.primary_field or b"").decode("utf-8", "replace")
    given = bytes(asked.secondary_field or b"")
    same = hmac.compare_digest(given, passcodes.get(name, "").encode())
    return same and name in passcodes


def positive_response() -> Any:
    """The item that tells a requestor, which asked for it, that its user is known: an empty one."""
    item = UserIdentityNegotiation()
    item.server_response = b""
    return item


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & (stat.S_IROTH | stat.S_IWOTH):
                raise InputError(f"{path}: everybody may read its passcodes; chmod 600 it")
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise InputError(f"{path} has more than {_MOST_BYTES} bytes; give a file of NAME:PASSCODE lines")
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InputError(f"{path}: cannot be read ({why}); give a file of NAME:PASSCODE lines") from error


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
