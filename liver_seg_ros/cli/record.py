# SPDX-License-Identifier: Apache-2.0
"""`liver-seg record`: topics into a bag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import INPUT, OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Quiet, Verbose

EXAMPLES = (
    "liver-seg record -o case_7",
    "liver-seg record -o case_7 --topics ct,labels,/tf_static --duration 60",
)

Topics = Annotated[
    str | None,
    typer.Option(
        "--topics", metavar="NAMES", help="Which topics, commas between.", show_default="all", rich_help_panel=INPUT
    ),
]


def command(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="BAG", help="Folder for the bag; a new one.", rich_help_panel=OUTPUT),
    ],
    topics: Topics = None,
    duration: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="End after so long.", show_default="at Ctrl-C", min=0.0, rich_help_panel=INPUT
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Record topics of ROS 2 into a bag (rosbag2, MCAP).

    Latched topics are recorded with what they hold. `ros2 bag play`, Foxglove and `liver-seg replay` read the bag.
    """
    from liver_seg_ros.cli.ros_process import become_node

    options = {"--topics": topics, "--duration": duration}
    switches = {"--json": as_json, "--quiet": quiet, "--verbose": verbose}
    become_node("bags.recorder", "record", output, options, switches)
