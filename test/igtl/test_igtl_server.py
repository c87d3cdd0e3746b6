# SPDX-License-Identifier: Apache-2.0
"""The OpenIGTLink server among peers over real sockets: slow, damaged, late, too many, and pyigtl's own."""

from __future__ import annotations

import socket
import struct
import threading
import time

import numpy as np
import pytest

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl is not installed (extra [igtl])")

from liver_seg_ros.errors import InputError  # noqa: E402  after the skip
from liver_seg_ros.igtl.conversion import packed, text_message, transform_message  # noqa: E402
from liver_seg_ros.igtl.server import MOST_PEERS, Server  # noqa: E402
from liver_seg_ros.planning.transform import RigidTransform  # noqa: E402

TIMEOUT_S = 60.0


@pytest.fixture
def server():
    server = Server("127.0.0.1", 0, lambda header, message: server.taken.append((header.device, message)), print)
    server.taken, said = [], []
    server._say = said.append
    server.said = said
    yield server
    server.close()


def peer(server):
    return socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)


def text(device, content):
    return lambda: packed(text_message(content, device, 0.0))


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def exactly(connection, count):
    """So many bytes. (MSG_WAITALL does not wait where the socket has a time limit.)"""
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, "the server has ended the connection"
        data += part
    return data


def heard(connection):
    """Device and text of the next STRING."""
    header = exactly(connection, 58)
    body = exactly(connection, struct.unpack(">Q", header[42:50])[0])
    return header[14:34].rstrip(b"\0").decode(), body[4:].decode()


def test_who_comes_late_gets_what_is_kept_and_then_what_changes(server):
    server.send("CT", text("CT", "old"), keep=True)
    server.send("CT", text("CT", "new"), keep=True)
    server.send("Labels", text("Labels", "of another"), keep=True)
    server.forget(["Labels"])
    server.send("tip", text("tip", "nobody was there"))
    with peer(server) as late:
        assert heard(late) == ("CT", "new")
        server.send("tip", text("tip", "here"))
        assert heard(late) == ("tip", "here")


def test_a_peer_that_reads_slowly_gets_the_newest_only_and_delays_nobody(server):
    block = "x" * 60_000  # fills what the kernel keeps for a connection soon
    with peer(server) as slow, peer(server) as quick:
        wait_until(lambda: server.peer_count == 2)
        for number in range(200):
            server.send("tip", text("tip", f"{number} {block}"))
            if number % 20 == 0:  # while the other takes nothing
                while not heard(quick)[1].startswith(f"{number} "):
                    pass
        numbers = [0]
        while numbers[-1] < 199:
            numbers.append(int(heard(slow)[1].split()[0]))
        assert len(numbers) < 190 and numbers == sorted(numbers)


def test_what_is_damaged_ends_its_peer_only(server):
    with peer(server) as good, peer(server) as bad:
        wait_until(lambda: server.peer_count == 2)
        bad.sendall(b"GET / HTTP/1.1\r\n" + bytes(60))
        assert bad.recv(1) == b""
        wait_until(lambda: server.peer_count == 1)
        [line] = [line for line in server.said if "version" in line]
        assert line.startswith("the peer at 127.0.0.1 was disconnected: version 18245")
        server.send("tip", text("tip", "here"))
        assert heard(good) == ("tip", "here")


def test_more_than_it_takes_are_turned_away(server):
    peers = [peer(server) for _ in range(MOST_PEERS)]
    wait_until(lambda: server.peer_count == MOST_PEERS)
    with peer(server) as one_more:
        assert one_more.recv(1) == b""
    peers.pop().close()
    wait_until(lambda: server.peer_count == MOST_PEERS - 1)
    for left in peers:
        left.close()


def test_pyigtl_sends_poses_and_hears_text(server):
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", server.port)
    try:
        wait_until(lambda: server.peer_count == 1)
        pose = RigidTransform.of(np.eye(3), [1, 2, 3])
        client.send_message(transform_message(pose, "Probe", 5.0))
        wait_until(lambda: server.taken)
        device, message = server.taken[0]
        assert device == "Probe" and message.matrix[:3, 3].tolist() == [-1, -2, 3]
        server.send("NeedleGuard", text("NeedleGuard", "OK"))
        assert client.wait_for_message("NeedleGuard", TIMEOUT_S).string == "OK"
    finally:
        client.stop()


def test_a_port_that_is_taken_is_told_and_closing_leaves_nothing(server):
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{server.port}: Address already in use"):
        Server("127.0.0.1", server.port, lambda *_: None, print)
    with peer(server) as connection:
        wait_until(lambda: server.peer_count == 1)
        server.close()
        assert connection.recv(1) == b""
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("OpenIGTLink")])
    with pytest.raises(OSError, match="refused"):
        peer(server)
