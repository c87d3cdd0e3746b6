# SPDX-License-Identifier: Apache-2.0
"""How services answer: every request gets an end, with a status and one line, whatever happens."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from rclpy.node import Node
from rclpy.task import Future

from liver_seg_interfaces.msg import RequestStatus
from liver_seg_ros.errors import InputError
from liver_seg_ros.nodes.diagnostics import in_one_line
from liver_seg_ros.nodes.messages.text import shown
from liver_seg_ros.nodes.transform_buffer import TransformError


def answering(node: Node, work: Callable[[Any, Any], None]) -> Callable[[Any, Any], Any]:
    """A service's callback that has `work` fill the response; what it raises becomes the response's status."""

    def answered(request: Any, response: Any) -> Any:
        status = response.status
        try:
            work(request, response)
        except (InputError, TransformError) as error:
            status.code, status.text = RequestStatus.REFUSED, shown(str(error))
        except Exception as error:  # noqa: BLE001  a bug in one answer must not end the node
            node.get_logger().error(traceback.format_exc())
            status.code, status.text = RequestStatus.FAILED, shown(in_one_line(error))
        return response

    return answered


def answering_elsewhere(
    node: Node, name: str, work: Callable[[Any, Any], None]
) -> Callable[[Any, Any], Coroutine[Any, Any, Any]]:
    """As `answering`, but `work` is done on a thread called `name`, and the executor goes on with everything else.

    The service needs a callback group of its own: the others of its group wait for the answer.
    """
    answer = answering(node, work)

    async def answered(request: Any, response: Any) -> Any:
        done = Future(executor=node.executor)
        done.add_done_callback(lambda _: None)  # wakes the executor, which then looks at this answer again
        threading.Thread(target=lambda: done.set_result(answer(request, response)), name=name, daemon=True).start()
        return await done

    return answered
