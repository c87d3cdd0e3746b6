# SPDX-License-Identifier: Apache-2.0
"""Vessel trees through files: number for number, as other programs see them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import pyvista
from hypothesis import given, settings
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.vessel_tree import read_vessel_tree, write_vessel_tree
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER_VESSELS, PORTAL_VEIN, VESSEL
from liver_seg_ros.reconstruction.vessels.branches import Forest, build_tree
from liver_seg_ros.vessel_tree import EMPTY_TREE, VesselTree


def fork() -> VesselTree:
    """A portal trunk with two branches, and a hepatic vein of one."""
    portal = np.array([[0, 0, 900], [10, 0, 900], [20, 0, 900], [28, 6, 900], [28, -6, 900.1]], float)
    hepatic = np.array([[0, 50, 950], [1 / 3, 40, 950]])
    return build_tree(
        [
            Forest(PORTAL_VEIN, portal, np.array([5, 4.9, 4.8, 3, 2.5]), np.array([-1, 0, 1, 2, 2])),
            Forest(HEPATIC_VEIN, hepatic, np.array([4.0, 3.7]), np.array([-1, 0])),
        ]
    )


@st.composite
def trees(draw: st.DrawFn) -> VesselTree:
    """Any forest: of each node the node before is one that came earlier, or none."""
    forests = []
    for structure in draw(st.lists(st.sampled_from(LIVER_VESSELS), unique=True, max_size=3)):
        count = draw(st.integers(2, 12))
        parent = np.array([draw(st.integers(-1, node - 1)) for node in range(count)])
        number = st.floats(-1e4, 1e4)
        points = np.array([[draw(number) for _ in range(3)] for _ in range(count)])
        radius = np.array([draw(st.floats(0.1, 20)) for _ in range(count)])
        forests.append(Forest(structure, points, radius, parent))
    return build_tree(forests)


def assert_same(tree: VesselTree, other: VesselTree) -> None:
    for name in ("points_mm", "radius_mm", "parent", "branch"):
        assert np.array_equal(getattr(tree, name), getattr(other, name)), name
        assert getattr(tree, name).dtype == getattr(other, name).dtype
    assert tree.branches == other.branches


@pytest.mark.parametrize("suffix", [".vtp", ".json"])
@settings(max_examples=40, deadline=None)
@given(tree=trees())
def test_any_tree_comes_back_number_for_number(tmp_path_factory, suffix, tree):
    path = tmp_path_factory.mktemp("tree") / f"tree{suffix}"
    write_vessel_tree(path, tree)
    assert_same(read_vessel_tree(path), tree)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".vtp", ".json"])
def test_no_vessels_come_back_as_none(tmp_path: Path, suffix: str) -> None:
    write_vessel_tree(tmp_path / f"tree{suffix}", EMPTY_TREE)
    assert_same(read_vessel_tree(tmp_path / f"tree{suffix}"), EMPTY_TREE)


def test_other_programs_see_lines_that_join_in_the_forks(tmp_path: Path) -> None:
    write_vessel_tree(tmp_path / "tree.vtp", fork())
    data = pyvista.read(tmp_path / "tree.vtp")
    assert list(data.field_data["SPACE"]) == ["LPS"]  # where 3D Slicer looks
    assert list(data.field_data["UNIT"]) == ["mm"]
    assert data.n_cells == 4
    assert np.allclose(data.compute_cell_sizes()["Length"], [20, 10, np.hypot(10, 0.1), 10], atol=0.01)
    assert data["structure"].tolist() == [4, 4, 4, 5]
    assert data["generation"].tolist() == [0, 1, 1, 0]
    assert data["parent"].tolist() == [-1, 0, 0, -1]
    assert data["tree"].tolist() == [0, 0, 0, 1]
    trunk, child = data.get_cell(0), data.get_cell(1)
    assert trunk.points[-1].tolist() == child.points[0].tolist() == [20, 0, 900]
    assert data["radius_mm"].max() == 5


def test_json_says_what_its_numbers_are(tmp_path: Path) -> None:
    write_vessel_tree(tmp_path / "tree.json", fork())
    document = json.loads((tmp_path / "tree.json").read_text())
    assert (document["frame"], document["unit"]) == ("LPS", "mm")
    assert document["points"][0] == [0, 0, 900]
    assert [branch["structure"] for branch in document["branches"]] == ["portal_vein"] * 3 + ["hepatic_vein"]
    assert document["branches"][0]["length_mm"] == 20


def damaged(**changes):
    def damage(text: str) -> str:
        return json.dumps({**json.loads(text), **changes})

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-30], "holds no vessel tree"),
        (lambda text: "[1, 2]", "holds no vessel tree"),
        (lambda text: '{"points": []}', "no 'format'"),
        (damaged(frame="RAS"), "frame 'RAS'"),
        (damaged(unit="m"), "unit 'm'"),
        (damaged(version=7), "version 7"),
        (damaged(radius=[1.0]), "have 1 radii"),
        (damaged(parent=[-1, 0, 1, 5, 2, -1, 5]), "parent does not come before"),
        (damaged(branch=[9] * 7), "name other branches"),
        (damaged(points=[[0, 0, None]] * 7), "not finite"),
        (damaged(points=[[0, 0]] * 7), "holds no vessel tree"),
        (damaged(branches=[{"number": 0}]), "holds no vessel tree"),
    ],
)
def test_a_json_that_is_no_tree_is_refused_in_one_line(tmp_path, damage, message):
    path = tmp_path / "tree.json"
    write_vessel_tree(path, fork())
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=message) as error:
        read_vessel_tree(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_vtp_that_is_no_tree_is_refused_in_one_line(tmp_path, capfd):
    path = tmp_path / "tree.vtp"
    write_vessel_tree(path, fork())
    whole = path.read_bytes()
    for content in (whole[:200], b"not xml", b"", whole.replace(b"SPACE", b"PLACE")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="holds no vessel tree") as error:
            read_vessel_tree(path)
        assert "\n" not in str(error.value)
    pyvista.Sphere().save(path)
    with pytest.raises(InputError, match="SPACE"):
        read_vessel_tree(path)
    assert capfd.readouterr() == ("", "")


def test_other_formats_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.vtp or \.json"):
        write_vessel_tree(tmp_path / "tree.ply", fork())
    with pytest.raises(InputError, match=r"\.vtp or \.json"):
        read_vessel_tree(tmp_path / "tree.ply")
    with pytest.raises(InputError, match="no such file"):
        read_vessel_tree(tmp_path / "tree.vtp")
    assert list(tmp_path.iterdir()) == []


def test_structures_keep_their_names(tmp_path: Path) -> None:
    straight = Forest(VESSEL, np.array([[0, 0, 0], [0, 0, 9.0]]), np.array([2.0, 2.0]), np.array([-1, 0]))
    write_vessel_tree(tmp_path / "tree.vtp", build_tree([straight]))
    assert read_vessel_tree(tmp_path / "tree.vtp").branches[0].structure == VESSEL
