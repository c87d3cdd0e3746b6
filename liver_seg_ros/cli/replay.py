# SPDX-License-Identifier: Apache-2.0
"""`liver-seg replay`: a bag onto its topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liver_seg_ros.cli.help import OUTPUT
from liver_seg_ros.cli.options import Debug, Json, Quiet, Verbose
from liver_seg_ros.cli.record import Topics

EXAMPLES = (
    "liver-seg replay case_7",
    "liver-seg replay case_7 --topics ct --keep",
    "liver-seg replay case_7 --rate 4 --loop --clock",
)


def command(
    bag: Annotated[Path, typer.Argument(metavar="BAG", help="Folder of a bag (rosbag2).")],
    topics: Topics = None,
    rate: Annotated[
        float, typer.Option(metavar="TIMES", help="How many times as fast.", min=0.01, rich_help_panel=OUTPUT)
    ] = 1.0,
    delay: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Before the first message.", min=0.0, rich_help_panel=OUTPUT),
    ] = 1.0,
    loop: Annotated[
        bool, typer.Option("--loop", help="Again and again, until Ctrl-C.", rich_help_panel=OUTPUT)
    ] = False,
    clock: Annotated[
        bool, typer.Option("--clock", help="Publish the bag's time on /clock.", rich_help_panel=OUTPUT)
    ] = False,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="At the end stay for late subscribers, until Ctrl-C.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Play a bag onto the topics of ROS 2.

    Each topic has the quality of service that it was recorded with: what was latched is latched again. Choose topics
    that nobody else publishes.
    """
    from liver_seg_ros.cli.ros_process import become_node

    options = {"--topics": topics, "--rate": rate, "--delay": delay}
    switches = {"--loop": loop, "--clock": clock, "--keep": keep}
    switches |= {"--json": as_json, "--quiet": quiet, "--verbose": verbose}
    become_node("bags.player", "replay", bag, options, switches)
