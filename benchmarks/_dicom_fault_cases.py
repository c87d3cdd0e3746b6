# SPDX-License-Identifier: Apache-2.0
"""The faults that `dicom_faults.py` tries: senders that die, receivers killed, full disks, bad objects.

Each case makes some tries and says of each what was lost: an object that was answered with success and is not on disk
as it was sent; and what was wrong: a series taken for complete that is not, an answer that is not the fault's.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _dicom_fault_harness import slices
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE, _config

LONG_S = 120.0
SERIES = 12
_config.STORE_SEND_CHUNKED_DATASET = False


@dataclass
class Tried:
    """The tries of one fault: how many, and what went amiss."""

    tries: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Receiver:
    """`liver-seg receive` as a process."""

    def __init__(self, spool: Path, *options: str) -> None:
        self.spool = spool
        command = [
            sys.executable, "-m", "liver_seg_ros", "receive", spool, "--port", "0", "--peer", "SENDER",
            "--keep-free-gb", "0", "--quiet-s", "2", "--deadline-s", "60", *options,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def associate(self, title: str = "SENDER", called: str = "LIVERSEG", syntax: str | None = None) -> Any:
        entity = AE(ae_title=title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = LONG_S
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2", *([syntax] if syntax else []))
        return entity.associate("127.0.0.1", self.port, ae_title=called)

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=LONG_S)

    def has(self, dataset: Dataset) -> bool:
        """Whether the object is on disk as it was sent."""
        for part in ("incoming", "complete"):
            path = self.spool / part / dataset.SeriesInstanceUID / f"{dataset.SOPInstanceUID}.dcm"
            try:
                return bool(dcmread(path).PixelData == dataset.PixelData)
            except FileNotFoundError:
                continue
        return False

    def complete(self, datasets: Sequence[Dataset]) -> bool:
        """Whether the series is told to be complete, with all of these; waits for that."""
        folder = self.spool / "complete" / datasets[0].SeriesInstanceUID
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            if folder.is_dir():
                time.sleep(0.2)
                return len(list(folder.glob("*.dcm"))) == len(datasets)
            time.sleep(0.05)
        return False


def store(opened: Any, datasets: Sequence[Dataset]) -> list[Dataset]:
    """Send until the association ends; those that were answered with success."""
    taken = []
    for dataset in datasets:
        try:
            answer = opened.send_c_store(dataset)
        except (RuntimeError, ValueError):  # the association is gone
            break
        if answer.get("Status") == 0:
            taken.append(dataset)
    return taken


def check(tried: Tried, receiver: Receiver, taken: Sequence[Dataset], what: str) -> None:
    lost = [dataset for dataset in taken if not receiver.has(dataset)]
    if lost:
        tried.lost.append(f"{what}: {len(lost)} of {len(taken)}")


def sender_killed(folder: Path, tries: int, chance: random.Random) -> Tried:
    tried = Tried()
    receiver = Receiver(folder)
    for number in range(tries):
        sent = slices(SERIES, announce=True)
        first = receiver.associate()
        taken = store(first, sent[: chance.randrange(1, SERIES)])
        if chance.random() < 0.5:  # in the middle of a message
            first.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, 10_000) + bytes(100))
        first.dul.socket.close()
        check(tried, receiver, taken, f"try {number}")
        if (receiver.spool / "complete" / sent[0].SeriesInstanceUID).exists():
            tried.wrong.append(f"try {number}: complete too early")
        second = receiver.associate()
        store(second, sent)
        second.release()
        if not receiver.complete(sent):
            tried.wrong.append(f"try {number}: not completed by the rest")
        tried.tries += 1
    receiver.end()
    return tried


def receiver_killed(folder: Path, tries: int, chance: random.Random) -> Tried:
    tried = Tried()
    for number in range(tries):
        spool, sent = folder / str(number), slices(SERIES, announce=True)
        receiver = Receiver(spool)
        opened = receiver.associate()
        opened.dimse_timeout = 10.0  # the sender's library waits for an answer though its connection is gone
        threading.Timer(chance.uniform(0, 0.4), os.kill, (receiver.process.pid, signal.SIGKILL)).start()
        taken = store(opened, sent)
        receiver.process.wait(timeout=LONG_S)
        check(tried, receiver, taken, f"try {number}")
        receiver = Receiver(spool)
        opened = receiver.associate()
        store(opened, sent)
        opened.release()
        if not receiver.complete(sent):
            tried.wrong.append(f"try {number}: not completed after the new start")
        receiver.end()
        tried.tries += 1
    return tried


def disk_full(folder: Path, tries: int, chance: random.Random) -> Tried:
    tried = Tried()
    for number in range(tries):
        sent = slices(SERIES)
        receiver = Receiver(folder / str(number), "--spool-gb", str(chance.uniform(2e-6, 12e-6)))
        opened = receiver.associate()
        taken = store(opened, sent) if opened.is_established else []
        opened.abort()
        check(tried, receiver, taken, f"try {number}")
        if len(taken) == SERIES:
            tried.wrong.append(f"try {number}: all taken, without room")
        receiver.end()
        tried.tries += 1
    return tried


def no_space(folder: Path, tries: int, chance: random.Random) -> Tried:
    """A file system of 1 MB, filled to some bytes, without any limit of the receiver's own. Only root may mount one."""
    tried = Tried()
    disk = folder / "disk"
    for number in range(tries):
        sent = slices(SERIES, announce=True)
        disk.mkdir(exist_ok=True)
        subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
        receiver = Receiver(disk / "spool")
        try:
            free = shutil.disk_usage(disk).free
            (disk / "filler").write_bytes(bytes(free - chance.randrange(8000, 40_000)))
            opened = receiver.associate()
            taken = store(opened, sent)
            check(tried, receiver, taken, f"try {number}")
            if len(taken) == SERIES:
                tried.wrong.append(f"try {number}: all taken, without space")
            if not receiver.associate().is_rejected:
                tried.wrong.append(f"try {number}: an association while there is no space")
            (disk / "filler").unlink()
            store(opened, sent)
            opened.release()
            if not receiver.complete(sent):
                tried.wrong.append(f"try {number}: not completed once there was space")
        finally:
            receiver.end()
            subprocess.run(["/bin/umount", "--lazy", disk], check=True)
        tried.tries += 1
    return tried


def many_at_once(folder: Path, tries: int, chance: random.Random) -> Tried:
    tried = Tried()
    receiver = Receiver(folder, "--associations", "10")
    for number in range(max(1, tries // 10)):
        sent = slices(50, announce=True)
        taken: list[Dataset] = []

        def send(dataset: Dataset, taken: list[Dataset] = taken) -> None:
            deadline = time.monotonic() + LONG_S
            while time.monotonic() < deadline:
                opened = receiver.associate()
                if opened.is_established:
                    taken.extend(store(opened, [dataset]))
                    opened.release()
                    return
                time.sleep(0.05)

        threads = [threading.Thread(target=send, args=(dataset,)) for dataset in sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(tried, receiver, taken, f"try {number}")
        if not receiver.complete(sent):
            tried.wrong.append(f"try {number}: {len(taken)} of 50 taken")
        tried.tries += 1
    receiver.end()
    return tried


def unknown_caller(folder: Path, tries: int, chance: random.Random) -> Tried:
    return _refused(folder, tries, lambda: {"title": f"STRANGER{chance.randrange(99)}"})


def wrong_title(folder: Path, tries: int, chance: random.Random) -> Tried:
    return _refused(folder, tries, lambda: {"called": f"OTHER{chance.randrange(99)}"})


def _refused(folder: Path, tries: int, how: Callable[[], dict[str, str]]) -> Tried:
    tried = Tried()
    receiver = Receiver(folder)
    for number in range(tries):
        if not receiver.associate(**how()).is_rejected:
            tried.wrong.append(f"try {number}: not rejected")
        tried.tries += 1
    _still_works(tried, receiver)
    return tried


def damaged(folder: Path, tries: int, chance: random.Random) -> Tried:
    """Objects cut off or changed at chance: an answer for each; what was answered with success is there."""
    tried = Tried()
    receiver = Receiver(folder / "spool")
    _config.STORE_SEND_CHUNKED_DATASET = True
    path = folder / "damaged.dcm"
    for number in range(tries * 10):
        [dataset] = slices(1)
        dataset.save_as(path)
        data = bytearray(path.read_bytes())
        start = 350  # behind the meta information, which the sender's own library reads
        if chance.random() < 0.5:
            del data[chance.randrange(start, len(data)) :]
        for _ in range(chance.randrange(1, 20)):
            if len(data) > start:
                data[chance.randrange(start, len(data))] = chance.randrange(256)
        path.write_bytes(data)
        opened = receiver.associate()
        answer = opened.send_c_store(path)
        status = answer.get("Status")
        if status not in (0, 0xA900, 0xC000):
            tried.wrong.append(f"try {number}: answered {status}")
        kept = receiver.spool / "incoming"
        if (
            status == 0
            and not any(kept.rglob(f"{dataset.SOPInstanceUID}.dcm"))
            and not any((receiver.spool / "complete").rglob(f"{dataset.SOPInstanceUID}.dcm"))
        ):
            tried.lost.append(f"try {number}")
        opened.release()
        tried.tries += 1
    _config.STORE_SEND_CHUNKED_DATASET = False
    _still_works(tried, receiver)
    return tried


def bombs(folder: Path, tries: int, chance: random.Random) -> Tried:
    """Compressed frames that claim terabytes, and messages that claim gigabytes."""
    tried = Tried()
    receiver = Receiver(folder / "spool")
    for number in range(tries):
        [bomb] = slices(1)
        bomb.file_meta.TransferSyntaxUID = JPEG2000Lossless
        bomb.Rows = bomb.Columns = chance.choice([4096, 30_000, 65_535])
        bomb.NumberOfFrames = chance.choice([1000, 2_000_000_000])
        bomb.PixelData = encapsulate([bytes(24)] * 1000)
        bomb["PixelData"].VR = "OB"
        path = folder / "bomb.dcm"
        bomb.save_as(path)
        _config.STORE_SEND_CHUNKED_DATASET = True
        opened = receiver.associate(syntax=JPEG2000Lossless)
        if opened.send_c_store(path).get("Status") != 0xC000:
            tried.wrong.append(f"try {number}: taken")
        opened.release()
        _config.STORE_SEND_CHUNKED_DATASET = False
        with socket.create_connection(("127.0.0.1", receiver.port)) as raw:
            raw.sendall(struct.pack(">BBL", 1, 0, chance.randrange(1 << 20, 1 << 32)) + bytes(1000))
            raw.settimeout(LONG_S)
            try:
                raw.recv(100)
            except ConnectionResetError:
                pass
            except TimeoutError:
                tried.wrong.append(f"try {number}: a claim of gigabytes was waited for")
        tried.tries += 1
    _still_works(tried, receiver)
    return tried


def _still_works(tried: Tried, receiver: Receiver) -> None:
    sent = slices(SERIES, announce=True)
    opened = receiver.associate()
    taken = store(opened, sent) if opened.is_established else []
    opened.release()
    if not receiver.complete(sent):
        tried.wrong.append(f"{len(taken)} of {SERIES} good objects taken afterwards")
    peak = next(
        line
        for line in Path(f"/proc/{receiver.process.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    if int(peak.split()[1]) > 500_000:
        tried.wrong.append(f"grew to {peak}")
    receiver.end()


CASES: dict[str, tuple[str, Callable[[Path, int, random.Random], Tried]]] = {
    "sender killed in the middle of a study, half of them in the middle of an object": (
        "what was answered for is there; not complete until the rest is sent", sender_killed,
    ),
    "receiver killed (SIGKILL) at any moment while objects come": (
        "what was answered for is there after the new start, and the rest completes it", receiver_killed,
    ),
    "disk full (the spool's limit) at any object": ("0xA700; what was answered for is there", disk_full),
    "no space on the file system, at any object": (
        "0xA700, new associations refused; what was answered for is there, and the rest completes it", no_space,
    ),
    "50 associations at once, 10 allowed": ("refused ones come again; all 50 objects are there", many_at_once),
    "another called AE title": ("rejected", wrong_title),
    "unknown caller": ("rejected", unknown_caller),
    "objects cut off or changed at chance": ("an answer for each; good ones are taken afterwards", damaged),
    "bombs: frames that claim terabytes, messages that claim gigabytes": (
        "0xC000, or the connection ends; less than 500 MB of memory", bombs,
    ),
}  # fmt: skip
