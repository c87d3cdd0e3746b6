# SPDX-License-Identifier: Apache-2.0
"""What lies beside the code and is read at runtime is installed with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_file_beside_the_code_is_built_into_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    package = REPOSITORY / "liver_seg_ros"
    ours = {
        path.relative_to(REPOSITORY)
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".part") and not path.name.startswith(".")
    }
    built = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert Path("liver_seg_ros/rendering/html/report.html") in ours and ours <= built
