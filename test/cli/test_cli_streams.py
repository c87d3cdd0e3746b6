# SPDX-License-Identifier: Apache-2.0
"""Standard streams that cannot be written, or are not there at all."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = shlex.join([sys.executable, "-m", "liver_seg_ros.cli.main"])


@pytest.mark.parametrize("json", ["", "--json"])
def test_a_full_disk_behind_stdout_is_one_line(json: str, small_ct: Path) -> None:
    line = f"{COMMAND} info {shlex.quote(str(small_ct / 'ct.nii.gz'))} {json} > /dev/full"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_without_standard_streams_the_work_is_done(small_ct: Path, tmp_path: Path) -> None:
    labels = shlex.quote(str(small_ct / "labels.nii.gz"))
    line = f"exec {COMMAND} measure {labels} -o {tmp_path} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", line], timeout=120, check=False).returncode == 0
    assert (tmp_path / "measurements.json").is_file()
