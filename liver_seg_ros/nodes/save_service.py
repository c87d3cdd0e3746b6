# SPDX-License-Identifier: Apache-2.0
"""The service `~/save_results` of a node that has results."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from liver_seg_interfaces.msg import RequestStatus
from liver_seg_interfaces.srv import SaveResults
from liver_seg_ros.nodes.answers import answering_elsewhere
from liver_seg_ros.nodes.stage_node import StageNode
from liver_seg_ros.nodes.work.saving import Saved, Where


def offer_saving(node: StageNode, save: Callable[[Where], Saved | None]) -> None:
    """Offer the service; `save` is called on a thread of its own, and gives None where there is no result yet."""

    def work(request: SaveResults.Request, response: SaveResults.Response) -> None:
        saved = save(Where(request.folder, request.overwrite))
        if saved is None:
            response.status.code, response.status.text = RequestStatus.NOT_READY, "there is no result yet"
            return
        response.volume_uid, response.files = saved.volume_uid, list(saved.files)
        node.get_logger().info(f"saved {len(saved.files)} files of volume {saved.volume_uid}")

    group = MutuallyExclusiveCallbackGroup()
    node.create_service(
        SaveResults, "~/save_results", answering_elsewhere(node, "save results", work), callback_group=group
    )
