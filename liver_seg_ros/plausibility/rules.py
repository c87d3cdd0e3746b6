# SPDX-License-Identifier: Apache-2.0
"""The table of reasons to doubt a result. `docs/warnings.md` is the same for people; a test compares the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from liver_seg_ros.plausibility import findings
from liver_seg_ros.plausibility.evidence import PADDING_HU, Evidence
from liver_seg_ros.plausibility.findings import Finding

#: The result may be wrong: look at it before anything rests on it.
DOUBT = "doubt"
#: The result holds, with this limit.
NOTE = "note"


@dataclass(frozen=True)
class Rule:
    """One reason to doubt.

    Attributes:
        code: stable, for programs.
        level: `DOUBT` or `NOTE`.
        when: what raises it, with its threshold.
        why: what is wrong then, and why the threshold is where it is.
        advice: what to do.
        find: the finding in the evidence; None where there is none.
    """

    code: str
    level: str
    when: str
    why: str
    advice: str
    find: Callable[[Evidence], Finding | None]


#: The gravest first.
RULES: tuple[Rule, ...] = (
    Rule(
        "no_liver",
        DOUBT,
        "the networks found no liver",
        "a liver that lies on its side, has wrong HU or is hardly in view is not found either; below "
        f"{findings.LEAST_HEIGHT_MM:.0f} mm from head to feet a CT holds only a part of one",
        "Check that the abdomen is in view, and orientation and HU (liver-seg info), or try other models.",
        findings.no_liver,
    ),
    Rule(
        "liver_hu",
        DOUBT,
        f"the median of the liver's tissue is below {findings.LEAST_LIVER_HU:.0f} or above "
        f"{findings.MOST_LIVER_HU:.0f} HU",
        "a fatty liver has 0 HU and an enhanced one 150: these are not the labels of this CT, or it is not in HU",
        "Check that labels and CT belong together and that the CT is in HU.",
        findings.liver_hu,
    ),
    Rule(
        "liver_cut_by_edge",
        DOUBT,
        f"{findings.EDGE_MM2 / 100:.0f} cm² or more of the liver lie on the edge of the scan, or beside {PADDING_HU} "
        "HU and less, where the scanner saw nothing",
        "what is cut off is in no volume; behind less than that lie some voxels at most",
        "Its volume and trajectories through the cut are not to be relied on: use a CT of the whole liver.",
        findings.liver_cut,
    ),
    Rule(
        "liver_small",
        DOUBT,
        f"the liver has less than {findings.LEAST_LIVER_ML:.0f} ml",
        "livers of adults have 1000 to 2000 ml, small remnants 500: often a part of it was not found",
        "Look at the labels over the CT for what is missing.",
        findings.liver_small,
    ),
    Rule(
        "liver_large",
        DOUBT,
        f"the liver has more than {findings.MOST_LIVER_ML:.0f} ml",
        "twice the largest usual liver; polycystic ones are larger, but more often another organ or noise is labelled",
        "Look at the labels over the CT for what is not liver.",
        findings.liver_large,
    ),
    Rule(
        "mostly_tumor",
        DOUBT,
        f"more than {findings.MOST_TUMOR:.0%} of the liver is tumor",
        "few livers work with so much tumor: more often tissue of another brightness is labelled",
        "Look at the labels over the CT before planning on them.",
        findings.mostly_tumor,
    ),
    Rule(
        "huge_lesion",
        DOUBT,
        f"a lesion is more than {findings.HUGE_LESION_MM:.0f} mm across",
        "surgeons call these huge; they are rarer than two lesions that run together, or a stomach taken for one",
        "Look at it over the CT, and whether it is one lesion.",
        findings.huge_lesion,
    ),
    Rule(
        "many_lesions",
        DOUBT,
        f"more than {findings.MANY_LESIONS} lesions",
        "so many are rare; networks make specks of noise and of vessels",
        "Look at them over the CT, the small ones first.",
        findings.many_lesions,
    ),
    Rule(
        "lesion_unsure",
        DOUBT,
        "the mean probability in a lesion is below the model's threshold (`calibration` in its `model.yaml`)",
        "found on synthetic CT such that a scan keeps one false lesion at most above it; it says nothing of what the "
        "network missed",
        "Look at it over the CT before it counts.",
        findings.lesion_unsure,
    ),
    Rule(
        "lesion_cut_by_edge",
        DOUBT,
        "a lesion reaches the edge of the scan",
        "its size and its distances are those of the part that is seen",
        "Do not plan for it on this CT.",
        findings.lesion_cut,
    ),
    Rule(
        "no_contrast",
        DOUBT,
        f"the median of the vessels is below {findings.ENHANCED_VESSEL_HU:.0f} HU or less than "
        f"{findings.LEAST_CONTRAST_HU:.0f} HU above the liver's; without vessels, the liver's is below "
        f"{findings.ENHANCED_LIVER_HU:.0f} HU",
        "blood without contrast medium has 30 to 60 HU, in the portal-venous phase 120 to 180, the liver 40 to 65 and "
        "90 to 120: without it vessels and most tumors cannot be told from the liver",
        "Use the portal-venous phase; do not rely on vessels and tumors of this CT.",
        findings.no_contrast,
    ),
    Rule(
        "whole_ct_searched",
        DOUBT,
        "the localizer was unsure, so the fine network searched the whole CT",
        "the localizer is sure of nearly every liver that is like those it was trained on",
        "Look whether what was found is the liver.",
        findings.whole_ct_searched,
    ),
    Rule(
        "liver_cut_by_search",
        DOUBT,
        "the liver still ends at the edge of the part of the CT in which the networks looked",
        "the localizer missed a part of it, or another organ is taken for liver there",
        "Look where it ends over the CT.",
        findings.liver_cut_by_search,
    ),
    Rule(
        "surface_open",
        DOUBT,
        "the surface of a structure is not closed",
        "inside and outside are not defined there, and clearances may be wrong",
        "Use its collision mesh, or a larger triangle budget.",
        findings.surface_open,
    ),
    Rule(
        "surface_unsound",
        DOUBT,
        "a closed surface goes through itself, meets itself in single points, or a part of it is inside out",
        "volumes and collisions are not to be relied on there",
        "Use a larger triangle budget, or smooth the labels.",
        findings.surface_unsound,
    ),
    Rule(
        "collision_beyond_margin",
        NOTE,
        "a collision mesh reaches further out of its structure than the margin that was asked for",
        "it encloses the structure in any case; voxels that are large against the margin, or thin vessels, take more",
        "Count on the distances in the report, or ask for a wider margin.",
        findings.collision_beyond_margin,
    ),
    Rule(
        "thick_slices",
        NOTE,
        f"voxels are more than {findings.THICK_SLICE_MM:.0f} mm apart along an axis",
        "a lesion or a vessel of 5 mm may lie between two slices",
        "Reconstruct the scan with thinner slices where its raw data is still there.",
        findings.thick_slices,
    ),
    Rule(
        "lesions_not_measured",
        NOTE,
        "not every lesion was measured one by one",
        "reports have 200 at most: more are hardly lesions",
        "Number and volume of the tumor count all.",
        findings.lesions_not_measured,
    ),
    Rule(
        "synthetic_training",
        NOTE,
        "a model's bundle says that it was trained on synthetic data",
        "how it does on patients is not known",
        "Do not use the result for a patient.",
        findings.synthetic_training,
    ),
)
