# SPDX-License-Identifier: Apache-2.0
"""`liver-seg doctor`: what keeps this machine from working well, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from liver_seg_ros.cli.options import Debug, Json, ModelsFolder, Quiet, Verbose

if TYPE_CHECKING:
    from liver_seg_ros.doctor.finding import Finding

#: Width of the first column.
LEVEL_WIDTH = 9

EXAMPLES = (
    "liver-seg doctor",
    "liver-seg doctor --models /opt/models --json",
)


def command(
    models: ModelsFolder = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Look at this machine: memory, disk, GPU, models, ROS 2; say what to do.

    Nothing is changed. Exit code 1 where something keeps the package from working; --quiet shows no more than what is
    not well.
    """
    from liver_seg_ros.cli.console import print_json
    from liver_seg_ros.doctor.finding import Level
    from liver_seg_ros.doctor.host import host_findings
    from liver_seg_ros.doctor.networks import network_findings
    from liver_seg_ros.doctor.ros import ros_findings

    findings = [*host_findings(), *network_findings(models), *ros_findings()]
    if as_json:
        print_json({"findings": [_plain(finding) for finding in findings]})
    else:
        _show([finding for finding in findings if not quiet or finding.level != Level.OK])
    if any(finding.level == Level.PROBLEM for finding in findings):
        raise typer.Exit(1)


def _plain(finding: Finding) -> dict[str, Any]:
    return {"name": finding.name, "level": finding.level.value, "found": finding.found, "advice": finding.advice}


def _show(findings: list[Finding]) -> None:
    from liver_seg_ros.cli.console import print_words
    from liver_seg_ros.cli.tables import Words

    for finding in findings:
        print_words(Words(f"{finding.level.value:{LEVEL_WIDTH}}{finding.name}: {finding.found}"))
        if finding.advice:
            print_words(Words(f"to do: {finding.advice}", indent=LEVEL_WIDTH))
