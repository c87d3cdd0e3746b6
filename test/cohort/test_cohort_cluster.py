# SPDX-License-Identifier: Apache-2.0
"""Work on Dask's processes: a core each, and a job that ends its process ends nothing else."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="distributed is not installed (extra [cohort])")

from liver_seg_ros.cohort.cluster import WorkerDiedError, begin_on_all, each_done, local_client, remote_client
from liver_seg_ros.errors import InputError


def test_a_job_that_ends_its_process_is_told_and_the_others_are_done(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from cohort_work import cores_or_death

    monkeypatch.setenv("MALLOC_TOP_PAD_", "4096")  # one that is there, others are not
    before = dict(os.environ)
    with local_client(1, None) as client:
        results = dict(each_done(client, cores_or_death, [(number,) for number in range(4)]))
    assert dict(os.environ) == before  # what workers are given, programs that are started later are not
    assert isinstance(results[0], WorkerDiedError)
    assert [results[number] for number in (1, 2, 3)] == [1, 1, 1]


def test_a_scheduler_that_does_not_answer_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr("liver_seg_ros.cohort.cluster._CONNECT_TIMEOUT_S", 0.2)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        remote_client("tcp://127.0.0.1:9"),
    ):
        pass


def test_a_worker_keeps_what_it_freed_unless_that_is_much_of_its_memory(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from cohort_work import pages_and_resident

    def done(*mega_bytes):
        return [result for _, result in each_done(client, pages_and_resident, [(count,) for count in mega_bytes])]

    with local_client(1, 1.0) as client:
        begin_on_all(client, pages_and_resident, 200)
        ((faults, before_mb, after_mb, stacks),) = done(200)
        assert faults < 200e6 / mmap.PAGESIZE / 10  # hardly any: they are those of whoever was first
        assert before_mb > 200 and after_mb > 200 and stacks == 0
        (_, _, after_mb, _), (_, next_mb, _, _) = done(600, 1)
        assert after_mb > 600 and next_mb < 500
