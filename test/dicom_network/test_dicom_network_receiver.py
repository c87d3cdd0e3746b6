# SPDX-License-Identifier: Apache-2.0
"""Receiving from real senders, in order and out of it: what was answered with success is there, whatever happens."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, generate_uid
from pynetdicom import AE, _config

from liver_seg_ros.dicom_network.completeness import Patience
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.peers import AllowedPeer
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume

LONG_S = 90.0


def instances(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.dcm")}


def test_a_series_from_storescu_is_complete_once_and_whole(
    receiving: Callable, make_slices: Callable, save: Callable, dcmtk: Callable, tmp_path: Path
) -> None:
    sent = make_slices(6)
    here = receiving()
    assert dcmtk("echoscu", "-aet", "SENDER", "-aec", "LIVERSEG", "127.0.0.1", here.port).returncode == 0
    folder = save(tmp_path / "sent", sent)
    command = ("-aet", "SENDER", "-aec", "LIVERSEG", "127.0.0.1", here.port, "+sd", folder)
    assert dcmtk("storescu", *command).returncode == 0
    complete = here.complete()
    assert complete.name == sent[0].SeriesInstanceUID and instances(complete) == {d.SOPInstanceUID for d in sent}
    volume, original = read_volume(complete), read_volume(folder)
    assert (volume.array == original.array).all() and volume.geometry == original.geometry
    # Sent again it is no other series.
    assert dcmtk("storescu", *command).returncode == 0
    assert here.series.states() == () and list(here.spool.incoming.iterdir()) == []


@pytest.mark.parametrize(("caller", "called"), [("SENDER", "OTHER"), ("STRANGER", "LIVERSEG")])
def test_who_is_not_known_or_calls_another_gets_no_association(
    receiving: Callable, dcmtk: Callable, caller: str, called: str, caplog: pytest.LogCaptureFixture
) -> None:
    here = receiving()
    assert dcmtk("echoscu", "-aet", caller, "-aec", called, "127.0.0.1", here.port).returncode != 0
    deadline = time.monotonic() + LONG_S
    while not any(f"{caller}@127.0.0.1" in record.getMessage() for record in caplog.records):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_peer_is_known_at_its_own_address_only(receiving: Callable) -> None:
    here = receiving(peers=[AllowedPeer("SENDER", "192.0.2.7")])
    assert here.associate().is_rejected


def test_a_sender_killed_in_the_middle_leaves_what_was_answered_and_the_rest_completes_it(
    receiving: Callable, make_slices: Callable
) -> None:
    sent = make_slices(6, announce=True)
    here = receiving()
    first = here.associate()
    assert [first.send_c_store(dataset).Status for dataset in sent[:3]] == [0, 0, 0]
    first.dul.socket.close()
    state = here.series.states()[0]
    assert (state.count, state.expected) == (3, 6)
    assert instances(here.spool.incoming / sent[0].SeriesInstanceUID) == {d.SOPInstanceUID for d in sent[:3]}
    second = here.associate()
    assert {second.send_c_store(dataset).Status for dataset in sent} == {0}
    second.release()
    assert instances(here.complete()) == {d.SOPInstanceUID for d in sent}


def test_a_receiver_that_is_killed_goes_on_where_it_was(
    make_slices: Callable, save: Callable, dcmtk: Callable, tmp_path: Path
) -> None:
    """The real command, killed while objects come; what it had answered for is there, and the next one completes it."""
    sent = make_slices(6, announce=True)
    command = [
        sys.executable, "-m", "liver_seg_ros", "receive", tmp_path / "spool", "--peer", "SENDER", "--port", "0",
        "--keep-free-gb", "0", "--once",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        entity = AE(ae_title="SENDER")
        entity.add_requested_context(sent[0].SOPClassUID)
        opened = entity.associate("127.0.0.1", port, ae_title="LIVERSEG")
        assert [opened.send_c_store(dataset).Status for dataset in sent[:4]] == [0, 0, 0, 0]
        os.kill(process.pid, signal.SIGKILL)
    opened.abort()
    incoming = tmp_path / "spool" / "incoming" / sent[0].SeriesInstanceUID
    assert instances(incoming) == {d.SOPInstanceUID for d in sent[:4]}
    (tmp_path / "spool" / "incoming" / ".liver-seg-0123abcd.part").mkdir()  # of an object that was half there
    with subprocess.Popen([*command, "--run", "touch {folder}.ran"], stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().rsplit(":", 1)[1].strip()
        folder = save(tmp_path / "rest", sent[4:])
        assert dcmtk("storescu", "-aet", "SENDER", "-aec", "LIVERSEG", "127.0.0.1", port, "+sd", folder).returncode == 0
        output, _ = process.communicate(timeout=LONG_S)
    assert process.returncode == 0 and "complete: " in output
    complete = tmp_path / "spool" / "complete" / sent[0].SeriesInstanceUID
    assert instances(complete) == {d.SOPInstanceUID for d in sent}
    assert complete.with_name(f"{complete.name}.ran").exists()
    assert list((tmp_path / "spool" / "incoming").iterdir()) == []


def test_a_full_disk_refuses_before_it_loses(
    receiving: Callable, make_slices: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an object in an association that is open; then of new associations; and all that was taken is there."""
    sent = make_slices(6)
    here = receiving(ReceiveLimits(keep_free_mb=0, spool_mb=0.005))  # room for three
    opened = here.associate()
    statuses = [opened.send_c_store(dataset).Status for dataset in sent]
    opened.release()
    taken = [dataset for dataset, status in zip(sent, statuses, strict=True) if status == 0]
    assert 0 < len(taken) < 6 and set(statuses) == {0, 0xA700}
    assert instances(here.complete()) == {d.SOPInstanceUID for d in taken}
    here.spool.aside.joinpath("filler").write_bytes(bytes(5000))
    here.spool._looked_s = float("-inf")
    assert here.associate().is_rejected
    assert sum("no room" in r.getMessage() or "disk full" in r.getMessage() for r in caplog.records) >= 2


def test_fifty_associations_at_once_lose_nothing(receiving: Callable, make_slices: Callable) -> None:
    """More than are taken at once: those that are refused come again, as senders do."""
    sent = make_slices(50, announce=True)
    here = receiving(ReceiveLimits(keep_free_mb=0, associations=8))
    statuses: list[int] = []

    def send(dataset: object) -> None:
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            opened = here.associate()
            if opened.is_established:
                statuses.append(opened.send_c_store(dataset).Status)
                opened.release()
                return
            time.sleep(0.05)

    threads = [threading.Thread(target=send, args=(dataset,)) for dataset in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 50
    assert instances(here.complete()) == {d.SOPInstanceUID for d in sent}


def broken(dataset: object, folder: Path) -> dict[str, tuple[Path, int]]:
    """Files that hold broken objects, and the status that each is answered with."""
    cannot, other = 0xC000, 0xA900
    whole = folder / "whole.dcm"
    dataset.save_as(whole)
    data = whole.read_bytes()
    files = {"cut off": (data[:-100], cannot), "header only": (data[:700], cannot)}
    for name, change, status in (
        ("no series", lambda d: d.__delattr__("SeriesInstanceUID"), cannot),
        ("uid with a path", lambda d: setattr(d, "SeriesInstanceUID", "../../1.2"), cannot),
        ("another instance", lambda d: setattr(d, "SOPInstanceUID", generate_uid()), other),
        ("no pixels", lambda d: d.__delattr__("PixelData"), cannot),
        ("bomb of pixels", lambda d: [setattr(d, "Rows", 65535), setattr(d, "Columns", 65535)], cannot),
        ("bomb of frames", lambda d: setattr(d, "NumberOfFrames", 2_000_000_000), cannot),
    ):
        changed = dcmread(whole)
        change(changed)
        changed.save_as(folder / "changed.dcm", enforce_file_format=False)
        files[name] = ((folder / "changed.dcm").read_bytes(), status)
    paths = {}
    for number, (name, (content, status)) in enumerate(files.items()):
        path = folder / f"broken_{number}.dcm"
        path.write_bytes(content)
        paths[name] = (path, status)
    return paths


def test_broken_objects_are_answered_and_kept_aside_with_their_reason(
    receiving: Callable, make_slices: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)  # sends the bytes of a file as they are
    good, bad = make_slices(2)
    here = receiving()
    opened = here.associate()
    for name, (path, status) in broken(bad, tmp_path).items():
        answer = opened.send_c_store(path)
        assert answer.Status == status and answer.ErrorComment, name
    good.save_as(tmp_path / "good.dcm")
    assert opened.send_c_store(tmp_path / "good.dcm").Status == 0
    opened.release()
    assert instances(here.complete()) == {good.SOPInstanceUID}
    aside = sorted(here.spool.aside.glob("*.dcm"))
    assert len(aside) == 8 and all(path.with_suffix(".txt").read_text().strip() for path in aside)
    assert sum("kept aside" in record.getMessage() for record in caplog.records) == 8


def test_a_bomb_of_compressed_frames_is_refused_from_its_header(
    receiving: Callable, make_slices: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    [bomb] = make_slices(1)
    bomb.file_meta.TransferSyntaxUID = JPEG2000Lossless
    bomb.Rows = bomb.Columns = 4096
    bomb.NumberOfFrames = 1000
    bomb.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(20)] * 1000)
    bomb["PixelData"].VR = "OB"
    here = receiving()
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(bomb.SOPClassUID, JPEG2000Lossless)
    opened = entity.associate("127.0.0.1", here.port, ae_title="LIVERSEG")
    bomb.save_as(tmp_path / "bomb.dcm")
    assert opened.send_c_store(tmp_path / "bomb.dcm").Status == 0xC000
    opened.release()
    assert here.series.states() == ()


@pytest.mark.parametrize("claimed", [0xFFFFFFF0, 300_000])
def test_bytes_are_counted_before_they_are_read(receiving: Callable, claimed: int) -> None:
    """Of a message that claims gigabytes before anybody knows who sends it; the connection ends, the others go on."""
    here = receiving()
    with socket.create_connection(("127.0.0.1", here.port), timeout=LONG_S) as raw:
        raw.sendall(struct.pack(">BBL", 1, 0, claimed) + bytes(1000))
        try:
            answer = raw.recv(100)
        except ConnectionResetError:
            answer = b""
        assert answer[:1] in (b"", b"\x07")  # closed, or aborted
    assert here.associate().is_established


def test_an_object_larger_than_allowed_ends_its_association(receiving: Callable, make_slices: Callable) -> None:
    [large], [good] = make_slices(1), make_slices(1)
    large.Rows, large.Columns, large.PixelData = 512, 512, np.zeros(512 * 512, np.int16).tobytes()
    here = receiving(ReceiveLimits(keep_free_mb=0, object_mb=0.3))
    opened = here.associate()
    assert [opened.send_c_store(good).Status for _ in range(2)] == [0, 0]
    assert not opened.send_c_store(large)  # no status: it is gone
    assert instances(here.complete()) == {good.SOPInstanceUID}


def test_a_series_that_never_completes_is_named_once_and_can_still(
    receiving: Callable, make_slices: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    sent = make_slices(4, announce=True)
    here = receiving(patience=Patience(0.2, 0.1, 0.4))
    opened = here.associate()
    for dataset in sent[:3]:
        opened.send_c_store(dataset)
    deadline = time.monotonic() + LONG_S
    named = f"series {sent[0].SeriesInstanceUID}: 3 of 4 objects came"
    while not any(named in record.getMessage() for record in caplog.records):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    opened.send_c_store(sent[3])
    opened.release()
    assert instances(here.complete()) == {d.SOPInstanceUID for d in sent}
    assert sum(named in record.getMessage() for record in caplog.records) == 1


def test_no_name_of_a_patient_is_said_or_written_outside_of_objects(
    receiving: Callable, make_slices: Callable, save: Callable, dcmtk: Callable, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    logging.getLogger("liver_seg_ros").setLevel(logging.DEBUG)
    good, bad = make_slices(2)
    del bad.PixelData
    here = receiving()
    folder = save(tmp_path / "sent", [good, bad])
    dcmtk("storescu", "-nh", "-aet", "SENDER", "-aec", "LIVERSEG", "127.0.0.1", here.port, "+sd", folder)
    here.complete()
    texts = [
        record.getMessage() for record in caplog.records if record.name.startswith(("liver_seg_ros", "pynetdicom"))
    ]
    written = list(here.spool.folder.rglob("*"))
    texts += [str(path) for path in written]
    texts += [path.read_text() for path in written if path.is_file() and path.suffix != ".dcm"]
    assert len(texts) > 8
    assert not [text for text in texts if "unmistakable" in text.lower() or "P-4711" in text]


def test_one_process_a_spool_and_one_a_port(receiving: Callable, tmp_path: Path) -> None:
    here = receiving()
    with pytest.raises(InputError, match="another process works in this spool"):
        receiving()
    here.spool.close()
    with pytest.raises(InputError, match="cannot listen"):
        receiving(port=here.port)


def test_a_disk_without_space_loses_nothing_and_refuses_who_comes(
    receiving: Callable, make_slices: Callable, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system that is full to its last byte, without any limit of our own: what was answered for is there."""
    sent = make_slices(30, announce=True)
    here = receiving(folder=small_disk / "spool")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 80_000))
    opened = here.associate()
    statuses = [opened.send_c_store(dataset).Status for dataset in sent]
    taken = [dataset for dataset, status in zip(sent, statuses, strict=True) if status == 0]
    assert 0 < len(taken) < 30 and set(statuses) == {0, 0xA700}
    incoming = here.spool.incoming / sent[0].SeriesInstanceUID
    assert instances(incoming) == {dataset.SOPInstanceUID for dataset in taken}
    for dataset in taken:
        assert dcmread(incoming / f"{dataset.SOPInstanceUID}.dcm").PixelData == dataset.PixelData
    assert here.associate().is_rejected
    assert any("disk full" in record.getMessage() for record in caplog.records)
    assert sum("no room" in record.getMessage() for record in caplog.records) == 1  # not once for each
    filler.unlink()
    assert {opened.send_c_store(dataset).Status for dataset in sent} == {0}
    opened.release()
    assert instances(here.complete()) == {dataset.SOPInstanceUID for dataset in sent}
