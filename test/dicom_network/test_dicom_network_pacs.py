# SPDX-License-Identifier: Apache-2.0
"""With a real PACS (Orthanc) and dcmtk: asked, fetched from by C-GET and C-MOVE, sent to and read back; and by TLS."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import AE, evt

from liver_seg_ros.cli import main
from liver_seg_ros.dicom_network.calling import Caller
from liver_seg_ros.dicom_network.completeness import Patience
from liver_seg_ros.dicom_network.encryption import tls_context
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.peers import Peer
from liver_seg_ros.dicom_network.query import FoundSeries, counter
from liver_seg_ros.dicom_network.retrieve import retrieve
from liver_seg_ros.dicom_network.send import send
from liver_seg_ros.dicom_network.services import STUDY_GET
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.dicom_out.equipment import Maker
from liver_seg_ros.dicom_out.export import export, save
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.volumes import read_volume
from liver_seg_ros.volume import LabelVolume


@pytest.fixture(scope="module")
def study(orthanc: Any, make_slices: Callable, save: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CT that Orthanc has too, by its REST interface."""
    folder = save(tmp_path_factory.mktemp("study") / "ct", make_slices(6))
    for path in folder.iterdir():
        orthanc.rest("instances", path.read_bytes())
    return folder


def called(orthanc: Any) -> str:
    return f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main.run(list(map(str, arguments)))
    return code, *capfd.readouterr()


def test_what_a_pacs_has_is_found_and_fetched_both_ways(
    orthanc: Any, study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = dcmread(study / "000.dcm")
    for asked in (("--patient", "P-4711"), ("--date", "20260101-20260131"), ("--study", first.StudyInstanceUID)):
        code, out, err = run(capfd, "query", called(orthanc), *asked, "--json")
        [found] = json.loads(out)["series"]
        assert (code, err, found["series_uid"], found["objects"]) == (0, "", first.SeriesInstanceUID, 6)
    code, out, _ = run(capfd, "query", called(orthanc), "--accession", "A77")
    assert code == 0 and first.SeriesInstanceUID in out and "Unmistakable" not in out
    assert run(capfd, "query", called(orthanc), "--patient", "nobody")[1].strip() == "no CT series"
    original = read_volume(study)
    uids = ("--study", first.StudyInstanceUID, "--series", first.SeriesInstanceUID)
    for way in ((), ("--move", "--port", orthanc.move_port)):
        spool = tmp_path / f"spool{len(way)}"
        code, out, err = run(capfd, "retrieve", called(orthanc), *uids, "-o", spool, *way, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["objects"] == 6
        volume = read_volume(json.loads(out)["folder"])
        assert (volume.array == original.array).all() and volume.geometry == original.geometry


def test_dcmtk_moves_a_series_from_the_pacs_to_our_receiver_and_the_pacs_says_how_many(
    orthanc: Any, study: Path, receiving: Callable, dcmtk: Callable
) -> None:
    """By the PACS's number it is complete at once, and not after an hour without an object."""
    first = dcmread(study / "000.dcm")
    count = counter(Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port), "LIVERSEG", None)
    here = receiving(patience=Patience(3600, 0.1, 7200), count=count, port=orthanc.move_port)
    keys = [f"StudyInstanceUID={first.StudyInstanceUID}", f"SeriesInstanceUID={first.SeriesInstanceUID}"]
    keys = ["QueryRetrieveLevel=SERIES", *keys]
    done = dcmtk(
        "movescu", "-S", "-aet", "ANYBODY", "-aec", "ORTHANC", "-aem", "LIVERSEG", "127.0.0.1", orthanc.dicom_port,
        *[word for key in keys for word in ("-k", key)],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (read_volume(here.complete()).array == read_volume(study).array).all()


def test_results_are_taken_by_the_pacs_and_are_the_same_when_fetched(
    orthanc: Any, study: Path, tmp_path: Path, dcmtk: Callable, capfd: pytest.CaptureFixture[str]
) -> None:
    ct = read_volume(study)
    array = np.zeros(ct.array.shape, np.uint8)
    array[1:5, 3:12, 3:15], array[2, 5:8, 5:8] = 1, 2
    names = save(tmp_path, export(ct, LabelVolume(array, ct.geometry), ("seg", "sr", "rtstruct", "stl"), Maker()))
    code, out, err = run(capfd, "send", called(orthanc), tmp_path, "--json")
    assert (code, json.loads(out)["sent"], err) == (0, len(names), "")
    for name in names:
        sent = dcmread(tmp_path / name)
        (tmp_path / "back.dcm").write_bytes(orthanc.file(sent.SOPInstanceUID))
        back = dcmread(tmp_path / "back.dcm")
        assert [e for e in back if e.tag.group != 2] == [e for e in sent if e.tag.group != 2], name
    asked = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={ct.series.study_uid}", "Modality"]
    found = dcmtk(
        "findscu", "-S", "-aec", "ORTHANC", "127.0.0.1", orthanc.dicom_port,
        *[word for key in asked for word in ("-k", key)],
    )  # fmt: skip
    assert all(modality in found.stderr + found.stdout for modality in ("SEG", "SR", "RTSTRUCT", "M3D"))


def test_who_cannot_be_asked_is_said_in_one_line(
    orthanc: Any, study: Path, free_port: Callable, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nobody = f"ORTHANC@127.0.0.1:{free_port()}"
    other = f"OTHER@127.0.0.1:{orthanc.dicom_port}"
    uids = ("--study", "1.2.3", "--series", "1.2.3.4")
    for arguments, words in (
        (("query", nobody, "--patient", "x"), "nobody answers there"),
        (("query", other, "--patient", "x"), "refuses an association"),
        (("query", called(orthanc)), "no question"),
        (("query", "ORTHANC", "--patient", "x"), "TITLE@host:port"),
        (("query", "A\\B@h:1", "--patient", "x"), "no AE title"),
        (("retrieve", called(orthanc), *uids, "-o", tmp_path / "out"), "has no CT series 1.2.3.4"),
        (("retrieve", called(orthanc), "--study", "../x", "--series", "1", "-o", tmp_path / "out"), "are UIDs"),
        (("send", called(orthanc), tmp_path / "missing"), "no such file"),
        (("send", called(orthanc), tmp_path), "holds no DICOM files"),
        (("send", nobody, study), "nobody answers there"),
        (("receive", tmp_path / "spool", "--peer", "A\\B"), "no AE title"),
        (("receive", tmp_path / "spool", "--tls-cert", "none.pem"), "give both"),
    ):
        code, out, err = run(capfd, *arguments)
        assert (code, out) == (2, "") and words in err and err.count("\n") == 1, arguments


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-out", paths[0], "-keyout", paths[1],
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return paths


def test_with_tls_only_who_has_the_right_certificate_is_heard(receiving: Callable, study: Path, tmp_path: Path) -> None:
    (ours, our_key), (theirs, their_key), (strange, strange_key) = (
        certificate(tmp_path, name) for name in ("ours", "theirs", "strange")
    )
    here = receiving(tls=tls_context(ours, our_key, theirs, listens=True))
    files = sorted(study.iterdir())

    def sent(tls: ssl.SSLContext | None) -> int:
        return send(Caller(Peer("LIVERSEG", "127.0.0.1", here.port), "SENDER", tls), files)

    for tls in (None, tls_context(strange, strange_key, ours, listens=False)):
        with pytest.raises(InputError, match=r"nobody answers there|cannot be called"):
            sent(tls)
    with pytest.raises(InputError, match=r"nobody answers there|cannot be called"):  # the other way round
        sent(tls_context(theirs, their_key, strange, listens=False))
    with socket.create_connection(("127.0.0.1", here.port)):  # who says nothing keeps nobody waiting
        assert sent(tls_context(theirs, their_key, ours, listens=False)) == 6
    assert len(list(here.complete().glob("*.dcm"))) == 6
    with pytest.raises(InputError, match="cannot be used"):
        tls_context(ours, their_key, None, listens=True)


@pytest.mark.parametrize(("answer", "says"), [(None, "went away before it had sent"), (0xC001, "answered 0xC001")])
def test_a_pacs_that_goes_away_or_fails_is_told_apart(tmp_path: Path, answer: int | None, says: str) -> None:
    def asked(event: Any) -> Any:
        if answer is None:
            event.assoc.abort()
        yield 1
        yield answer or 0xFE00, None

    entity = AE(ae_title="PACS")
    entity.add_supported_context(STUDY_GET)
    server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_GET, asked)])
    try:
        caller = Caller(Peer("PACS", "127.0.0.1", server.socket.getsockname()[1]))
        limits = ReceiveLimits(keep_free_mb=0)
        with pytest.raises(InputError, match=says):
            retrieve(caller, FoundSeries("1.2.3", "1.2.3.4", objects=6), Spool(tmp_path / "spool", limits), limits)
    finally:
        server.shutdown()
