# SPDX-License-Identifier: Apache-2.0
"""The node `dicom_receiver` over real DDS: what dcmtk's storescu sends is on the topic, what is bad is a line."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.files.volumes import read_volume

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dicom_network"))

from dicom_series import LONG_S, dcmtk, saved, slices

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (extra [dicom])")


def listening_port(ros):
    found: list[str] = []  # from the log: on /diagnostics it may be over before it is heard
    said = r"LIVERSEG listens on 127\.0\.0\.1:(\d+)"
    ros.spin_until(lambda: found.extend(re.findall(said, ros.log("dicom_receiver"))) or found)
    return int(found[0])


def send(port, folder, title="SENDER", passcode="open"):
    command = ("-usr", "scanner", "-pwd", passcode, "-aet", title, "-aec", "LIVERSEG", "127.0.0.1", port, "+sd", folder)
    return dcmtk("storescu", *command).returncode


def test_series_are_published_and_what_is_bad_is_a_line_without_the_patient(ros, tmp_path):
    """First the one that a process before had not come to; each is removed, as it was asked for."""
    spool, before, sent = tmp_path / "spool", slices(6), slices(6)
    waiting = saved(spool / "complete" / before[0].SeriesInstanceUID, before)
    volumes = ros.volumes("ct", np.int16)
    originals = [read_volume(waiting), read_volume(saved(tmp_path / "sent", sent))]
    options = {"spool": str(spool), "port": 0, "peers": "SENDER, PACS", "quiet_s": 0.3, "deadline_s": 1.0}
    options |= {"keep_free_gb": 0.0, "spool_gb": 2e-5, "remove_published": True, "worker_process": False}  # 20 kB
    users = tmp_path / "users"
    users.write_text("scanner:open\n", encoding="ascii")
    users.chmod(0o600)
    process = ros.start("dicom_receiver", **options, user_file=str(users))
    port = listening_port(ros)
    ros.spin_until(lambda: len(volumes) == 1)
    assert send(port, tmp_path / "sent") == 0
    ros.spin_until(lambda: len(volumes) == 2)
    for volume, original in zip(volumes, originals, strict=True):
        np.testing.assert_array_equal(volume.array, original.array)
        assert volume.geometry.is_same_grid(original.geometry, tolerance_mm=1e-6)
    ros.wait_for_line("/dicom_receiver 0", f"published {spool}/complete/{sent[0].SeriesInstanceUID}")
    ros.spin_until(lambda: not [*spool.glob("complete/*"), *spool.glob("handed/*")])

    [broken] = slices(1)
    del broken.PixelData
    for title, dataset, said in (
        ("STRANGER", sent[0], "STRANGER@127.0.0.1"),
        ("SENDER", broken, "an object holds no pixels: answered 0xC000, kept aside"),
        ("SENDER", late := slices(6, announce=True)[0], f"series {late.SeriesInstanceUID}: 1 of 6 objects came"),
    ):
        send(port, saved(tmp_path / said, [dataset]), title)
        ros.wait_for_line("/dicom_receiver 1", said)
    assert send(port, tmp_path / "sent", passcode="sesame") != 0
    ros.wait_for_line("/dicom_receiver 1", "SENDER@127.0.0.1 names no user with the right passcode: refused")
    (spool / "aside" / "filler").write_bytes(bytes(20_000))
    here_already = tmp_path / f"series {late.SeriesInstanceUID}: 1 of 6 objects came"
    ros.spin_until(lambda: send(port, here_already) != 0)  # once it has looked how much is there
    ros.wait_for_line("/dicom_receiver 1", "finds the disk full: refused")
    assert len(volumes) == 2

    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG_S) == 0
    told = ros.log("dicom_receiver")
    assert "Traceback" not in told and "Unmistakable" not in told and "P-4711" not in told and "sesame" not in told
