# SPDX-License-Identifier: Apache-2.0
"""The options of commands that score labels: where papers score the same thing in different ways."""

from __future__ import annotations

from typing import Annotated

import typer

SCORING = "Scoring"

LiverAlone = Annotated[
    bool,
    typer.Option(
        "--liver-alone",
        help="Score the label liver (papers 3 and 4), not the organ with what lies in it.",
        rich_help_panel=SCORING,
    ),
]
WithBackground = Annotated[
    bool,
    typer.Option("--with-background", help="Take the background into the mean IoU (paper 3).", rich_help_panel=SCORING),
]
ToleranceMm = Annotated[
    float,
    typer.Option(
        "--tolerance-mm", metavar="MM", min=0, help="Tolerance of the surface Dice, mm.", rich_help_panel=SCORING
    ),
]
