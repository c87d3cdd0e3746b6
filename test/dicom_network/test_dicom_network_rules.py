# SPDX-License-Identifier: Apache-2.0
"""When a series is complete, who a peer is, and which commands are run for a series."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.dicom_network.arrived import Arrived, is_uid
from liver_seg_ros.dicom_network.completeness import Patience, SeriesState, Verdict
from liver_seg_ros.dicom_network.delivery import Delivery
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.dicom_network.peers import AllowedPeer, Peer, parse_allowed, parse_peer
from liver_seg_ros.dicom_network.spool import Spool
from liver_seg_ros.errors import InputError

PATIENCE = Patience(quiet_s=10, settled_s=1, deadline_s=100)


def after(*objects: Arrived, from_modality: int | None = None, from_pacs: int | None = None) -> SeriesState:
    state = SeriesState("1.2", "1.2.3", from_modality=from_modality, from_pacs=from_pacs)
    for arrived in objects:
        state = state.with_object(arrived, 0.0)
    return state


def arrived(acquisition: str = "1", announced: int | None = None, total: int | None = None) -> Arrived:
    return Arrived("1.2", "1.2.3", "1.2.3.4", acquisition, announced, total)


@pytest.mark.parametrize(
    ("state", "wait_s", "complete_s", "overdue_s"),
    [
        (after(arrived()), 9.9, 10, None),  # nothing tells how many
        (after(arrived(), arrived(), from_pacs=2), None, 0, None),  # the PACS does: at once
        (after(arrived(), from_pacs=2), 99, None, 100),
        (after(arrived(announced=2), arrived(announced=2)), 0.9, 1, None),  # the objects do
        (after(arrived(announced=2)), 99, None, 100),
        (after(arrived("1", 1), arrived("2", 2)), 99, None, 100),  # two acquisitions, the second has one more
        (after(arrived("1", 1), arrived("2")), 9.9, 10, None),  # one of them does not say
        (after(arrived(total=2), arrived()), 0.9, 1, None),
        (after(arrived(announced=1, total=None), from_pacs=3), 99, None, 100),  # the PACS knows better
        (after(arrived(), from_modality=2, from_pacs=1), 99, None, 100),  # the modality knows best
        (after(arrived(), arrived(), from_modality=2, from_pacs=9), None, 0, None),
    ],
)
def test_when_a_series_is_complete(
    state: SeriesState, wait_s: float | None, complete_s: float | None, overdue_s: float | None
) -> None:
    for seconds, verdict in (
        (wait_s, Verdict.WAIT), (complete_s, Verdict.COMPLETE), (overdue_s, Verdict.OVERDUE),
    ):  # fmt: skip
        if seconds is not None:
            assert state.judge(seconds, PATIENCE) is verdict


def test_patience_and_limits_are_checked() -> None:
    with pytest.raises(InputError, match="the deadline is the longest"):
        Patience(quiet_s=10, deadline_s=5)
    with pytest.raises(InputError, match="limit associations is 0"):
        ReceiveLimits(associations=0)


@settings(max_examples=30)
@given(st.text("0123456789./\\x ", max_size=70))
def test_a_uid_is_fit_for_a_file_name(text: str) -> None:
    assert not is_uid(text) or set(text) <= set("0123456789.")


@pytest.mark.parametrize("uid", ["", ".", "..", "1..2", "1.02", "1.2/3", "1.2\n", "\u0661.1", "1." + "2" * 64, "12"])
def test_what_is_no_uid(uid: str) -> None:
    assert not is_uid(uid)
    assert is_uid("1.2.840.10008.0")


def test_how_peers_are_written() -> None:
    assert parse_peer("PACS 1@[::1]:104") == Peer("PACS 1", "::1", 104)
    assert parse_peer("P@host.example:11112") == Peer("P", "host.example", 11112)
    assert parse_allowed("A") == AllowedPeer("A") and parse_allowed("A@10.0.0.1") == AllowedPeer("A", "10.0.0.1")
    for text in ("", "A", "A@h", "A@h:0", "A@h:70000", "A@:1", "@h:1", "A" * 17 + "@h:1", " A@h:1", "A@h:x", "A@h o:1"):
        with pytest.raises(InputError):
            parse_peer(text)


def test_a_command_is_run_for_each_series_until_it_has_ended_and_anew_for_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ReceiveLimits(keep_free_mb=0))
    noted = tmp_path / "noted with blanks"
    program = f"{sys.executable} -c 'import sys; open(sys.argv[1], \"a\").write(sys.argv[2])' '{noted}' "
    folder = spool.complete / "1.2.3"
    folder.mkdir()
    (folder / "1.dcm").touch()
    Delivery(spool, program + "{series},").wait()  # complete before the process began
    Delivery(spool, program + "{series},").wait()  # and handed on by now
    assert noted.read_text() == "1.2.3,"
    (folder / "2.dcm").touch()
    delivery = Delivery(spool, program + "'{folder}; rm -rf /',")  # no shell reads it
    delivery(folder.with_name("gone"))
    delivery.wait()
    assert noted.read_text() == f"1.2.3,{folder}; rm -rf /,"
    assert list(spool.not_handed()) == []
    for command in ("", "'open"):
        with pytest.raises(InputError, match="command"):
            Delivery(spool, command)
    Delivery(spool, "no-such-program").wait()
