# SPDX-License-Identifier: Apache-2.0
"""A name that is no UTF-8 ends no command: not on the page, not in a report, not in the terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

BAD = os.fsdecode(b"M\xfcller")
SHOWN = "M\\udcfcller"

LiverSeg = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def case(small_ct: Path, tmp_path: Path) -> Path:
    folder = tmp_path / BAD
    folder.mkdir()
    for name in ("ct", "labels"):
        shutil.copy(small_ct / f"{name}.nii.gz", folder / f"{name}{BAD}.nii.gz")
    return folder


def test_the_page_and_the_terminal_show_it_in_other_words(case: Path, liver_seg: LiverSeg) -> None:
    labels, ct, output = case / f"labels{BAD}.nii.gz", case / f"ct{BAD}.nii.gz", case / f"out{BAD}"
    done = liver_seg("measure", labels, "--ct", ct, "-o", output, "--html", "--png")
    assert done.returncode == 0, done.stderr
    assert SHOWN in done.stdout
    page = (output / "report.html").read_text(encoding="utf-8")
    assert f"labels{SHOWN}.nii.gz" in page and f"ct{SHOWN}.nii.gz" in page


def test_reports_name_the_very_file(case: Path, small_models: Path, liver_seg: LiverSeg) -> None:
    ct, output = case / f"ct{BAD}.nii.gz", case / f"out{BAD}"
    done = liver_seg("segment", ct, "-o", output, "--models", small_models, "--json")
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, (output / "report.json").read_text(encoding="utf-8")):
        assert json.loads(text)["input"] == str(ct)


def test_an_error_is_one_line(case: Path, liver_seg: LiverSeg) -> None:
    done = liver_seg("measure", case / f"none{BAD}.nii.gz")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and f"none{SHOWN}.nii.gz: no such file" in done.stderr
