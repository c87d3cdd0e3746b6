# SPDX-License-Identifier: Apache-2.0
"""`liver-seg register`: where the patient of a CT is in a robot's frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liver_seg_ros.cli.help import INPUT
from liver_seg_ros.cli.options import Debug, Json, OutputFolder, Overwrite, Quiet, Verbose, Whose, numbers

if TYPE_CHECKING:
    from liver_seg_ros.mesh import Mesh

TRANSFORM, ROWS = NAMES = ("transform.json", "landmarks.csv")
COLUMNS = ("landmark", "ct_x_mm", "ct_y_mm", "ct_z_mm", "residual_mm")
#: Raised when a key of `transform.json` changes its meaning or goes away.
FORMAT = 1
#: Group of options in `--help`.
REFINING = "Refining"

EXAMPLES = (
    "liver-seg register --landmarks pairs.csv -o registration --target=-29,19,7",
    "liver-seg register --landmarks pairs.csv --points liver.csv --surface liver.ply -o registration",
    "liver-seg register --initial before/transform.json --points liver.csv --surface labels.nii.gz -o after",
)


def command(
    output: OutputFolder,
    landmarks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or JSON of landmarks: measured and in the CT.", rich_help_panel=INPUT),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Points measured on the liver, lines x,y,z in mm.", rich_help_panel=INPUT),
    ] = None,
    surface: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The liver in the CT: PLY, STL or OBJ in mm, or labels.", rich_help_panel=INPUT
        ),
    ] = None,
    whose: Whose = None,
    initial: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Instead of landmarks: an earlier transform.json.", rich_help_panel=INPUT),
    ] = None,
    target: Annotated[
        tuple | None,
        typer.Option(
            metavar="X,Y,Z", help="Where to estimate the error, LPS mm.", parser=numbers(3), rich_help_panel=INPUT
        ),
    ] = None,
    capture_mm: Annotated[
        float,
        typer.Option(metavar="MM", help="How far off the start may be, mm.", min=0.1, rich_help_panel=REFINING),
    ] = 10.0,
    reach_mm: Annotated[
        float,
        typer.Option(
            metavar="MM", help="Points further from the surface, mm, are not on it.", min=0.1, rich_help_panel=REFINING
        ),
    ] = 2.5,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Find where the patient of a CT is in a robot's frame.

    By landmarks found in both, or from an earlier transform; refined by points measured on the liver's surface. Writes
    transform.json (4x4, mm, from the frame measured in to the CT's LPS, with its inverse) and landmarks.csv. Where the
    surface cannot refine the start, the start is kept, a line says why, and the exit code is 1.
    """
    from liver_seg_ros.extras import need

    need("meshes", "register")
    from liver_seg_ros.cli.console import print_json, print_tables, print_written
    from liver_seg_ros.cli.progress_display import shown_progress
    from liver_seg_ros.cli.registration_tables import registration_tables
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.landmarks import read_landmarks, read_transform
    from liver_seg_ros.files.plans import read_points, write_rows, write_values
    from liver_seg_ros.outputs.folder import ResultFolder
    from liver_seg_ros.planning.patient_registration import register_patient
    from liver_seg_ros.planning.transform import RigidTransform
    from liver_seg_ros.progress import Stages
    from liver_seg_ros.report import versions

    inputs = {"landmarks": landmarks, "points": points, "surface": surface, "initial": initial}
    place = ResultFolder(output, "register", NAMES, inputs.values(), overwrite)
    if landmarks is None and initial is None:
        raise InputError("nothing to begin with: give --landmarks, or --initial with --points and --surface")
    if (points is None) != (surface is None):
        raise InputError("--points and --surface need each other: give both")
    if target is not None and landmarks is None:
        raise InputError("--target needs --landmarks: the error is estimated from theirs")
    with shown_progress(quiet, as_json) as progress:
        stages = Stages(progress)
        with stages.stage("read"):
            pairs = None if landmarks is None else read_landmarks(landmarks)
            begin = None if initial is None else RigidTransform(read_transform(initial))
            measured = None if points is None else read_points(points, "points", "as measured,")
            mesh = None if surface is None else _surface_of(surface, whose)
        with stages.stage("register"):
            found = register_patient(
                None if pairs is None else (pairs.measured_mm, pairs.ct_mm), measured, mesh, begin, capture_mm, reach_mm
            )
        targets = [] if target is None else [target]
        values = {
            "format": FORMAT,
            "input": {name: None if path is None else str(path) for name, path in inputs.items()},
            **found.to_dict(targets),
            "names": [] if pairs is None else list(pairs.names),
            "seconds": {stage: round(seconds, 3) for stage, seconds in stages.seconds.items()},
            "versions": versions(),
        }
        with place.filled() as folder:
            write_values(folder / TRANSFORM, values)
            if pairs is not None and found.landmarks is not None:
                residuals = found.landmarks.residual_mm.tolist()
                rows = zip(pairs.names, pairs.ct_mm.tolist(), residuals, strict=True)
                write_rows(folder / ROWS, COLUMNS, [[name, *at, round(mm, 3)] for name, at, mm in rows])
            written = sorted(path.name for path in folder.iterdir())
    source = next(path for path in inputs.values() if path is not None)
    if as_json:
        print_json(values)
    elif not quiet:
        print_tables(source, registration_tables(found, values["names"], targets))
        print_written(output, written)
    if found.message:
        typer.echo(f"liver-seg: {points}: the start is kept: {found.message}", err=True)
        raise typer.Exit(1)


def _surface_of(path: Path, whose: str | None) -> Mesh:
    """The liver's surface in a mesh file, or of labels."""
    from liver_seg_ros.cli.case import read_case
    from liver_seg_ros.errors import InputError
    from liver_seg_ros.files.surfaces import SUFFIXES, read_surface
    from liver_seg_ros.labels import LIVER
    from liver_seg_ros.reconstruction.masks import structure_mask
    from liver_seg_ros.reconstruction.meshes.interpolation import interpolated
    from liver_seg_ros.reconstruction.meshes.surfaces import extract_surface, surface_to_mesh

    if path.suffix.lower() in SUFFIXES:
        return read_surface(path)
    organ = structure_mask(read_case(path, whose=whose).labels, LIVER)
    if organ is None:
        raise InputError(f"{path}: has no liver to register to. Give labels with one, or a mesh.")
    shape = interpolated(organ)
    return surface_to_mesh(extract_surface(shape, counted=organ), shape)
