# SPDX-License-Identifier: Apache-2.0
"""Completion at TAB, in real shells on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from liver_seg_ros.cli.completion import ZSH_AT_ONCE, complete_at_once

#: How each shell is begun without anyone's settings.
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
SETTINGS = {"bash": ".bashrc", "zsh": ".zshrc"}


class Shell:
    """A shell at the other end of a terminal."""

    def __init__(self, name: str, home: Path) -> None:
        environment = {
            "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8", "PS1": "$ ",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }  # fmt: skip
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(home)
            os.execvpe(SHELLS[name][0], SHELLS[name], environment)

    def type(self, keys: str, answer: str, seconds: float = 40) -> str:
        """Press keys and wait for an answer, a regular expression; what was shown until then."""
        os.write(self._terminal, keys.encode())
        text, deadline = "", time.monotonic() + seconds
        while not re.search(answer, text):
            assert time.monotonic() < deadline, f"no {answer!r} after {keys!r} but {text!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                text += os.read(self._terminal, 4096).decode(errors="replace")
        return text

    def close(self) -> None:
        """End the shell."""
        os.close(self._terminal)  # hangs up
        os.waitpid(self._pid, 0)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """A shell in which `liver-seg --install-completion` ran and whose settings were read anew."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (make setup-dev)")
    (tmp_path / "patient.nii.gz").touch()
    started = Shell(request.param, tmp_path)
    started.type("", r"\$ ")
    started.type("liver-seg --install-completion\n", r"completion installed in \S+")
    started.type(f"source ~/{SETTINGS[request.param]}; echo re''ady\n", "ready")
    yield started
    started.close()


def test_the_first_tab_completes_a_command_and_further_ones_options_values_and_files(shell: Shell) -> None:
    shell.type("liver-seg recon\t", "reconstruct ")
    shell.type("--tri\t", "--triangle-budget ")
    shell.type("\x15liver-seg segment --runtime open\t", "openvino ")
    shell.type("\x15liver-seg phantom --phase port\t", "portal_venous ")
    shell.type("\x15liver-seg segment pat\t", r"patient\.nii\.gz ")


def test_the_line_for_zsh_is_added_once_and_to_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "_liver-seg"
    complete_at_once(script)
    assert not script.exists()
    script.write_text("#compdef liver-seg\n")
    for _ in range(2):
        complete_at_once(script)
    assert script.read_text() == f"#compdef liver-seg\n\n{ZSH_AT_ONCE}\n"
