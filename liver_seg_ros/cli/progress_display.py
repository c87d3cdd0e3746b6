# SPDX-License-Identifier: Apache-2.0
"""How far a command is, on stderr, so that stdout stays for the result."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.progress import Progress as LiveProgress
from rich.table import Column
from rich.text import Text

from liver_seg_ros.progress import Progress, no_progress

#: Cells of the bar, and of all behind a stage's name: bar, percents, time, and a cell before each.
BAR_WIDTH = 16
REST_WIDTH = BAR_WIDTH + len("100%") + len("0:00:00") + 3


@contextmanager
def shown_progress(quiet: bool = False, as_json: bool = False) -> Iterator[Progress]:
    """A `Progress` for people: in a terminal one live line, elsewhere a line for each stage that came to its end.

    The live line has the stage, how much of it is done, and the time since the beginning; it is gone at the end.

    Args:
        quiet: nothing is shown at all.
        as_json: a machine reads: nothing is shown unless it is the live line for a person who looks on.
    """
    console = Console(stderr=True)
    live = console.is_terminal and not console.is_dumb_terminal
    if quiet or (as_json and not live):
        yield no_progress
    elif live:
        with _live_line(console) as progress:
            yield progress
    else:
        yield StageLines(console)


class _SinceBegin(ProgressColumn):
    """The time since the command began; rich's own column stops for good where the first stage is done."""

    def render(self, task: Task) -> Text:
        """Hours, minutes, seconds."""
        return Text(str(timedelta(seconds=int(task.elapsed or 0))))


@contextmanager
def _live_line(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(BAR_WIDTH),
        TaskProgressColumn(),
        _SinceBegin(),
    )
    with LiveProgress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("start", total=1.0)
        room = max(1, console.width - REST_WIDTH)
        yield lambda stage, fraction: shown.update(
            task, description=textwrap.shorten(stage, room, placeholder="..."), completed=fraction
        )


class StageLines:
    """A `Progress` that writes a line with its seconds when a stage comes to its end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: dict[str, float] = {}  # of the stages that run

    def __call__(self, stage: str, fraction: float) -> None:
        """Take note of `stage`; one that is done may be told so again, or begin anew."""
        now = perf_counter()
        if fraction < 1.0:
            self._began.setdefault(stage, now)
        elif stage in self._began:
            seconds = now - self._began.pop(stage)
            self._console.print(f"{stage} {seconds:.1f} s", markup=False, highlight=False, soft_wrap=True)
