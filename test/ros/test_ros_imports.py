# SPDX-License-Identifier: Apache-2.0
"""What no process of the nodes imports before it is asked for: each would hold it, and some 100 MB they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Reads and writes files.
_FILES = {"SimpleITK", "nibabel", "pydicom", "trimesh"}


@pytest.mark.parametrize("module", ["liver_seg", "work.segmenting", "work.reconstructing"])
def test_what_reads_and_writes_files_is_not_imported(module: str) -> None:
    code = f"import sys; import liver_seg_ros.nodes.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(run.stdout.split())
    assert f"liver_seg_ros.nodes.{module}" in imported and not imported & _FILES
