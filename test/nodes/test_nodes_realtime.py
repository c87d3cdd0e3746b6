# SPDX-License-Identifier: Apache-2.0
"""Who goes first where a process asks for real-time priority, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, subprocess, sys, threading
from liver_seg_ros.nodes.realtime import go_first

def policy(id):
    return os.sched_getscheduler(id) & ~os.SCHED_RESET_ON_FORK

if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
done = threading.Event()
before = threading.Thread(target=done.wait)
before.start()
granted = go_first(int(sys.argv[1]))
after = threading.Thread(target=done.wait)
after.start()
child = subprocess.Popen(["sleep", "60"])
told = [granted, *map(policy, (os.getpid(), before.native_id, after.native_id, child.pid))]
child.kill()
done.set()
print(json.dumps(told))
"""


def told(*arguments):
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def may_go_first():
    trial = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", trial], capture_output=True).returncode == 0


@pytest.mark.skipif(not hasattr(os, "SCHED_RESET_ON_FORK"), reason="threads have no priority of their own: not Linux")
def test_only_the_thread_that_answers_goes_first():
    ordinary = [os.SCHED_OTHER] * 3
    assert told(1) == ([True, os.SCHED_RR, *ordinary] if may_go_first() else [False, os.SCHED_OTHER, *ordinary])
    assert told(0) == [True, os.SCHED_OTHER, *ordinary]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not go first")
def test_what_the_system_does_not_grant_is_told():
    assert told(1, 65534) == [False] + 4 * [os.SCHED_OTHER]
