# SPDX-License-Identifier: Apache-2.0
"""What is said of pip-audit's report: a hole fails, and a service that knows nothing is not taken for a clean bill."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from audit import judged

CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
HOLE = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.1"], "aliases": []}]}
UNKNOWN = {"name": "vtk", "skip_reason": "Dependency not found on PyPI and could not be audited: vtk (9.7)"}


def test_a_hole_is_found_and_none_only_where_somebody_looked() -> None:
    lines, found = judged({"dependencies": [CLEAN, HOLE, UNKNOWN]})
    assert found and lines == [
        "pip-audit: 2 of 3 packages checked, 1 known holes",
        "pillow 9.0: PYSEC-1, mended in 9.1",
    ]
    assert judged({"dependencies": [CLEAN, UNKNOWN]}) == (["pip-audit: 1 of 2 packages checked, 0 known holes"], False)
    [line], found = judged({"dependencies": [UNKNOWN]})
    assert not found and "none of 1 packages, so that none was checked" in line
