# SPDX-License-Identifier: Apache-2.0
"""Warnings of the rooms below reach the node that they work for, in a process of several, and no other."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator

import pytest

from liver_seg_ros.nodes import library_warnings


class Listener:
    """A node as far as warnings go."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bool]] = []

    def say_library_warning(self, text: str, own: bool) -> None:
        self.heard.append((text, own))


@pytest.fixture
def two() -> Iterator[tuple[Listener, Listener]]:
    listeners = Listener(), Listener()
    for listener in listeners:
        library_warnings.add(listener)
    yield listeners
    for listener in listeners:
        library_warnings.remove(listener)


OURS = logging.getLogger("liver_seg_ros.reconstruction.pipeline")


def test_each_thread_speaks_for_its_node(two: tuple[Listener, Listener]) -> None:
    barrier = threading.Barrier(2, timeout=10)

    def work(listener: Listener, name: str) -> None:
        with library_warnings.on_behalf_of(listener):
            barrier.wait()
            OURS.warning("mesh of %s:\n  open", name)
            OURS.info("nobody asked")
            barrier.wait()

    threads = [threading.Thread(target=work, args=(two[n], name)) for n, name in enumerate(("liver", "tumor"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [listener.heard for listener in two] == [[("mesh of liver: open", True)], [("mesh of tumor: open", True)]]


def test_what_nobody_works_on_is_told_to_all_and_ends_with_the_block(two: tuple[Listener, Listener]) -> None:
    one, other = two
    with library_warnings.on_behalf_of(one):
        with library_warnings.on_behalf_of(other):
            OURS.warning("inner")
        OURS.error("outer")
    OURS.warning("all")
    assert one.heard == [("outer", True), ("all", True)] and other.heard == [("inner", True), ("all", True)]


def test_python_and_other_libraries_are_told_apart(two: tuple[Listener, Listener]) -> None:
    with library_warnings.on_behalf_of(two[0]), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = library_warnings._log_warning  # pytest has put its own there
        warnings.warn("a reader doubts", UserWarning, stacklevel=1)
        logging.getLogger("nibabel").warning("something of its own")
        logging.getLogger("liver_seg_rosy").warning("a neighbor")
    assert two[0].heard == [("a reader doubts", True), ("something of its own", False), ("a neighbor", False)]


def test_a_node_that_is_gone_hears_nothing_and_one_that_fails_ends_nothing(
    two: tuple[Listener, Listener], capsys: pytest.CaptureFixture[str]
) -> None:
    library_warnings.remove(two[0])
    OURS.warning("for the other")
    assert two[0].heard == [] and two[1].heard == [("for the other", True)]
    two[1].heard = None  # type: ignore[assignment]
    OURS.warning("goes on")
    assert "AttributeError" in capsys.readouterr().err
    library_warnings.remove(two[1])
    assert library_warnings._handler not in logging.getLogger().handlers


def test_python_shows_warnings_as_before_once_all_nodes_are_gone() -> None:
    before, listener = warnings.showwarning, Listener()
    library_warnings.add(listener)
    assert warnings.showwarning is library_warnings._log_warning
    library_warnings.remove(listener)
    assert warnings.showwarning is before
