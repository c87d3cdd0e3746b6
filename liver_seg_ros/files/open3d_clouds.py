# SPDX-License-Identifier: Apache-2.0
"""Clouds to and from Open3D, for whoever filters, registers or shows them there.

Open3D's tensor clouds (`open3d.t.geometry.PointCloud`) carry any attribute, its legacy ones only normals and colors: of
those the label is told by its color in the label table. Coordinates stay LPS millimetres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from liver_seg_ros.errors import InputError
from liver_seg_ros.labels import STRUCTURES, Structure
from liver_seg_ros.mesh import PointCloud

if TYPE_CHECKING:
    import open3d


def to_open3d(cloud: PointCloud) -> open3d.t.geometry.PointCloud:
    """A tensor cloud on the CPU: `positions`, `normals`, `colors` (0 to 1, of the label table), `label` (uint8).

    `.to_legacy()` of it gives the older kind, without labels.
    """
    import open3d

    made = open3d.t.geometry.PointCloud(_tensor(cloud.points_mm.reshape(-1, 3)))
    made.point.normals = _tensor(cloud.normals.reshape(-1, 3))
    made.point.colors = _tensor(_color_table()[cloud.labels])
    made.point.label = _tensor(cloud.labels[:, None])
    return made


def from_open3d(
    cloud: open3d.t.geometry.PointCloud | open3d.geometry.PointCloud, structure: Structure | None = None
) -> PointCloud:
    """The cloud in this package's own type.

    Args:
        cloud: LPS millimetres, with normals, of either kind.
        structure: what all points belong to, for a cloud that does not say so, such as a camera's. Where None, labels
            are taken from the attribute `label`, or else from colors that are the label table's.

    Raises:
        InputError: coordinates or normals that are not finite, no normals, no labels and no colors, or values and
            colors that the label table does not have.
    """
    points, normals, colors, labels = _attributes(cloud)
    if not np.isfinite(points).all():
        raise InputError("the cloud has points that are not finite; remove_non_finite_points() takes them out")
    if len(normals) != len(points):
        raise InputError("the cloud has no normals; estimate_normals() and orient them outward")
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not (np.isfinite(length) & (length > 1e-6)).all():
        raise InputError("the cloud has normals of no direction; estimate_normals() gives them anew")
    if structure is not None:
        labels = np.full(len(points), structure.value, np.uint8)
    elif labels is None:
        labels = _labels_of_colors(colors, len(points))
    unknown = set(np.unique(labels).tolist()) - {row.value for row in STRUCTURES}
    if unknown:
        raise InputError(f"the cloud has the labels {sorted(unknown)}, which the label table has not")
    return PointCloud(points.astype(np.float32), (normals / length).astype(np.float32), labels.astype(np.uint8))


def _attributes(
    cloud: open3d.t.geometry.PointCloud | open3d.geometry.PointCloud,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Points, normals, colors `(N, 3)` each or `(0, 3)`, and labels `(N,)` or None."""
    import open3d

    if isinstance(cloud, open3d.geometry.PointCloud):
        return np.asarray(cloud.points), np.asarray(cloud.normals), np.asarray(cloud.colors), None
    on_cpu = cloud.cpu().point

    def attribute(name: str) -> NDArray[Any]:
        return on_cpu[name].numpy() if name in on_cpu else np.empty((0, 3))

    colors = attribute("colors")
    if np.issubdtype(colors.dtype, np.integer):  # 0 to 255, as files have them
        colors = colors / 255
    return (
        attribute("positions"),
        attribute("normals"),
        colors,
        attribute("label").ravel() if "label" in on_cpu else None,
    )


def _labels_of_colors(colors: NDArray[Any], count: int) -> NDArray[np.uint8]:
    if len(colors) != count:
        raise InputError("the cloud says neither by labels nor by colors what its points belong to; name the structure")
    rows, place = np.unique(np.rint(colors[:, :3] * 255).astype(int), axis=0, return_inverse=True)
    value_of = {row.color_rgb: row.value for row in STRUCTURES}
    unknown = [row for row in map(tuple, rows.tolist()) if row not in value_of]
    if unknown:
        raise InputError(f"the cloud has the color {unknown[0]}, which the label table has not; name the structure")
    return np.array([value_of[row] for row in map(tuple, rows.tolist())], np.uint8)[place.reshape(-1)]


def _color_table() -> NDArray[np.float32]:
    """`(256, 3)` color of each label value, 0 to 1; white where the table has none."""
    table = np.ones((256, 3), np.float32)
    for structure in STRUCTURES:
        table[structure.value] = np.array(structure.color_rgb) / 255
    return table


def _tensor(array: NDArray[Any]) -> open3d.core.Tensor:
    """A copy that may be changed: a tensor shares memory with its array, and clouds here are not to change."""
    import open3d

    return open3d.core.Tensor.from_numpy(np.array(array))
