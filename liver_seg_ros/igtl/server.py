# SPDX-License-Identifier: Apache-2.0
"""A server for OpenIGTLink peers: each gets what is there when it comes, and from then on what changes."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from pyigtl.messages import TransformMessage

from liver_seg_ros.errors import InputError
from liver_seg_ros.igtl.wire import Header, read_message

#: Makes a message's bytes, when it is sent.
Packer = Callable[[], bytes]

MOST_PEERS = 8
#: A peer that takes nothing for so long is given up.
_SEND_TIMEOUT_S = 10.0
_PART_BYTES = 1 << 20


class Server:
    """Listens from the moment it is made, until it is closed. Any thread may use it.

    What was not sent yet when something newer of the same device comes is not sent any more: a slow peer sees less
    often, and never late.

    Attributes:
        port: that it listens on.

    Args:
        address: to bind to, e.g. "127.0.0.1".
        port: 0 for any that is free.
        take: called with each pose that comes, on the peer's thread.
        say: called with one line of what went wrong, or of who came and went.

    Raises:
        InputError: address and port cannot be bound.
    """

    def __init__(
        self, address: str, port: int, take: Callable[[Header, TransformMessage], None], say: Callable[[str], None]
    ) -> None:
        self._take, self._say = take, say
        self._lock = threading.Lock()
        self._peers: set[_Peer] = set()
        self._kept: dict[str, Packer] = {}
        try:
            self._socket = socket.create_server((address, port), backlog=MOST_PEERS)
        except OSError as error:
            raise InputError(f"cannot listen on {address}:{port}: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, name="OpenIGTLink server", daemon=True).start()

    @property
    def peer_count(self) -> int:
        """How many are connected."""
        with self._lock:
            return len(self._peers)

    def send(self, device: str, pack: Packer, keep: bool = False) -> None:
        """Have `pack`'s bytes sent to all peers; with `keep` also to those that come later."""
        with self._lock:
            if keep:
                self._kept[device] = pack
            peers = list(self._peers)
        for peer in peers:
            peer.put(device, pack)

    def forget(self, devices: Iterable[str]) -> None:
        """Peers that come from now on get nothing of these."""
        with self._lock:
            for device in devices:
                self._kept.pop(device, None)

    def close(self) -> None:
        """End all connections and listen no longer."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a peer
        self._socket.close()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            peer.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, (host, *_) = self._socket.accept()
            except OSError:
                return  # closed
            with self._lock:
                full = len(self._peers) >= MOST_PEERS
                if not full:
                    peer = _Peer(connection, str(host), self._take, self._left)
                    self._peers.add(peer)
                    for device, pack in self._kept.items():
                        peer.put(device, pack)
            if full:
                connection.close()
                self._say(f"a peer at {host} was turned away: {MOST_PEERS} are connected")
            else:
                peer.start()
                self._say(f"a peer at {host} is connected")

    def _left(self, peer: _Peer, why: str) -> None:
        with self._lock:
            self._peers.discard(peer)
        self._say(f"the peer at {peer.host} {why}")


class _Peer:
    """One connection, with a thread that reads and one that writes."""

    def __init__(
        self,
        connection: socket.socket,
        host: str,
        take: Callable[[Header, TransformMessage], None],
        left: Callable[[_Peer, str], None],
    ) -> None:
        self.host = host
        self._connection = connection
        self._take, self._left = take, left
        self._changed = threading.Condition()
        self._waiting: dict[str, Packer] = {}  # by device, the oldest first
        self._open = True
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for work in (self._read, self._write):
            threading.Thread(target=work, name=f"OpenIGTLink {self.host}", daemon=True).start()

    def put(self, device: str, pack: Packer) -> None:
        with self._changed:
            self._waiting[device] = pack  # what waited keeps its place, with the newer content
            self._changed.notify()

    def close(self, why: str = "was disconnected") -> None:
        with self._changed:
            was_open, self._open = self._open, False
            self._changed.notify()
        if was_open:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            self._left(self, why)

    def _read(self) -> None:
        try:
            while True:
                header, message = read_message(self._receive)
                if message is not None:
                    self._take(header, message)
        except InputError as error:
            self.close(f"was disconnected: {error}")
        except (EOFError, OSError):
            self.close("has left")

    def _receive(self, count: int) -> bytes:
        parts, left = [], count
        while left:
            part = self._connection.recv(left)
            if not part:
                raise EOFError
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._open)
                if not self._open:
                    return
                device = next(iter(self._waiting))
                pack = self._waiting.pop(device)
            try:
                self._send(memoryview(pack()))
            except TimeoutError:
                self.close(f"was disconnected: it took nothing for {_SEND_TIMEOUT_S:g} s")
            except OSError:
                self.close("has left")

    def _send(self, data: memoryview) -> None:
        """In parts: the time limit is for each, as a volume may take long on a slow line. Raises `TimeoutError`."""
        writable = select.poll()  # a time limit of the socket itself would hold for reading too
        writable.register(self._connection, select.POLLOUT)
        while data:
            if not writable.poll(1000 * _SEND_TIMEOUT_S):
                raise TimeoutError
            with suppress(BlockingIOError):
                data = data[self._connection.send(data[:_PART_BYTES], socket.MSG_DONTWAIT) :]
