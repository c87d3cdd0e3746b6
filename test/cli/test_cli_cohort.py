# SPDX-License-Identifier: Apache-2.0
"""`liver-seg cohort`: a row for each CT, good or broken; killed, it goes on where it was."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [cohort])")
pytest.importorskip("distributed", reason="distributed is not installed (extra [cohort])")

from liver_seg_ros.cohort.listing import CohortCase  # noqa: E402  after the skips
from liver_seg_ros.cohort.rows import NAMES, read_row  # noqa: E402
from liver_seg_ros.cohort.work import ROW, Options, work_on  # noqa: E402
from liver_seg_ros.files.volumes import read_labels  # noqa: E402

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def cts(small_ct, tmp_path_factory):
    """Three CTs: one, the same in a larger file, and one that is cut off."""
    folder = tmp_path_factory.mktemp("cts")
    shutil.copy(small_ct / "ct.nii.gz", folder / "a.nii.gz")
    (folder / "b.nii").write_bytes(gzip.decompress((folder / "a.nii.gz").read_bytes()))
    (folder / "broken.nii").write_bytes(b"no CT")
    return folder


def rows_of(folder):
    with (folder / "cohort.csv").open(newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_killed_in_the_middle_it_goes_on_and_each_case_is_a_row(liver_seg, cts, small_models, small_ct, tmp_path):
    out = tmp_path / "out"
    options = ("cohort", cts, "-o", out, "--models", small_models, "--workers", 1)
    command = [sys.executable, "-m", "liver_seg_ros.cli.main", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not (kept := list(out.glob("cases/*/row.json"))):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
    assert "b" in {path.parent.name for path in kept}  # the largest is the first
    first = {path: path.stat().st_mtime_ns for path in kept}

    done = liver_seg(*options)
    assert done.returncode == 1 and "3 cases, 1 of them failed" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == first
    rows = rows_of(out)
    assert {name: row["status"] for name, row in rows.items()} == {"a": "found", "b": "found", "broken": "failed"}
    assert "broken.nii" in rows["broken"]["message"] and "\n" not in rows["broken"]["message"]

    single = liver_seg("segment", small_ct / "ct.nii.gz", "-o", tmp_path / "single", "--models", small_models, "--json")
    structures = json.loads(single.stdout)["structures"]
    for name in ("a", "b"):
        assert float(rows[name]["liver_ml"]) == structures["liver"]["volume_ml"]
        found = read_labels(out / "cases" / name / "labels.nii.gz").array
        assert (found == read_labels(tmp_path / "single" / "labels.nii.gz").array).all()
    table = parquet.read_table(out / "cohort.parquet")
    assert tuple(table.column_names) == NAMES and table.num_rows == 3
    assert table.column("liver_ml").to_pylist()[0] == structures["liver"]["volume_ml"]
    assert table.schema.field("liver_ml").metadata[b"description"] == b"Volume found."
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "3 CTs: 2 found, 1 failed" in page and "broken" in page and (out / "worst.png").is_file()


def test_what_is_wrong_with_all_cases_is_told_before_the_work(liver_seg, cts, small_models, tmp_path):
    out = tmp_path / "out"
    for options, says in (
        ((tmp_path / "none", "-o", out), "neither a folder nor a CSV"),
        ((cts, "-o", out, "--models", tmp_path), "localizer"),
        ((cts, "-o", out, "--scheduler", "tcp://127.0.0.1:9", "--workers", 2), "leave out --workers"),
    ):
        told = liver_seg("cohort", *options)
        assert told.returncode == 2 and says in told.stderr and told.stderr.count("\n") == 1, told.stderr
    assert not Path(out).exists()


def test_a_case_on_a_full_disk_is_a_row_that_says_so_and_is_done_once_there_is_space(
    small_disk, small_models, small_ct
):
    case, options = CohortCase("a", small_ct / "ct.nii.gz"), Options(str(small_models))
    filler, folder = small_disk / "filler", small_disk / "cases" / "a"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    row = work_on(case, folder, "key", options)
    assert row["status"] == "failed" and "space" in row["message"] and "\n" not in row["message"]
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [filler]
    filler.unlink()
    assert work_on(case, folder, "key", options)["status"] == "found"
    assert read_row(folder / ROW, "key")["case"] == "a"
