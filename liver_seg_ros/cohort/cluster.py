# SPDX-License-Identifier: Apache-2.0
"""Cases on Dask: worker processes of this machine, one core each, or those of a scheduler elsewhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from dask import config
from distributed import Client, LocalCluster, as_completed, fire_and_forget
from distributed.scheduler import KilledWorker

from liver_seg_ros.atomic import scratch_folder
from liver_seg_ros.cohort.local_worker import ENVIRONMENT, SETTINGS, OneCore
from liver_seg_ros.errors import InputError
from liver_seg_ros.inference.runtimes.cpu import usable_cores

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 10


class WorkerDiedError(RuntimeError):
    """The process that worked ended, more than once, most likely as it took too much memory."""


@contextmanager
def local_client(workers: int | None, memory_gb: float | None) -> Iterator[Client]:
    """Workers of this machine while the block runs.

    Args:
        workers: how many; as many as cores for None.
        memory_gb: of each; a worker that takes more is ended, and its case tried once more. A fair share of what there
            is for None.
    """
    count = usable_cores() if workers is None else workers
    settings = {
        # A case that ended a worker may have done so by its size: once more, and no third time.
        "distributed.scheduler.allowed-failures": 1,
        "distributed.worker.memory.spill": False,  # between cases nothing is held that could be put on disk
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.pause": False,
        "distributed.comm.timeouts.connect": _CONNECT_TIMEOUT_S,
        **SETTINGS,
    }
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with (
        _environment_as_before(),
        config.set(settings),
        scratch_folder() as scratch,
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit="auto" if memory_gb is None else int(memory_gb * 1e9),
            local_directory=str(scratch),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(OneCore(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else ()))
        yield client


@contextmanager
def _environment_as_before() -> Iterator[None]:
    """What Dask sets for its workers it sets in this process, and leaves there: later programs would inherit it."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """The workers of the scheduler at `address`, e.g. "tcp://10.0.0.5:8786"; they see the same files as we do.

    Raises:
        InputError: nothing answers there.
    """
    try:
        client = Client(address, timeout=_CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address}; start one with `dask scheduler`") from error
    with client:
        yield client


def begin_on_all(client: Client, function: Callable[..., object], *arguments: object) -> None:
    """Have each worker that there is call `function` before its first job; nobody hears what it raises."""
    for address in client.nthreads():
        fire_and_forget(client.submit(function, *arguments, workers=[address], pure=False))


def each_done(
    client: Client, function: Callable[..., T], jobs: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[int, T | WorkerDiedError]]:
    """`function` of each of `jobs`, as they end: the job's place, and what it gave.

    A job is taken from `jobs` when a worker is free for it.

    What a job raises is raised here. Where its worker ended, `function` is not asked again, and the result is a
    `WorkerDiedError` instead.
    """
    waiting = iter(enumerate(jobs))
    running = as_completed()
    places: dict[Any, int] = {}

    def begin(count: int) -> None:
        """No more at once than there are threads: what waits at a worker that ends would be taken for what ended it."""
        for place, job in islice(waiting, count):
            future = client.submit(function, *job, pure=False)
            places[future] = place
            running.add(future)

    begin(_threads(client))
    for future in running:
        error, place = future.exception(), places.pop(future)
        if error is None:
            result: Any = future.result()
        elif isinstance(error, KilledWorker):
            result = WorkerDiedError(
                "the process that worked on it ended twice: give workers more memory, or fewer of them"
            )
        else:
            raise error
        future.release()
        begin(_threads(client) - len(places))
        yield place, result


def _threads(client: Client) -> int:
    """Of all workers, which may come and go; one where there is none yet, so that the first job waits for it."""
    return max(1, sum(client.nthreads().values()))
