# SPDX-License-Identifier: Apache-2.0
"""What C code prints is shown after a success and dropped after a failure."""

from __future__ import annotations

import os

import pytest

from liver_seg_ros.files.quiet import quiet_on_failure


def test_shown_after_success(capfd) -> None:
    with quiet_on_failure():
        os.write(1, b"to stdout\n")
        os.write(2, b"to stderr\n")
        assert capfd.readouterr() == ("", "")
    assert capfd.readouterr() == ("to stdout\n", "to stderr\n")


def test_dropped_after_failure_and_the_terminal_works_again(capfd) -> None:
    with pytest.raises(RuntimeError), quiet_on_failure():
        os.write(2, b"libjpeg: noise\n")
        raise RuntimeError
    os.write(2, b"later\n")
    assert capfd.readouterr() == ("", "later\n")
