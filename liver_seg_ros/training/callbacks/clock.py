# SPDX-License-Identifier: Apache-2.0
"""How long a training has run, and its end where all is done."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, Trainer

from liver_seg_ros.training.network_module import NetworkModule


class Clock(Callback):
    """Keeps `NetworkModule.seconds`, the first process's for all of them, and ends the training where it is done.

    Beside them this process's `cpu_seconds`.
    """

    def __init__(self) -> None:
        self._started = self._earlier = self._cpu_started = self._cpu_earlier = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: NetworkModule) -> None:  # type: ignore[override]
        self._started, self._earlier = time.monotonic(), pl_module.seconds
        self._cpu_started, self._cpu_earlier = time.process_time(), pl_module.cpu_seconds

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: NetworkModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        pl_module.seconds = trainer.strategy.broadcast(self._earlier + time.monotonic() - self._started)
        pl_module.cpu_seconds = self._cpu_earlier + time.process_time() - self._cpu_started
        if pl_module.done >= 1:
            trainer.should_stop = True
