# SPDX-License-Identifier: Apache-2.0
"""How far TensorRT's builder is, as one fraction, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from liver_seg_ros.progress import Cancelled, Progress, raise_if_cancelled


class Phases:
    """TensorRT's phases, each of some steps, and inside a step perhaps further phases. Not safe from several threads.

    Attributes:
        fraction: how much of the outermost phase is done; it never falls.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self._steps: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._inner: dict[str | None, str] = {}  # the phase begun last inside a phase; None is outside of all

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._steps[name], self._done[name] = max(1, steps), 0
        self._inner[parent] = name

    def step(self, name: str, step: int) -> None:
        self._done[name] = step + 1
        self._inner.pop(name, None)  # what was begun inside this step has ended with it
        self._update()

    def finish(self, name: str) -> None:
        self._done[name] = self._steps.get(name, 1)
        self._inner.pop(name, None)
        self._update()

    def _update(self) -> None:
        outermost = self._inner.get(None)
        if outermost is not None:
            self.fraction = max(self.fraction, self._fraction_of(outermost))

    def _fraction_of(self, name: str) -> float:
        inner = self._inner.get(name)
        within_step = self._fraction_of(inner) if inner is not None else 0.0
        return min(1.0, (self._done.get(name, 0) + within_step) / self._steps.get(name, 1))


def build_monitor(trt: Any, stage: str, progress: Progress, cancelled: Cancelled) -> Any:
    """An `IProgressMonitor` that calls `progress(stage, fraction)` and stops the builder where `cancelled()` is true.

    TensorRT calls it from threads of its own, also from several at a time. Its attribute `stopped_by` is why it stopped
    the builder: a `CancelledError`, what `progress` raised, or the KeyboardInterrupt that waited for the next Python
    code; TensorRT itself would not survive an exception.
    """

    class Monitor(trt.IProgressMonitor):  # a class only once the library is loaded
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped_by: BaseException | None = None
            self._lock = threading.Lock()
            self._phases = Phases()

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._guarded(lambda: self._phases.start(name, parent, steps))

        def step_complete(self, name: str, step: int) -> bool:
            self._guarded(lambda: self._step(name, step))
            return self.stopped_by is None

        def phase_finish(self, name: str) -> None:
            self._guarded(lambda: self._phases.finish(name))

        def _step(self, name: str, step: int) -> None:
            self._phases.step(name, step)
            progress(stage, self._phases.fraction)
            raise_if_cancelled(cancelled, stage)

        def _guarded(self, action: Callable[[], None]) -> None:
            try:
                with self._lock:
                    action()
            except BaseException as error:  # noqa: BLE001  raised again by who called the builder
                self.stopped_by = self.stopped_by or error

    return Monitor()
