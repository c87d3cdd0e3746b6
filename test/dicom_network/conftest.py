# SPDX-License-Identifier: Apache-2.0
"""Real peers for the tests: a receiver of ours, dcmtk's programs, and an Orthanc of their own on loopback."""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from liver_seg_ros.dicom_network.completeness import Patience
from liver_seg_ros.dicom_network.incoming import IncomingSeries
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.peers import AllowedPeer
from liver_seg_ros.dicom_network.receiver import Listening, Receiver
from liver_seg_ros.dicom_network.spool import Spool

sys.path.insert(0, str(Path(__file__).parent))

from dicom_series import LONG_S, dcmtk, saved, slices


@pytest.fixture(scope="session")
def make_slices() -> Callable[..., list[FileDataset]]:
    """See `slices`."""
    return slices


@pytest.fixture(scope="session")
def save() -> Callable[[Path, list[FileDataset]], Path]:
    """See `saved`."""
    return saved


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A TCP port that nobody listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@dataclass
class Receiving:
    """A receiver that runs, and what it has delivered."""

    spool: Spool
    receiver: Receiver
    series: IncomingSeries
    port: int
    delivered: queue.Queue[Path] = field(default_factory=queue.Queue)

    def complete(self) -> Path:
        """The next series that is complete."""
        return self.delivered.get(timeout=LONG_S)

    def stop(self) -> None:
        self.receiver.stop()
        self.series.stop()
        self.spool.close()

    def associate(self, title: str = "SENDER", called: str = "LIVERSEG") -> object:
        """An association of pynetdicom's own sender, established or not."""
        entity = AE(ae_title=title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = LONG_S
        entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        return entity.associate("127.0.0.1", self.port, ae_title=called)


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Callable[..., Receiving]]:
    """Starts receivers in this process; they end with the test."""
    started: list[Receiving] = []

    def start(
        limits: ReceiveLimits | None = None,
        patience: Patience | None = None,
        count: object = None,
        folder: Path = tmp_path / "spool",
        **listening: object,
    ) -> Receiving:
        limits = limits or ReceiveLimits(keep_free_mb=0)
        spool = Spool(folder, limits)
        delivered: queue.Queue[Path] = queue.Queue()
        patience = patience or Patience(quiet_s=0.5, settled_s=0.1, deadline_s=60)
        series = IncomingSeries(spool, patience, limits, delivered.put, count)
        options = {"peers": [AllowedPeer("SENDER"), AllowedPeer("ORTHANC")], "port": 0, **listening}
        receiver = Receiver(spool, series, Listening(**options), limits)
        found = Receiving(spool, receiver, series, receiver.start(), delivered)
        series.start()
        started.append(found)
        return found

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session", name="dcmtk")
def dcmtk_() -> Callable[..., subprocess.CompletedProcess[str]]:
    """See `dicom_series.dcmtk`."""
    return dcmtk


@dataclass(frozen=True)
class Orthanc:
    """A PACS that runs."""

    dicom_port: int
    http_port: int
    move_port: int  # where it sends what LIVERSEG asks it to move

    def rest(self, path: str, data: bytes | None = None) -> bytes:
        """What its REST interface answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/{path}", data)
        with urllib.request.urlopen(request, timeout=LONG_S) as answer:
            return bytes(answer.read())

    def file(self, instance_uid: str) -> bytes:
        """The object of this UID, as it keeps it."""
        [found] = json.loads(self.rest("tools/lookup", instance_uid.encode()))
        return self.rest(f"instances/{found['ID']}/file")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Orthanc]:
    """An Orthanc with an empty database, which ends with the file that uses it."""
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    folder = tmp_path_factory.mktemp("orthanc")
    found = Orthanc(free_port(), free_port(), free_port())
    configuration = {
        "Name": "test", "HttpPort": found.http_port, "DicomPort": found.dicom_port, "DicomAet": "ORTHANC",
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomCheckCalledAet": True, "Plugins": [],
        "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
        "DicomModalities": {"us": ["LIVERSEG", "127.0.0.1", found.move_port]},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
    deadline = time.monotonic() + LONG_S
    while True:
        try:
            found.rest("system")
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
    yield found
    process.terminate()
    process.wait(timeout=LONG_S)
