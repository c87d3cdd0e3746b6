# SPDX-License-Identifier: Apache-2.0
"""The options that several commands share, and how their values are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from liver_seg_ros.cli.help import INPUT, NETWORKS, OUTPUT
from liver_seg_ros.cli.logs import be_verbose
from liver_seg_ros.files.label_schemes import CHOICES, SCHEMES

Number = TypeVar("Number", int, float)


def _runtimes() -> list[str]:
    """What a shell offers behind `--runtime`."""
    from liver_seg_ros.inference.runtimes.choice import AUTO, RUNTIMES

    return [AUTO, *RUNTIMES]


def _precisions() -> list[str]:
    """What a shell offers behind `--precision`."""
    from liver_seg_ros.inference.bundle import PRECISIONS
    from liver_seg_ros.inference.runtimes.choice import AUTO

    return [AUTO, *PRECISIONS]


CtArgument = Annotated[Path, typer.Argument(metavar="CT", help="NIfTI, NRRD or MetaImage file, or a folder of DICOM.")]
Labels = Annotated[
    Path,
    typer.Argument(metavar="LABELS", help="NIfTI, NRRD or MetaImage file, DICOM SEG with its CT, or folder of masks."),
]
Whose = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="TOOL",
        help=f"Which tool made the labels: {CHOICES}.",
        show_default="what the file says, or ours",
        autocompletion=lambda: list(SCHEMES),
        rich_help_panel=INPUT,
    ),
]
Ct = Annotated[
    Path | None,
    typer.Option("--ct", metavar="CT", help="The CT of the labels: a file or DICOM folder.", rich_help_panel=INPUT),
]
SeriesUid = Annotated[
    str | None,
    typer.Option("--series", metavar="UID", help="DICOM series, where a folder holds several.", rich_help_panel=INPUT),
]
Acquisition = Annotated[
    str | None,
    typer.Option(
        "--acquisition",
        metavar="NAME",
        help="Acquisition or phase, where one series holds several.",
        rich_help_panel=INPUT,
    ),
]

ModelsFolder = Annotated[
    Path | None,
    typer.Option(
        "--models",
        metavar="DIR",
        help="Folder of model bundles.",
        show_default="LIVER_SEG_MODELS, or those shipped",
        rich_help_panel=NETWORKS,
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="What runs them: tensorrt, openvino or onnxruntime.",
        autocompletion=_runtimes,
        rich_help_panel=NETWORKS,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="Their number format: fp32, fp16 or int8.",
        autocompletion=_precisions,
        rich_help_panel=NETWORKS,
    ),
]

OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Folder for the results; made where missing.", rich_help_panel=OUTPUT
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace files that this command did not write.", rich_help_panel=OUTPUT),
]
Png = Annotated[
    bool, typer.Option("--png", help="Also draw scene.png and, with --ct, overlay.png.", rich_help_panel=OUTPUT)
]
Html = Annotated[
    bool, typer.Option("--html", help="Also write report.html: one page for a browser.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, nothing printed that is in a file; warnings stay.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also say what was chosen and why.", callback=be_verbose)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def triple(convert: Callable[[str], Number]) -> Callable[[str], tuple[Number, Number, Number]]:
    """A parser of three positive numbers with commas between, in file order I,J,K."""

    def parse(text: str) -> tuple[Number, Number, Number]:
        try:
            i, j, k = (convert(part) for part in text.split(","))
        except ValueError:
            raise typer.BadParameter(f"'{text}' is not three numbers I,J,K") from None
        if not all(0 < value < math.inf for value in (i, j, k)):  # NaN is neither
            raise typer.BadParameter(f"'{text}' must be three positive numbers I,J,K")
        return i, j, k

    return parse


def whole_numbers(text: str) -> tuple[int, ...]:
    """A parser of any number of whole numbers from 0 upward with commas between."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"'{text}' is not whole numbers with commas between")
    return tuple(map(int, parts))


def numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """A parser of `count` finite numbers with commas between."""

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count or not all(map(math.isfinite, values)):
            raise typer.BadParameter(f"'{text}' is not {count} numbers with commas between")
        return values

    return parse
