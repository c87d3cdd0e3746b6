# SPDX-License-Identifier: Apache-2.0
"""Say which of the pinned packages have holes that are known (pip-audit), or why nobody looked.

    .venv/bin/python tools/audit.py [--tell]

Exit code 1 where there is one; with --tell it is only said. Where pip-audit is not installed, or the service that knows
the holes (pypi.org) cannot be reached or answers for no package, one line says that nothing was checked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parents[1] / "constraints.txt"
PATIENCE_S = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tell", action="store_true", help="exit code 0 whatever is found")
    options = parser.parse_args()
    if find_spec("pip_audit") is None:
        print("pip-audit: not installed, so that no package was checked (make setup-dev installs it)")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINS), "--no-deps", "--disable-pip"]
    command += ["--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        print(f"pip-audit: no answer of its service within {PATIENCE_S} s, so that no package was checked")
        return 0
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"pip-audit: no package was checked: {why}")
        return 0
    lines, found = judged(report)
    print("\n".join(lines))
    return int(found and not options.tell)


def judged(report: dict[str, Any]) -> tuple[list[str], bool]:
    """What is to be said of pip-audit's report (its JSON), and whether a hole is known."""
    packages = report["dependencies"]
    checked = [package for package in packages if "skip_reason" not in package]
    if not checked:
        return [f"pip-audit: its service answers for none of {len(packages)} packages, so that none was checked"], False
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'none'}"
        for package in checked
        for hole in package["vulns"]
    ]
    said = f"pip-audit: {len(checked)} of {len(packages)} packages checked, {len(holes)} known holes"
    return [said, *holes], bool(holes)


if __name__ == "__main__":
    sys.exit(main())
