# SPDX-License-Identifier: Apache-2.0
"""The table of data sets: what each is, whose images it holds, what its labels mean, and which terms it came with.

The terms are those that we know of when this was written. What holds is what `url` says: whoever uses a data set has to
look there. `UNSTATED` stands where we know of none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from liver_seg_ros.files.label_schemes import IRCADB, LITS, MSD08, OWN, TOTALSEGMENTATOR, LabelScheme
from liver_seg_ros.inference.bundle import TRAINING_DATA
from liver_seg_ros.labels import HEPATIC_VEIN, LIVER, PORTAL_VEIN, TUMOR, VENA_CAVA, VESSEL, Structure
from liver_seg_ros.training.sources.splits import Plan

_, _SYNTHETIC, _, _PATIENTS = TRAINING_DATA

UNSTATED = "unstated"

#: What Kvasir-SEG's masks show: no structure of a CT, and so no row of the label table, whose values begin anew here.
POLYP = Structure(1, "polyp", (221, 130, 101), 1.0, "41329004", "Polyp")


@dataclass(frozen=True)
class About:
    """One row.

    Attributes:
        name: as recipes call it.
        title: as people call it.
        layout: where its files lie, in words.
        images: whose they are, one of `inference.bundle.TRAINING_DATA`.
        license: of the data, by SPDX's name where it has one.
        citation: what to cite.
        url: where it is described and had.
        labels: what its values or the names of its masks mean in the label table; None where the source says it itself.
        structures: what its labels speak about; what is not among them was not looked for.
        splits: by the paper that divided it so.
        shares: what it has in common with others, which no split may forget.
    """

    name: str
    title: str
    layout: str
    images: str = _PATIENTS
    license: str = UNSTATED
    citation: str = ""
    url: str = ""
    labels: LabelScheme | None = None
    structures: tuple[Structure, ...] = ()
    splits: Mapping[str, Plan] = field(default_factory=dict)
    shares: str = ""


_BILIC = "Bilic et al. 2023, The Liver Tumor Segmentation Benchmark (LiTS), Medical Image Analysis 84:102680"
_ANTONELLI = "Antonelli et al. 2022, The Medical Segmentation Decathlon, Nature Communications 13:4128"
_MENG = "Meng et al.: TransFusionNet, the paper's own data LTBV"
_PAPER_1 = Plan((8, 0, 2), are_counts=False)  # "training set and test set according to the ratio of 8:2"

PHANTOMS = About(
    "phantoms", "phantoms of this package", "none: made on the fly, from seeds", _SYNTHETIC, "Apache-2.0",
    labels=OWN, structures=(LIVER, TUMOR, VESSEL),
)  # fmt: skip
PAIRS = About("pairs", "a folder of CTs and labels", "one YAML that says where they lie and whose they are")
LITS17 = About(
    "lits17", "LiTS17", "volume-N.nii and segmentation-N.nii, in one folder or several", _PATIENTS, "CC-BY-NC-ND-4.0",
    _BILIC, "https://competitions.codalab.org/competitions/17094", LITS, (LIVER, TUMOR),
    {
        "paper1": _PAPER_1,
        "paper3": Plan((90, 24, 0)),
        "paper4": Plan((100, 15, 15)),
        "paper5": Plan((88, 22, 20), fewest_slices=48),
    },
    "volumes 28 to 44 and 46 to 48 are patients of 3D-IRCADb-01, and MSD Task03 holds the same scans",
)  # fmt: skip
MSD_TASK03 = About(
    "msd03", "Medical Segmentation Decathlon, Task03_Liver", "dataset.json, imagesTr/, labelsTr/", _PATIENTS,
    "CC-BY-SA-4.0", f"{_ANTONELLI}; {_BILIC}", "http://medicaldecathlon.com", LITS, (LIVER, TUMOR),
    LITS17.splits, "its scans are those of LiTS17",
)  # fmt: skip
MSD_TASK08 = About(
    "msd08", "Medical Segmentation Decathlon, Task08_HepaticVessel", "dataset.json, imagesTr/, labelsTr/", _PATIENTS,
    "CC-BY-SA-4.0", _ANTONELLI, "http://medicaldecathlon.com", MSD08, (TUMOR, VESSEL),
)  # fmt: skip
IRCADB01 = About(
    "ircadb01", "3D-IRCADb-01", "a folder a patient with PATIENT_DICOM and MASKS_DICOM, unpacked or .zip", _PATIENTS,
    "CC-BY-NC-ND-4.0", "Soler et al. 2010, 3D image reconstruction for comparison of algorithm database, IRCAD",
    "https://www.ircad.fr/research/data-sets/liver-segmentation-3d-ircadb-01/", IRCADB, (LIVER, TUMOR, VESSEL),
    {"paper1": _PAPER_1}, "its patients are in LiTS17 (volumes 28 to 44 and 46 to 48) and so in MSD Task03",
)  # fmt: skip
TOTALSEGMENTATOR_DATA = About(
    "totalsegmentator", "TotalSegmentator's data set", "a folder a subject with ct.nii.gz and segmentations/; meta.csv",
    _PATIENTS, "CC-BY-4.0", "Wasserthal et al. 2023, TotalSegmentator, Radiology: Artificial Intelligence 5(5)",
    "https://doi.org/10.5281/zenodo.6802613", TOTALSEGMENTATOR, (LIVER,),
)  # fmt: skip
LTBV_PORTAL = About(
    "ltbv_portal", "two-phase data as in paper 1: tumors in the portal phase",
    "a folder a patient with portal/ct.nii.gz and portal/labels.nii.gz (1 tumor)", citation=_MENG,
    labels=LabelScheme("", "paper 1's portal phase (1 tumor)", {1: TUMOR}), structures=(TUMOR,),
    splits={"paper1": _PAPER_1},
)  # fmt: skip
LTBV_ARTERIAL = About(
    "ltbv_arterial", "two-phase data as in paper 1: arteries in the arterial phase",
    "a folder a patient with arterial/ct.nii.gz and arterial/labels.nii.gz (1 hepatic artery)", citation=_MENG,
    labels=LabelScheme("", "paper 1's arterial phase (1 hepatic artery, the networks' vessel)", {1: VESSEL}),
    structures=(VESSEL,), splits={"paper1": _PAPER_1},
)  # fmt: skip
LTVS = About(
    "ltvs", "LTVS, paper 2's data",
    "a folder a case with ct.nii.gz and labels.nii.gz (1 liver, 2 tumor, 3 hepatic veins, 4 cava, 5 portal vein)",
    citation="Kuang et al.: UCA-Net, the paper's own data LTVS",
    labels=LabelScheme("", "LTVS", {1: LIVER, 2: TUMOR, 3: HEPATIC_VEIN, 4: VENA_CAVA, 5: PORTAL_VEIN}),
    structures=(LIVER, TUMOR, VESSEL), splits={"paper2": Plan((37, 5, 10))},
)  # fmt: skip
KVASIR_SEG = About(
    "kvasir_seg", "Kvasir-SEG (polyps in color pictures)", "images/*.jpg and masks/*.jpg of the same names", _PATIENTS,
    "LicenseRef-research-and-education-only", "Jha et al. 2020, Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020",
    "https://datasets.simula.no/kvasir-seg/", structures=(POLYP,),
)  # fmt: skip

#: Every source that a recipe may name.
ABOUT: dict[str, About] = {
    row.name: row
    for row in (
        PHANTOMS, PAIRS, LITS17, MSD_TASK03, MSD_TASK08, IRCADB01, TOTALSEGMENTATOR_DATA, LTBV_PORTAL, LTBV_ARTERIAL,
        LTVS, KVASIR_SEG,
    )
}  # fmt: skip
