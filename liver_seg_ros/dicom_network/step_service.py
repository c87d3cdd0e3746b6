# SPDX-License-Identifier: Apache-2.0
"""The service to which modalities tell their procedure steps (MPPS: N-CREATE, N-SET)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event

from liver_seg_ros.dicom_network.caller import caller_of
from liver_seg_ros.dicom_network.performed_steps import IN_PROGRESS, PerformedSteps
from liver_seg_ros.dicom_network.services import PERFORMED_STEP
from liver_seg_ros.dicom_network.statuses import INVALID_VALUE, RESOURCE_LIMITATION, SUCCESS, RefusedError
from liver_seg_ros.errors import InputError
from liver_seg_ros.files.dicom_file import UNREADABLE

#: Of what is told of one step; 20 000 references of objects are some 4 MB.
MOST_BYTES = 16_000_000

_log = logging.getLogger(__name__)


class StepService:
    """See the module. Args: `steps` is told."""

    sop_class = PERFORMED_STEP

    def __init__(self, steps: PerformedSteps) -> None:
        self._steps = steps

    def handlers(self) -> list[tuple[Any, Callable[[Event], Any]]]:
        """What pynetdicom is to call."""
        return [(evt.EVT_N_CREATE, self._on_create), (evt.EVT_N_SET, self._on_set)]

    def _on_create(self, event: Event) -> tuple[Dataset | int, Dataset]:
        request: Any = event.request
        own = None if request.AffectedSOPInstanceUID else generate_uid()  # the modality may leave it to us

        def create() -> None:
            uid = own or str(request.AffectedSOPInstanceUID)
            self._steps.create(uid, _told(request.AttributeList, lambda: event.attribute_list))

        status = _answered(event, create)
        said = Dataset()
        if own is not None and status == SUCCESS:
            said.AffectedSOPInstanceUID = own
        return status, said

    def _on_set(self, event: Event) -> tuple[Dataset | int, Dataset]:
        request: Any = event.request
        uid = str(request.RequestedSOPInstanceUID)

        def change() -> None:
            step = self._steps.change(uid, _told(request.ModificationList, lambda: event.modification_list))
            if step.state != IN_PROGRESS:
                _log.info("procedure step %s: %s, %d series", uid, step.state, len(step.series))

        return _answered(event, change), Dataset()


def _told(sent: BytesIO | None, decode: Callable[[], Dataset]) -> Dataset:
    if sent is None:
        return Dataset()
    if len(sent.getbuffer()) > MOST_BYTES:
        raise RefusedError(RESOURCE_LIMITATION, "a procedure step of more bytes than are taken")
    return decode()


def _answered(event: Event, act: Callable[[], None]) -> Dataset | int:
    """What is answered once `act` was done, or why it was not."""
    try:
        act()
    except RefusedError as error:
        refused = error
    except (OSError, InputError):
        refused = RefusedError(RESOURCE_LIMITATION, "no room for a procedure step")
    except (*UNREADABLE, MemoryError) as error:
        refused = RefusedError(INVALID_VALUE, f"a procedure step that cannot be read ({type(error).__name__})")
    else:
        return SUCCESS
    _log.warning("%s: %s: answered 0x%04X", caller_of(event), refused.reason, refused.status)
    return refused.answer()
