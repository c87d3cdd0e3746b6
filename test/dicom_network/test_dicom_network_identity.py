# SPDX-License-Identifier: Apache-2.0
"""User identity: who names no user with the right passcode gets no association, and no passcode is ever said."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.dicom_network.calling import Caller
from liver_seg_ros.dicom_network.identity import User, is_known, read_user, read_users
from liver_seg_ros.dicom_network.peers import Peer
from liver_seg_ros.dicom_network.send import send
from liver_seg_ros.errors import InputError

LOOPBACK = "127.0.0.1"


@pytest.fixture
def user_file(tmp_path: Path) -> Callable[[str], Path]:
    """A file with this text, for its owner alone."""

    def write(text: str) -> Path:
        path = tmp_path / "users"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


def test_only_users_with_their_passcode_may_send_and_no_log_holds_one(
    receiving: Callable,
    make_slices: Callable,
    save: Callable,
    dcmtk: Callable,
    tmp_path: Path,
    user_file: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    users = user_file("# who sends\nröntgen:open:sesame\n\nother:hidden\n")
    here = receiving(users=read_users(users, LOOPBACK, encrypts=False))
    files = sorted(save(tmp_path / "sent", make_slices(2)).iterdir())
    command = ("-aet", "SENDER", "-aec", "LIVERSEG", LOOPBACK, here.port, files[0])
    wrong = [(), ("-usr", "röntgen", "-pwd", "hidden"), ("-usr", "röntgen"), ("-usr", "nobody", "-pwd", "hidden")]
    for known in wrong:
        assert dcmtk("storescu", *known, *command).returncode != 0, known
    assert len([r for r in caplog.records if "names no user with the right passcode: refused" in r.getMessage()]) == 4
    right = ("-usr", "röntgen", "-pwd", "open:sesame", "-rsp")
    assert dcmtk("storescu", *right, *command).returncode == 0

    called = Peer("LIVERSEG", LOOPBACK, here.port)
    with pytest.raises(InputError, match=r"It has to know this AE title and this user\."):
        send(Caller(called, "SENDER", user=User("other", "sesame")), files)
    assert send(Caller(called, "SENDER", user=User("other", "hidden")), files) == 2
    assert len(list(here.complete().glob("*.dcm"))) == 2
    said = " ".join(record.getMessage() for record in caplog.records) + repr(User("other", "hidden"))
    assert not [secret for secret in ("sesame", "hidden", "röntgen") if secret in said]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no user; write a line NAME:PASSCODE"),
        ("one\n", "line 1: names no user; write NAME:PASSCODE"),
        ("one:x\n:x\n", "line 2: names no user"),
        ("one:x\none:y\n", "line 2: names a user of a line before"),
        ("one:x\ntwo:y\n", "names 2 users; who calls is one of them"),
        ("\ud800", "it is no UTF-8"),
    ],
)
def test_a_file_that_names_no_user_is_refused_in_one_line(
    user_file: Callable[[str], Path], text: str, says: str
) -> None:
    path = user_file("")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=says) as error:
        read_user(path, LOOPBACK, encrypts=False)
    assert "\n" not in str(error.value)


def test_passcodes_are_kept_from_others(user_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = user_file("one:x\n")
    for host in ("10.0.0.5", "0.0.0.0", "pacs.example"):
        with pytest.raises(InputError, match="passcodes would be readable between"):
            read_users(path, host, encrypts=False)
        assert read_users(path, host, encrypts=True) == [User("one", "x")]
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        read_users(path, "localhost", encrypts=False)
    with pytest.raises(InputError, match="No such file"):
        read_users(tmp_path / "none", LOOPBACK, encrypts=False)
    assert read_users(None, "10.0.0.5", encrypts=False) == []


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_a_user_is_known_by_its_own_passcode_alone(name: str, passcode: str, other: str) -> None:
    asked = User(name, passcode).item()
    assert is_known(asked, {name: passcode, name + "2": other})
    assert is_known(asked, {name: other}) == (other == passcode)
    assert not is_known(asked, {name + "2": passcode}) and not is_known(None, {name: passcode})
    asked.user_identity_type = 1  # a name alone
    assert not is_known(asked, {name: passcode})
