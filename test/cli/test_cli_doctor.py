# SPDX-License-Identifier: Apache-2.0
"""`liver-seg doctor` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liver_seg_ros.cli import main


def test_every_line_has_a_level_and_what_is_not_well_an_advice(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--json"]) in (0, 1)  # whatever this machine is like
    findings = json.loads(capfd.readouterr().out)["findings"]
    assert {"memory", "clock", "model localizer", "model segmenter", "TensorRT and GPU", "ROS 2"} <= {
        finding["name"] for finding in findings
    }
    assert all(finding["level"] in ("ok", "warning", "problem") for finding in findings)
    main.run(["doctor"])
    lines = capfd.readouterr().out
    assert all(finding["name"] in lines for finding in findings)


def test_a_problem_is_exit_code_1_and_all_that_quiet_shows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    assert main.run(["doctor", "--models", str(tmp_path), "--quiet"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert any(line.startswith("problem  models: ") and str(tmp_path) in line for line in lines)
    assert "         to do: install the package again, or give --models" in lines
    assert not any(line.startswith("ok") for line in lines)
