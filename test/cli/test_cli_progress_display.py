# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: one live line in a terminal, a line per stage elsewhere, nothing where it is not wanted."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from liver_seg_ros.cli.progress_display import StageLines, shown_progress


def test_elsewhere_a_line_for_each_stage_that_came_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as progress:
        for stage, fraction in (("read", 0.0), ("read", 1.0), ("segment", 0.2), ("segment", 1.0), ("write", 0.5)):
            progress(stage, fraction)
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"read \d+\.\d s\nsegment \d+\.\d s\n", err)


def test_a_stage_has_one_line_however_often_its_end_is_told_and_another_where_it_begins_anew() -> None:
    file = io.StringIO()
    lines = StageLines(Console(file=file, width=20))
    for fraction in (0.0, 1.0, 1.0, 0.3, 1.0):
        lines("a stage with a long name", fraction)
    assert re.fullmatch(r"(a stage with a long name \d\.\d s\n){2}", file.getvalue())


@pytest.mark.parametrize("silent", [{"quiet": True}, {"as_json": True}, {"quiet": True, "as_json": True}])
def test_nothing_is_said_where_nobody_wants_it(silent: dict[str, bool], capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(**silent) as progress:
        progress("read", 0.0)
        progress("read", 1.0)
    assert capsys.readouterr() == ("", "")


def test_the_seconds_of_a_stage_are_those_since_its_begin() -> None:
    file = io.StringIO()
    lines = StageLines(Console(file=file))
    lines("read", 0.0)
    time.sleep(0.2)
    lines("read", 0.9)
    lines("read", 1.0)
    assert float(file.getvalue().split()[1]) >= 0.2
