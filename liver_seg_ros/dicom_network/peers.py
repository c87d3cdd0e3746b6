# SPDX-License-Identifier: Apache-2.0
"""Who speaks DICOM: application entities by title, address and port, as a user writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from liver_seg_ros.errors import InputError

#: PS3.5 6.2, AE: up to 16 characters, no backslash, no control characters, and no spaces around.
_TITLE = re.compile(r"(?! )[ -\[\]-~]{1,16}(?<! )")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,253}")
MOST_PORT = 65535


def check_title(title: str) -> str:
    """`title` where it can be an AE title; raises `InputError` otherwise."""
    if not _TITLE.fullmatch(title) or "@" in title:
        raise InputError(f"'{title[:32]}' is no AE title: 1 to 16 plain characters without '@' and backslash")
    return title


@dataclass(frozen=True)
class Peer:
    """An application entity that is called.

    Attributes:
        title: its AE title.
        host, port: where it listens.
    """

    title: str
    host: str
    port: int


@dataclass(frozen=True)
class AllowedPeer:
    """An application entity that may call.

    Attributes:
        title: its AE title.
        host: the only address that it may call from; None for any.
        port: where it listens itself; None where that is not known.
    """

    title: str
    host: str | None = None
    port: int | None = None


def parse_peer(text: str) -> Peer:
    """The peer written as `TITLE@host:port`. Raises `InputError` where it is written otherwise."""
    title, at, place = text.partition("@")
    host, colon, port = place.rpartition(":")
    if not (at and colon and _HOST.fullmatch(host) and port.isascii() and port.isdecimal()):
        raise InputError(f"'{text[:64]}' is no DICOM peer; write it as TITLE@host:port")
    if not 0 < int(port) <= MOST_PORT:
        raise InputError(f"'{text[:64]}': ports go from 1 to {MOST_PORT}")
    return Peer(check_title(title), host.strip("[]"), int(port))


def parse_allowed(text: str) -> AllowedPeer:
    """Who may call, written as `TITLE`, `TITLE@address` or `TITLE@address:port` (IPv6 in brackets then).

    Raises `InputError` where it is written otherwise.
    """
    title, at, place = text.partition("@")
    host, colon, _ = place.rpartition(":")
    if colon and (":" not in host or host.endswith("]")):
        peer = parse_peer(text)
        return AllowedPeer(peer.title, peer.host, peer.port)
    if at and not _HOST.fullmatch(place):
        raise InputError(f"'{text[:64]}' names nobody who may call; write TITLE, TITLE@address or TITLE@address:port")
    return AllowedPeer(check_title(title), place or None)


def parse_list(text: str) -> list[str]:
    """Entries with commas between, as one parameter of a node holds them."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]
