"""How far a command is, on stderr, so that stdout stays for the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveProgress
from rich.table import Column

from liver_seg_ros.progress import Progress, no_progress

#: Cells of the bar: with a stage's name, the percents and the time, the line fits into 50 columns.
BAR_WIDTH = 16


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


@contextmanager
def _live_line(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        BarColumn(BAR_WIDTH),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with LiveProgress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=1.0)
        yield lambda stage, fraction: shown.update(task, description=stage, completed=fraction)


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
