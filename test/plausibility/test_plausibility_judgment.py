# SPDX-License-Identifier: Apache-2.0
"""Every reason to doubt a result, raised by labels that have it and by no others; the page that lists them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from liver_seg_ros.geometry import Geometry
from liver_seg_ros.labels import BILE_DUCT, LIVER, PORTAL_VEIN, TUMOR, VESSEL
from liver_seg_ros.measurement import CollisionMeshQuality, MeshQuality, PartMeasurement, StructureMeasurement
from liver_seg_ros.plausibility import findings
from liver_seg_ros.plausibility.evidence import PADDING_HU, Evidence, Run, gather
from liver_seg_ros.plausibility.judgment import PlausibilityWarning, plausibility_warnings
from liver_seg_ros.plausibility.rules import DOUBT, NOTE, RULES
from liver_seg_ros.reconstruction.measuring.structures import measure
from liver_seg_ros.volume import LabelVolume, Volume

DOCS = Path(__file__).resolve().parents[2] / "docs"
GRID = Geometry((60, 60, 60), (2.5, 2.5, 2.5))
SOUND = MeshQuality(100, True, True, True, 0)
OPEN = MeshQuality(100, False, False, True, 0)


def ball(radius: float, center: tuple[float, float, float] = (30, 30, 30)) -> NDArray[np.bool_]:
    """Voxels of GRID, `center` as (i, j, k)."""
    k, j, i = np.ogrid[:60, :60, :60]
    return (i - center[0]) ** 2 + (j - center[1]) ** 2 + (k - center[2]) ** 2 <= radius**2


def labels_of(*layers: tuple[int, NDArray[np.bool_]], grid: Geometry = GRID) -> LabelVolume:
    array = np.zeros(grid.shape, np.uint8)
    for value, mask in layers:
        array[mask] = value
    return LabelVolume(array, grid)


def usual(*more: tuple[int, NDArray[np.bool_]], grid: Geometry = GRID) -> LabelVolume:
    """A liver of 1.4 l with a lesion and a vessel in it."""
    layers = [(LIVER.value, ball(28)), (TUMOR.value, ball(5, (20, 30, 30))), (VESSEL.value, ball(4, (40, 30, 30)))]
    return labels_of(*layers, *more, grid=grid)


def ct_of(labels: LabelVolume, *hu: float, outside: float = 0) -> Volume:
    """Liver, tumor, vessel in these HU, with noise of a standard deviation of 15."""
    noise = np.random.default_rng(1).normal(0, 15, labels.array.shape)
    return Volume((np.array([outside, *hu])[labels.array] + noise).astype(np.int16), labels.geometry)


def judged(labels: LabelVolume, *more: object) -> dict[str, PlausibilityWarning]:
    found = plausibility_warnings(labels, measure(labels), *more)  # type: ignore[arg-type]
    assert len({warning.code for warning in found}) == len(found)
    return {warning.code: warning for warning in found}


def test_a_usual_liver_with_contrast_raises_nothing() -> None:
    labels = usual()
    assert judged(labels, ct_of(labels, 100, 60, 160), Run()) == {}
    assert judged(labels) == {}


@pytest.mark.parametrize(
    ("move", "side"),
    [((-10, 0, 0), "right"), ((10, 0, 0), "left"), ((0, -10, 0), "front"), ((0, 10, 0), "back"), ((0, 0, -10), "feet"),
     ((0, 0, 10), "head")],
)  # fmt: skip
def test_a_liver_cut_by_the_volume_is_said_with_side_and_area(move: tuple[int, int, int], side: str) -> None:
    center = tuple(30 + m for m in move)
    labels = labels_of((LIVER.value, ball(24, center)))
    warning = judged(labels)["liver_cut_by_edge"]
    # The outermost voxels' centers are 20 or 19 voxels from the middle of a ball of 24.
    distance = 20 if sum(move) < 0 else 19
    area_cm2 = np.pi * (24**2 - distance**2) * 2.5**2 / 100
    said = re.search(rf"towards: {side} \((\d+) cm²\)\.", warning.message)
    assert said and float(said[1]) == pytest.approx(area_cm2, rel=0.06)
    assert (warning.level, warning.structure, warning.lesions) == (DOUBT, "liver", ())


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_area_on_the_edge_is_that_of_the_faces_there_whichever_way_the_grid_runs(seed: int) -> None:
    """Counted voxel by voxel: the faces of the organ that open to nothing, or to what the scanner did not see."""
    random = np.random.default_rng(seed)
    size = random.integers(1, 5, 3)
    array = random.choice(np.array([0, 1, 2, 3], np.uint8), size[::-1])
    hu = random.choice([-3024, -1025, -1024, -1023, -1000, 60], array.shape)
    turn = Rotation.from_euler("xyz", 90 * random.integers(0, 4, 3), degrees=True).as_matrix().round()
    geometry = Geometry(tuple(size), tuple(random.uniform(0.5, 3, 3)), (0, 0, 0), turn)
    unseen = {
        tuple(voxel) for voxel in np.argwhere(np.pad(hu <= -1024, 1, constant_values=True)) - 1
    }  # with a layer around
    names = {(0, 1): "left", (0, -1): "right", (1, 1): "back", (1, -1): "front", (2, 1): "head", (2, -1): "feet"}
    for given_ct in (True, False):
        expected: dict[str, float] = {}
        for voxel in np.argwhere((array == 1) | (array == 2)):
            for axis in range(3):
                for step in (-1, 1):
                    other = voxel.copy()
                    other[2 - axis] += step
                    outside = ((other < 0) | (other >= array.shape)).any()
                    if outside or (given_ct and tuple(other) in unseen):
                        towards = step * turn[:, axis]
                        patient_axis = int(np.abs(towards).argmax())
                        side = names[patient_axis, int(towards[patient_axis])]
                        area = np.prod(geometry.spacing_mm) / geometry.spacing_mm[axis]
                        expected[side] = expected.get(side, 0.0) + area
        labels = LabelVolume(array, geometry)
        found = gather(labels, (), Volume(hu.astype(np.int16), geometry) if given_ct else None).liver_cut_mm2
        assert found == pytest.approx(expected)
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_a_few_voxels_on_the_edge_are_no_cut_and_a_square_centimetre_is() -> None:
    grid = Geometry((60, 60, 60), (1.0, 1.0, 1.0))
    touching = np.zeros(grid.shape, bool)
    touching[:30, 10:20, 10:20] = True
    assert judged(labels_of((LIVER.value, touching), grid=grid)).keys() == {"liver_cut_by_edge", "liver_small"}
    touching[0, 10, 10] = False
    assert judged(labels_of((LIVER.value, touching), grid=grid)).keys() == {"liver_small"}


def test_the_round_field_of_view_cuts_a_liver_too() -> None:
    labels = labels_of((LIVER.value, ball(27)))
    ct = ct_of(labels, 110, outside=20)
    assert judged(labels, ct) == {}
    hu = ct.array.copy()
    hu[:, :, 50:] = -3024
    labels = LabelVolume(np.where(hu == -3024, 0, labels.array).astype(np.uint8), GRID)
    said = re.search(r"towards: left \((\d+) cm²\)", judged(labels, Volume(hu, GRID))["liver_cut_by_edge"].message)
    assert said and float(said[1]) == pytest.approx(np.pi * (27**2 - 19**2) * 2.5**2 / 100, rel=0.05)
    assert PADDING_HU == -1024


@pytest.mark.parametrize(("voxels", "codes"), [
    (499, {"liver_small"}), (500, set()), (4000, set()), (4001, {"liver_large"}),
])  # fmt: skip
def test_a_liver_below_half_a_litre_or_above_four_is_doubted(voxels: int, codes: set[str]) -> None:
    """Voxels of a millilitre each."""
    array = np.zeros((20, 22, 24), np.uint8)
    inner = np.zeros(18 * 20 * 22, np.uint8)
    inner[:voxels] = LIVER.value
    array[1:-1, 1:-1, 1:-1] = inner.reshape(18, 20, 22)
    labels = LabelVolume(array, Geometry((24, 22, 20), (10.0, 10.0, 10.0)))
    found = judged(labels)
    assert found.keys() - {"thick_slices"} == codes
    for code in codes:
        assert f"{voxels} ml" in found[code].message and found[code].structure == "liver"


def lesions(*diameters_mm: float, cut: tuple[int, ...] = (), count: int | None = None) -> StructureMeasurement:
    parts = tuple(
        PartMeasurement(1.0, mm, (0.0, 0.0, 0.0), touches_border=number in cut)
        for number, mm in enumerate(diameters_mm, start=1)
    )
    return StructureMeasurement(TUMOR, float(len(parts)), max(diameters_mm), count or len(parts), parts=parts)


def of_measurements(*measured: StructureMeasurement) -> dict[str, PlausibilityWarning]:
    found = plausibility_warnings(labels_of(), measured)
    return {warning.code: warning for warning in found}


def test_lesions_at_the_edge_are_named() -> None:
    center = (30, 30, 4)
    labels = labels_of((LIVER.value, ball(5, center)), (TUMOR.value, ball(6, center)), (TUMOR.value, ball(2)))
    warning = judged(labels)["lesion_cut_by_edge"]
    assert warning.message.startswith("The border of the scan cuts lesion 1: more may lie beyond it. Do not plan")
    assert (warning.lesions, warning.structure) == ((1,), "tumor")
    several = of_measurements(lesions(*[9.0] * 8, cut=(2, 3, 4, 5, 6, 7, 8)))["lesion_cut_by_edge"]
    assert several.lesions == (2, 3, 4, 5, 6, 7, 8)
    assert "cuts lesions 2, 3, 4, 5, 6 and 2 more:" in several.message
    assert "lesions 1, 2, 3, 4, 5:" in of_measurements(lesions(*[9.0] * 5, cut=(1, 2, 3, 4, 5)))[
        "lesion_cut_by_edge"
    ].message  # fmt: skip


def test_many_huge_and_unmeasured_lesions() -> None:
    assert of_measurements(lesions(*[10.0] * 20)) == {}
    many = of_measurements(lesions(*[10.0] * 21))
    assert many.keys() == {"many_lesions"} and many["many_lesions"].message.startswith("21 lesions, more than 20. ")
    assert of_measurements(lesions(100.0)) == {}
    huge = of_measurements(lesions(130.4, 90.0, 100.1))["huge_lesion"]
    assert huge.lesions == (1, 3) and "up to 130 mm: lesions 1, 3." in huge.message
    unmeasured = of_measurements(lesions(10.0, 9.0, count=3))
    assert unmeasured.keys() == {"lesions_not_measured"} and unmeasured["lesions_not_measured"].level == NOTE
    assert "Of 3 lesions only the 2 largest" in unmeasured["lesions_not_measured"].message


def test_lesions_that_the_network_is_unsure_of_are_named() -> None:
    found = lesions(*[9.0] * 4)
    sure = (0.9, 0.499, None, 0.31)
    tumor = replace(found, parts=tuple(replace(p, confidence=c) for p, c in zip(found.parts, sure, strict=True)))
    measured = (StructureMeasurement(LIVER, 1500.0, 200.0, 1), tumor)
    [warning] = plausibility_warnings(labels_of(), measured, run=Run(least_lesion=0.5))
    assert (warning.code, warning.level, warning.lesions) == ("lesion_unsure", DOUBT, (2, 4))
    assert "not sure of lesions 2, 4: 0.31 where it should be 0.50 or more. Look" in warning.message
    for run in (Run(least_lesion=0.3), Run(), None):
        assert not plausibility_warnings(labels_of(), measured, run=run)


def test_a_liver_that_is_mostly_tumor_is_doubted() -> None:
    half = (StructureMeasurement(LIVER, 1000.0, 200.0, 1), StructureMeasurement(TUMOR, 500.0, 80.0, 1))
    more = (half[0], StructureMeasurement(TUMOR, 501.0, 80.0, 1))
    assert "mostly_tumor" not in of_measurements(*half)
    assert "501 ml of the 1000 ml" in of_measurements(*more)["mostly_tumor"].message
    assert "mostly_tumor" not in of_measurements(StructureMeasurement(TUMOR, 5.0, 80.0, 1))


def test_an_open_surface_is_named() -> None:
    tumor = StructureMeasurement(TUMOR, 5.0, 20.0, 1, (PartMeasurement(5.0, 20.0, (0.0, 0.0, 0.0)),), mesh=SOUND)
    portal = StructureMeasurement(PORTAL_VEIN, 5.0, 20.0, 1, mesh=OPEN)
    found = of_measurements(tumor, portal)
    assert found.keys() == {"surface_open"} and "not closed: portal vein." in found["surface_open"].message
    portal = replace(portal, mesh=SOUND, collision_mesh=CollisionMeshQuality(OPEN, 3.0, 2.0))
    assert "not closed: portal vein (collision mesh)." in of_measurements(tumor, portal)["surface_open"].message


def test_a_closed_surface_that_is_not_sound_is_named_with_what_is_wrong() -> None:
    crossed = replace(SOUND, self_intersections=3)
    tumor = StructureMeasurement(TUMOR, 5.0, 20.0, 1, (PartMeasurement(5.0, 20.0, (0.0, 0.0, 0.0)),), mesh=crossed)
    found = of_measurements(tumor)
    assert found.keys() == {"surface_unsound"} and found["surface_unsound"].level == DOUBT
    assert "tumor (mesh: 3 pairs of its 100 triangles go through each other)." in found["surface_unsound"].message
    tumor = replace(tumor, mesh=SOUND, collision_mesh=CollisionMeshQuality(replace(SOUND, outward=False), 3.0, 2.0))
    assert "tumor (collision mesh: a part of it is inside out)." in of_measurements(tumor)["surface_unsound"].message


def test_a_collision_mesh_beyond_its_margin_is_named_with_both_distances() -> None:
    within = StructureMeasurement(LIVER, 1500.0, 200.0, 1, mesh=SOUND, collision_mesh=CollisionMeshQuality(SOUND, 3, 3))
    assert of_measurements(within) == {}
    beyond = replace(within, collision_mesh=CollisionMeshQuality(SOUND, 3.0, 4.56))
    found = of_measurements(beyond)["collision_beyond_margin"]
    assert found.level == NOTE and "liver 4.6 mm instead of 3.0 mm." in found.message


@pytest.mark.parametrize(("spacing_mm", "thick"), [
    ((1.0, 1.0, 3.0), None), ((0.7, 0.7, 3.0000002), None), ((1.0, 1.0, 3.01), "3.01"), ((1.0, 5.0, 1.0), "5"),
])  # fmt: skip
def test_slices_above_three_millimetres(spacing_mm: tuple[float, float, float], thick: str | None) -> None:
    labels = LabelVolume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2), spacing_mm))
    found = judged(labels)
    assert found.keys() == ({"thick_slices"} if thick else set())
    if thick:
        assert f"Slices are {thick} mm apart" in found["thick_slices"].message
        assert found["thick_slices"].level == NOTE and found["thick_slices"].structure is None


@pytest.mark.parametrize(("hu", "doubted"), [
    ((100, 60, 160), False),  # portal venous
    ((60, 40, 130), False),  # a fatty liver
    ((55, 40, 45), True),  # no contrast medium
    ((60, 40, 80), True),  # arterial: the veins are hardly enhanced
    ((115, 60, 125), True),  # late: vessels have faded into the liver
])  # fmt: skip
def test_contrast_is_judged_by_the_vessels(hu: tuple[float, float, float], doubted: bool) -> None:
    labels = usual()
    found = judged(labels, ct_of(labels, *hu))
    assert found.keys() == ({"no_contrast"} if doubted else set())
    if doubted:
        liver_hu, vessel_hu = (int(n) for n in re.findall(r"(\d+) HU", found["no_contrast"].message)[::-1])
        assert (liver_hu, vessel_hu) == (pytest.approx(hu[0], abs=2), pytest.approx(hu[2], abs=2))


def test_contrast_is_judged_by_the_liver_where_no_vessel_is_labelled() -> None:
    labels = labels_of((LIVER.value, ball(27)), (BILE_DUCT.value, ball(4)))
    noise = np.random.default_rng(2).normal(0, 15, GRID.shape)
    for liver_hu, doubted in ((55, True), (78, True), (82, False), (110, False)):
        hu = np.where(labels.array == BILE_DUCT.value, 5, liver_hu) + noise
        found = judged(labels, Volume(hu.astype(np.int16), GRID))
        assert found.keys() == ({"no_contrast"} if doubted else set())
        assert not doubted or re.search(rf"The liver has ({liver_hu - 1}|{liver_hu}) HU", found["no_contrast"].message)


def test_medians_are_of_the_labelled_voxels_alone() -> None:
    labels = usual((PORTAL_VEIN.value, ball(3, (30, 30, 15))))
    hu = np.zeros(GRID.shape, np.int16)
    hu[labels.array == LIVER.value] = np.arange(np.count_nonzero(labels.array == LIVER.value)) % 201  # median 100
    hu[labels.array == VESSEL.value], hu[labels.array == PORTAL_VEIN.value] = 190, 210
    evidence = gather(labels, (), Volume(hu, GRID))
    assert evidence.liver_hu == pytest.approx(100, abs=1)
    assert evidence.vessel_hu == 190  # of both kinds together; VESSEL has more voxels
    for voxels, known in ((49, False), (50, True)):
        row = np.zeros(GRID.shape, bool)
        row[30, 30, :voxels] = True
        few = labels_of((LIVER.value, ball(27)), (VESSEL.value, row))
        assert (gather(few, (), Volume(hu, GRID)).vessel_hu is not None) is known
    with pytest.raises(ValueError, match="shape"):
        gather(labels, (), Volume(hu[:-1], Geometry((60, 60, 59))))


@pytest.mark.parametrize(("hu", "doubted"), [(-30, True), (-10, False), (240, False), (260, True), (-800, True)])
def test_what_no_liver_is_like_is_doubted(hu: float, doubted: bool) -> None:
    labels = usual()
    assert ("liver_hu" in judged(labels, ct_of(labels, hu, 60, 400))) is doubted


def test_the_edges_of_what_a_liver_is_like_are_like_it() -> None:
    def doubts(hu: float) -> bool:
        return findings.liver_hu(Evidence(GRID, (), {}, liver_hu=hu)) is not None

    assert [doubts(hu) for hu in (-20.5, -20, 250, 250.5)] == [True, False, False, True]


def test_any_liver_is_one_and_what_was_not_measured_is_nothing() -> None:
    def found(*measured: StructureMeasurement) -> bool:
        return findings.no_liver(Evidence(GRID, measured, {}, run=Run())) is None

    assert [found(), found(StructureMeasurement(LIVER, 0.0, 0.0, 0))] == [False, False]
    assert found(StructureMeasurement(LIVER, 0.25, 1.0, 1))
    nothing = Evidence(GRID, (), {}).measured(VESSEL)
    assert (nothing.structure, nothing.volume_ml, nothing.largest_diameter_mm, nothing.count) == (VESSEL, 0, 0, 0)


def test_a_median_of_few_voxels_is_exact() -> None:
    labels = usual()
    hu = np.zeros(GRID.shape, np.int16)
    liver = labels.array == LIVER.value
    hu[liver] = np.where(np.arange(np.count_nonzero(liver)) % 2, 30, 90)  # every second one alone is 30 or 90
    hu[np.argwhere(liver)[0][0], np.argwhere(liver)[0][1], np.argwhere(liver)[0][2]] = 60
    assert gather(labels, (), Volume(hu, GRID)).liver_hu == float(np.median(hu[liver]))


def test_what_networks_did_is_said_only_of_labels_that_networks_made() -> None:
    nothing = LabelVolume(np.zeros((50, 30, 40), np.uint8), Geometry((40, 30, 50), (2.0, 2.0, 2.0)))
    assert judged(nothing) == {}
    found = judged(nothing, None, Run(True, True, ("one", "other")))
    assert list(found) == [
        "no_liver",
        "whole_ct_searched",
        "liver_cut_by_search",
        "synthetic_training",
    ]  # doubts before notes
    assert [found[code].level for code in found] == [DOUBT, DOUBT, DOUBT, NOTE]
    assert found["no_liver"].message.startswith("No liver was found in 80 x 60 x 100 mm. Check that the abdomen is in")
    assert "on no patient: one, other." in found["synthetic_training"].message
    labels = usual()
    assert judged(labels, None, Run()) == {}


def test_where_no_liver_fits_that_is_said() -> None:
    """Of coronal slices, whose rows run from head to feet."""
    coronal = ((1, 0, 0), (0, 0, 1), (0, -1, 0))
    labels = LabelVolume(np.zeros((80, 45, 90), np.uint8), Geometry((90, 45, 80), (2.0, 2.2, 2.0), direction=coronal))
    said = judged(labels, None, Run())["no_liver"].message
    assert said.startswith(
        "No liver was found in 180 x 99 x 160 mm. A liver is more than 100 mm tall; this CT has 99 mm."
    )


def test_notes_come_after_doubts() -> None:
    labels = labels_of((LIVER.value, ball(5)), grid=Geometry((60, 60, 60), (2.5, 2.5, 4.0)))
    assert [w.code for w in judged(labels, None, Run(True, synthetic_models=("m",))).values()] == [
        "liver_small", "whole_ct_searched", "thick_slices", "synthetic_training",
    ]  # fmt: skip


def test_thresholds_are_what_is_promised() -> None:
    """Numbers, so that a changed one is seen; the page says why they are where they are."""
    promised = {
        "LEAST_HEIGHT_MM": 100,
        "EDGE_MM2": 100, "LEAST_LIVER_ML": 500, "MOST_LIVER_ML": 4000, "LEAST_LIVER_HU": -20, "MOST_LIVER_HU": 250,
        "ENHANCED_LIVER_HU": 80, "ENHANCED_VESSEL_HU": 100, "LEAST_CONTRAST_HU": 20, "MANY_LESIONS": 20,
        "HUGE_LESION_MM": 100, "MOST_TUMOR": 0.5, "THICK_SLICE_MM": 3,
    }  # fmt: skip
    numbers = {
        name: value for name, value in vars(findings).items() if isinstance(value, (int, float)) and name[0] != "_"
    }
    assert numbers == promised


def test_the_page_is_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (DOCS / "warnings.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(rule.code, " | ".join((rule.level, rule.when, rule.why, rule.advice))) for rule in RULES]
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_sentences_are_short_and_whole() -> None:
    for rule in RULES:
        assert re.fullmatch(r"[a-z_]+", rule.code) and rule.level in (DOUBT, NOTE)
        assert rule.advice[0].isupper() and rule.advice.endswith(".") and len(rule.advice) < 110
