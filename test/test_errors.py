# SPDX-License-Identifier: Apache-2.0
"""One exception for bad input, everywhere, and one style of message."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from liver_seg_ros.dicom_network.completeness import Patience
from liver_seg_ros.dicom_network.limits import ReceiveLimits
from liver_seg_ros.errors import InputError
from liver_seg_ros.geometry import Box, Geometry
from liver_seg_ros.inference.bundle import BundleSpec, InputSpec, Postprocessing
from liver_seg_ros.nodes.messages.slab import Slab
from liver_seg_ros.phantom.implants import ImplantOptions
from liver_seg_ros.phantom.phantom_options import PhantomOptions
from liver_seg_ros.planning.ablation_zone import AblationZone
from liver_seg_ros.planning.guard import GuardLimits, Needle
from liver_seg_ros.planning.limits import Limits
from liver_seg_ros.planning.trajectory_values import Trajectory
from liver_seg_ros.planning.transform import RigidTransform
from liver_seg_ros.reconstruction.pipeline import ReconstructionOptions
from liver_seg_ros.rendering.contact_sheet import contact_sheet
from liver_seg_ros.rendering.picture_plane import PicturePlane
from liver_seg_ros.report_table import ReportTable
from liver_seg_ros.training.recipe import AugmentationRecipe, DataRecipe, OptimizationRecipe, Recipe
from liver_seg_ros.training.sources.about import ABOUT
from liver_seg_ros.training.sources.pairs import CasePlace, Pairs
from liver_seg_ros.training.sources.subject import DataSet, Picture, Subject
from liver_seg_ros.volume import LabelVolume, Volume

PACKAGE = Path(__file__).resolve().parents[1] / "liver_seg_ros"
WINDOW = InputSpec((1.5, 1.5, 1.5), (-100.0, 300.0), (32, 32, 32), 0.25, 8)
GRID = Geometry((2, 2, 2))
ORIGIN, NAN = (0.0, 0.0, 0.0), float("nan")
DATA = DataRecipe((1.5, 1.5, 1.5), (-100.0, 300.0), None, {"none": 1.0}, (0, 1), (1, 2))
SUBJECT = Subject("p1", "p1", (), lambda: Picture(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), bool)))
OPTIMIZATION = OptimizationRecipe((32, 32, 32), 1, 1, 0.001)

#: Every public constructor that checks what it is given, with each kind of fault.
REFUSED: list[Callable[[], object]] = [
    lambda: Box((0, 0, 0), (1, 1, 0)),
    lambda: Box((0, 0), (1, 1)),  # type: ignore[arg-type]
    lambda: Box((0, 0, 0), (1, 1)),  # type: ignore[arg-type]
    lambda: Geometry((1, 1, 0)),
    lambda: Geometry((1, 1)),  # type: ignore[arg-type]
    lambda: Geometry((NAN, 1, 1)),  # type: ignore[arg-type]
    lambda: Geometry((1, 1, 1), spacing_mm=(1.0, 1.0, NAN)),
    lambda: Geometry((1, 1, 1), spacing_mm=(1.0, 1.0)),  # type: ignore[arg-type]
    lambda: Geometry((1, 1, 1), origin_mm=(0.0, 0.0, float("inf"))),
    lambda: Geometry((1, 1, 1), direction=np.zeros((3, 3))),  # type: ignore[arg-type]
    lambda: Geometry((1, 1, 1), direction=np.eye(2)),  # type: ignore[arg-type]
    lambda: GRID.crop(Box((0, 0, 0), (3, 1, 1))),
    lambda: Volume(np.zeros((2, 2, 2), np.float32), GRID),  # type: ignore[arg-type]
    lambda: Volume(np.zeros((2, 2, 3), np.int16), GRID),
    lambda: LabelVolume(np.zeros((2, 2, 2), np.int16), GRID),  # type: ignore[arg-type]
    lambda: LabelVolume(np.zeros((2, 2, 2), np.uint8), GRID.flip(0)),
    lambda: Trajectory((0.0, 0.0, NAN), ORIGIN),
    lambda: Trajectory(ORIGIN, (0.0, 0.0)),  # type: ignore[arg-type]
    lambda: Trajectory(ORIGIN, ORIGIN, radius_mm=-1),
    lambda: AblationZone((0.0, 0.0, NAN), (0.0, 0.0, 1.0), 1, 1),
    lambda: AblationZone((0.0, 0.0), (0.0, 0.0, 1.0), 1, 1),  # type: ignore[arg-type]
    lambda: AblationZone(ORIGIN, (0.0, 1.0), 1, 1),  # type: ignore[arg-type]
    lambda: AblationZone(ORIGIN, ORIGIN, 1, 1),
    lambda: AblationZone(ORIGIN, (0.0, 0.0, 1.0), 1, NAN),
    lambda: AblationZone(ORIGIN, (0.0, 0.0, 1.0), 0, 1),
    lambda: AblationZone.on_trajectory(ORIGIN, ORIGIN, 1, 1),
    lambda: AblationZone.on_trajectory((0, 0), ORIGIN, 1, 1),
    lambda: AblationZone.on_trajectory(ORIGIN, (0, 0, NAN), 1, 1),
    lambda: Needle(radius_mm=NAN),
    lambda: Needle(length_mm=0),
    lambda: Needle(axis=ORIGIN),
    lambda: Needle(axis=(0.0, 1.0)),  # type: ignore[arg-type]
    lambda: GuardLimits(warn_margin_mm=-1),
    lambda: GuardLimits(stop_deviation_mm=1, warn_deviation_mm=2),
    lambda: Patience(quiet_s=10, deadline_s=5),
    lambda: ReceiveLimits(associations=0),
    lambda: ReceiveLimits(object_mb=NAN),
    lambda: Limits(needle_radius_mm=-1),
    lambda: Limits(max_length_mm=0),
    lambda: Limits(max_entry_angle_deg=NAN),
    lambda: RigidTransform(np.eye(3)),
    lambda: RigidTransform(2 * np.eye(4)),
    lambda: RigidTransform(np.full((4, 4), NAN)),
    lambda: RigidTransform.of(np.eye(2), ORIGIN),
    lambda: RigidTransform.of(np.eye(3), (0, 0)),
    lambda: RigidTransform.of(np.eye(3), (0, 0, NAN)),
    lambda: ReconstructionOptions(triangle_budget=1),
    lambda: ReconstructionOptions(collision_margin_mm=-1),
    lambda: ReconstructionOptions(point_spacing_mm=NAN),
    lambda: PhantomOptions(size=(1, 1, 1)),
    lambda: PhantomOptions(phase="late"),
    lambda: ImplantOptions(tumor_count=51),
    lambda: ImplantOptions(phase="late"),
    lambda: PicturePlane((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.0, 4, 4),
    lambda: ReportTable("sizes", ("a", "b"), (("1",),)),
    lambda: ReportTable("sizes", ("a",), (("1",),), places_mm=(ORIGIN, ORIGIN)),
    lambda: Slab("1.2", 0, "16UC1", GRID, 0, 1, b""),
    lambda: Slab("1.2", 0, "8UC1", GRID, 1, 2, b""),
    lambda: contact_sheet([], [], "sheet.png"),
    lambda: contact_sheet([], ["one"], "sheet.png"),
    lambda: InputSpec((1.5, 1.5, 1.5), (-100.0, 300.0), (30, 32, 32), 0.25, 8),
    lambda: BundleSpec(
        "a", "1", "segment", WINDOW, {0: "background", 1: "liver"}, Postprocessing(), "", {}, "", "", classes=("liver",)
    ),
    lambda: DataRecipe((0.0, 1.0, 1.0), (-100.0, 300.0), None, {"none": 1.0}, (0, 1), (1, 2)),
    lambda: DataRecipe((1.5, 1.5, 1.5), (-100.0, 300.0), None, source="lits17"),
    lambda: AugmentationRecipe(flip=2),
    lambda: OptimizationRecipe((0, 32, 32), 1, 1, 0.001),
    lambda: Recipe("segment", {}, DATA, OPTIMIZATION),
    lambda: DataSet(ABOUT["lits17"], PACKAGE, (SUBJECT, SUBJECT)),
    lambda: CasePlace(split="half"),
    lambda: Pairs("", "CC0-1.0", "patients"),
]


@pytest.mark.parametrize("construct", REFUSED, ids=lambda construct: f"line {construct.__code__.co_firstlineno}")
def test_what_a_constructor_refuses_is_an_input_error(construct: Callable[[], object]) -> None:
    with pytest.raises(InputError) as refused:
        construct()
    assert str(refused.value) and "\n" not in str(refused.value)


def test_no_constructor_that_checks_is_left_out_of_the_table() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    checking = {
        node.name
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(part, ast.FunctionDef) and part.name == "__post_init__" for part in node.body)
    }
    assert len(checking) > 10
    assert not {name for name in checking if f"lambda: {name}(" not in here}


def test_only_private_parsers_raise_anything_else_for_a_value() -> None:
    """A `ValueError` is for a private function, or a `try`, whose caller makes an `InputError` of it."""
    elsewhere = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path, tree in modules()
        for function, node in raised(tree)
        if exception_of(node) in ("ValueError", "TypeError") and not function.startswith("_") and not caught(tree, node)
    ]
    assert elsewhere == []


def test_messages_of_one_sentence_have_no_period_and_others_one_after_each() -> None:
    wrong = []
    count = 0
    for path, tree in modules():
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for message in messages(tree):
            text = text_of(message, constants)
            sentences = len(re.findall(rf"([.?!]|^{VARIABLE}) (?=[A-Z])", text)) + 1  # some begin with another message
            count += 1
            if text.endswith(VARIABLE) and sentences == 1:
                continue  # a list, or what a library says
            if text.endswith(".") != (sentences > 1):
                wrong.append(f"{path.relative_to(PACKAGE)}:{message.lineno}: {text}")
    assert count > 350
    assert wrong == []


VARIABLE = "…"


@functools.cache
def modules() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(PACKAGE.rglob("*.py"))]


def raised(tree: ast.AST, function: str = "module") -> Iterator[tuple[str, ast.Raise]]:
    """Every `raise`, with the name of the innermost function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Raise):
            yield function, node
        yield from raised(node, node.name if isinstance(node, ast.FunctionDef) else function)


def exception_of(node: ast.Raise) -> str:
    raised_here = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return "" if raised_here is None else ast.unparse(raised_here)


def caught(tree: ast.Module, node: ast.Raise) -> bool:
    """Whether `node` stands in a `try` of its own function that catches `ValueError`."""
    return any(
        isinstance(attempt, ast.Try)
        and any(inside is node for part in attempt.body for inside in ast.walk(part))
        and any("ValueError" in ast.unparse(handler.type) for handler in attempt.handlers if handler.type)
        for attempt in ast.walk(tree)
    )


def messages(tree: ast.Module) -> Iterator[ast.expr]:
    """The messages of all `InputError`s that a module makes."""
    for node in ast.walk(tree):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)  # to unparse all calls takes seconds
        if named and node.func.id == "InputError" and node.args:
            yield node.args[0]


def text_of(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """A message with a placeholder for what is only known when it is given."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, constants) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, constants)
    if isinstance(node, ast.Name) and node.id in constants:
        return text_of(constants[node.id], {})
    return VARIABLE
