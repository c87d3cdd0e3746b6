# SPDX-License-Identifier: Apache-2.0
"""A cohort from Orthanc: fetched one ahead into a bounded spool, worked on, dropped; what is done is not done anew."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed (extra [cohort])")

from liver_seg_ros.cli import main
from liver_seg_ros.cohort.pacs import PacsCases, find
from liver_seg_ros.cohort.work import Options, key_of
from liver_seg_ros.dicom_network.calling import Caller
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.peers import Peer
from liver_seg_ros.dicom_network.query import Wanted
from liver_seg_ros.errors import InputError

DAY = "20260105"


@pytest.fixture(scope="module")
def series(orthanc: Any, make_slices: Callable, save: Callable, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """UIDs of four series that Orthanc has; the last one has a single slice, of which no CT can be read."""
    made = [make_slices(count) for count in (6, 6, 6, 1)]
    for slices, description in zip(made, ("Venous 1mm", "Arterial", "Venous 5mm", "Venous MIP"), strict=True):
        for dataset in slices:
            dataset.SeriesDescription = description
        for path in save(tmp_path_factory.mktemp("series"), slices).iterdir():
            orthanc.rest("instances", path.read_bytes())
    return [slices[0].SeriesInstanceUID for slices in made]


def test_no_more_are_in_the_spool_than_are_worked_on_and_two(orthanc: Any, series: list[str], tmp_path: Path) -> None:
    caller = Caller(Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port))
    with pytest.raises(InputError, match="no CT series of this kind; it has: Arterial, Venous 1mm"):
        find(caller, Wanted(study_date=DAY), "liver*")
    found = find(caller, Wanted(study_date=DAY))
    pacs = PacsCases(caller, found, tmp_path / "spool", ReceiveLimits(keep_free_mb=0))
    (tmp_path / "spool" / "complete" / "1.2.3").mkdir()  # of another cohort, which was killed
    waiting, most, got = pacs.cases(), 0, []
    assert [case.name for case in waiting] == sorted(series)
    for case in pacs.fetched(waiting):
        most = max(most, len(pacs._spool.series()))
        got.append((case.name, case.trouble, len(list(case.ct.glob("*.dcm")))))
        pacs.done(case)
    assert got == [(uid, "", 1 if uid == series[3] else 6) for uid in sorted(series)]
    assert most <= 2 and pacs._spool.series() == set()
    assert pacs.read({"case": series[0]}).geometry.shape == (6, 16, 20)  # once more, for a picture
    assert pacs._spool.series() == set()
    six = [one for one in found if one.series_uid == series[0]]
    full = PacsCases(caller, six, tmp_path / "full", ReceiveLimits(keep_free_mb=0, spool_mb=0.002))  # room for one
    [case] = full.fetched(full.cases())
    assert "no room for" in case.trouble, case.trouble
    pacs.close()
    assert not (tmp_path / "spool").exists()


def test_what_cannot_be_asked_is_told_in_one_line(
    orthanc: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs = f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"
    for words, says in (
        ((tmp_path, "--date", DAY), "is no PACS"),
        ((pacs,), "a whole PACS is no cohort"),
        ((pacs, "--accession", "none"), "has no CT series of this kind"),
        (("ORTHANC@127.0.0.1:x", "--date", DAY), "write it as TITLE@host:port"),
    ):
        assert main.run([*map(str, ("cohort", *words, "-o", tmp_path / "out"))]) == 2
        told = capfd.readouterr().err
        assert says in told and told.count("\n") == 1, told
    assert not (tmp_path / "out").exists()


def test_a_case_is_done_anew_only_where_the_pacs_has_other_objects(
    orthanc: Any, series: list[str], tmp_path: Path
) -> None:
    caller = Caller(Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port))
    found = find(caller, Wanted(study_date=DAY), "VENOUS 1*")
    assert [one.series_uid for one in found] == [series[0]]
    keys = []
    for number, objects in enumerate((6, 6, 7)):
        pacs = PacsCases(caller, [replace(found[0], objects=objects)], tmp_path / str(number), ReceiveLimits())
        [case] = pacs.cases()
        keys.append(key_of(case, Options(), pacs.identity(case)))
        pacs.close()
    assert keys[0] == keys[1] != keys[2]


def test_the_command_makes_rows_of_series_and_leaves_no_patient(
    orthanc: Any, series: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs, out = f"ORTHANC@127.0.0.1:{orthanc.dicom_port}", tmp_path / "out"
    trail = tmp_path / "trail.xml"
    asked = ["cohort", pacs, "--date", DAY, "--description", "venous*", "-o", str(out), "--workers", "1", "--no-page"]
    asked += ["--audit-file", str(trail)]
    assert main.run(asked) == 1  # one of them failed
    told = capfd.readouterr()
    assert "3 cases, 1 of them failed" in told.out, told.err
    with (out / "cohort.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {series[0], series[2], series[3]}
    assert rows[series[3]]["status"] == "failed" and rows[series[0]]["status"] != "failed"
    assert rows[series[0]]["ct"].startswith("ORTHANC: study ") and rows[series[0]]["size_k"] == "6"
    assert not (out / "spool").exists()
    audited = [line.count('EventOutcomeIndicator="8"') for line in trail.read_text("utf-8").splitlines()]
    assert sorted(audited) == [0, 0, 1]  # the outcome of each
    texts = [path.read_text("utf-8", "replace") for path in out.rglob("*") if path.suffix in (".csv", ".json")]
    assert not [
        text
        for text in [told.out, told.err, trail.read_text("utf-8"), *texts]
        if "Unmistakable" in text or "P-4711" in text
    ]
