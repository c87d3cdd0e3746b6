# SPDX-License-Identifier: Apache-2.0
"""Ending when told to, by real signals to real processes at many moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STOPS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
NUMBERS = tuple(STOPS)

BEGIN = "import sys, time\nfrom pathlib import Path\nfrom liver_seg_ros.signals import end_on_stop_signal\n"
READY = "print('ready', flush=True)\n"

#: Writes three files of one generation after the other, all at once each time.
GENERATIONS = f"""{BEGIN}
from liver_seg_ros.outputs.folder import ResultFolder
end_on_stop_signal("writer")
{READY}
for generation in range(10**6):
    with ResultFolder(Path(sys.argv[1]) / "new" / "out", "draw", ("a", "b", "c")).filled() as folder:
        for name in ("a", "b", "c"):
            (folder / name).write_text(str(generation) * 1000)
"""

#: The same by single files, as a training writes its checkpoint.
SINGLE_FILES = f"""{BEGIN}
from liver_seg_ros.atomic import written_beside
end_on_stop_signal("writer")
{READY}
for generation in range(10**6):
    with written_beside(Path(sys.argv[1]) / "new" / "a") as beside:
        beside.write_text(str(generation) * 1000)
"""

#: Works on after all that is half-written was taken away, as a library in another thread does.
LATE = """
import os, sys, threading
from pathlib import Path
from liver_seg_ros.atomic import abandon_unfinished, written_beside
with written_beside(Path(sys.argv[1]) / "new" / "a") as beside:
    thread = threading.Thread(target=abandon_unfinished)
    thread.start()
    thread.join()
    try:
        beside.write_text("late")
    finally:
        os._exit(0)
"""

#: Told to end just before it makes the temporary folder, or the folder that is to hold it.
BEFORE_IT_IS_MADE = """
import os, sys, threading, time
from pathlib import Path
from liver_seg_ros import atomic
make = Path.mkdir
def make_late(path, *arguments, **options):
    if path.name.startswith(sys.argv[2]):
        threading.Thread(target=lambda: (atomic.abandon_unfinished(), time.sleep(0.6), os._exit(0))).start()
        time.sleep(0.3)
    make(path, *arguments, **options)
Path.mkdir = make_late
with atomic.written_beside(Path(sys.argv[1]) / "new" / "a") as beside:
    time.sleep(5)
"""

#: Deaf for a minute in one library call, which lets Python's other threads have their turn.
DEAF = f"{BEGIN}import hashlib\nend_on_stop_signal('deaf')\n{READY}hashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)\n"

#: Standard error turned elsewhere meanwhile, as around libraries that print.
HELD_BACK = f"""{BEGIN}from liver_seg_ros.files.quiet import quiet_on_failure
end_on_stop_signal("quiet")
{READY}
with quiet_on_failure():
    time.sleep(30)
"""

#: A signal with a handler of its own is no reason to end.
OTHER = f"""{BEGIN}
import os, signal
end_on_stop_signal("busy")
signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(0.2)
{READY}
"""


@contextmanager
def running(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has said "ready"."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line == "ready\n", line
            yield process
        finally:
            process.kill()  # Popen's own way out would wait for one that did not end


def ended(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """What the process says on stderr when it is told to end; it must do so soon, with the usual exit code."""
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number, err
    return err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=STOPS.values()
)
def test_exit_code_and_one_line(number: signal.Signals, code: int) -> None:
    with running(f"{BEGIN}end_on_stop_signal('idle')\n{READY}time.sleep(30)") as process:
        assert ended(process, number) == f"idle: {STOPS[number]}\n"
        assert process.returncode == code


@pytest.mark.parametrize("moment", range(24))
def test_files_that_belong_together_are_all_there_or_none_is(moment: int, tmp_path: Path) -> None:
    rng = random.Random(moment)
    with running(GENERATIONS, tmp_path) as process:
        time.sleep(rng.uniform(0, 0.1))
        err = ended(process, NUMBERS[moment % 3])
    assert err == f"writer: {STOPS[NUMBERS[moment % 3]]}\n"
    found = {path.name: path for path in tmp_path.rglob("*") if path.is_file()}
    assert not found or found.keys() == {"a", "b", "c", ".liver-seg.json"}, list(tmp_path.rglob("*"))
    assert len({found[name].read_text() for name in found if name[0] != "."}) <= 1
    if not found:
        assert list(tmp_path.iterdir()) == []
    else:
        assert len(list((tmp_path / "new" / "out").iterdir())) == 4


@pytest.mark.parametrize("moment", range(9))
def test_a_single_file_is_whole_or_not_there(moment: int, tmp_path: Path) -> None:
    with running(SINGLE_FILES, tmp_path) as process:
        time.sleep(random.Random(moment).uniform(0, 0.05))
        ended(process, NUMBERS[moment % 3])
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left] in ([], ["a"])
    for text in (path.read_text() for path in left):
        assert text == text[: len(text) // 1000] * 1000


def test_nothing_is_made_again_after_it_was_taken_away(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", LATE, tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("name", [".", "new"])
def test_what_is_made_while_the_end_comes_is_taken_away(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEFORE_IT_IS_MADE, tmp_path, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_library_call_does_not_delay_the_end() -> None:
    with running(DEAF) as process:
        began = time.monotonic()
        ended(process, signal.SIGTERM)
    assert time.monotonic() - began < 15


def test_the_line_is_said_where_libraries_are_held_back() -> None:
    with running(HELD_BACK) as process:
        time.sleep(0.1)
        assert ended(process, signal.SIGTERM) == "quiet: terminated\n"


def test_other_signals_keep_their_meaning() -> None:
    done = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\nready\n"), done.stderr


def test_who_asked_for_deafness_to_hang_ups_has_it() -> None:
    """As `nohup` asks."""
    code = f"import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n{BEGIN}end_on_stop_signal('x')\n"
    code += "os.kill(os.getpid(), signal.SIGHUP)\ntime.sleep(0.2)\nprint('still here')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "still here\n"), done.stderr


def test_many_signals_at_once_are_one_end(tmp_path: Path) -> None:
    with running(GENERATIONS, tmp_path) as process:
        for number in (*NUMBERS, *NUMBERS):
            os.kill(process.pid, number)
        _, err = process.communicate(timeout=20)
    assert process.returncode in (129, 130, 143) and err.count("\n") == 1
    assert not list(tmp_path.rglob("*.part"))
