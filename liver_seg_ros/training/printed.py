# SPDX-License-Identifier: Apache-2.0
"""What a figure of a paper is: whose, of what, by which of our metrics it is to be read."""

from __future__ import annotations

from dataclasses import dataclass

#: Papers as tables name them.
PAPER_1 = "paper 1 (Meng et al., TransFusionNet)"
PAPER_2 = "paper 2 (Kuang et al., UCA-Net)"
PAPER_3 = "paper 3 (Tran et al., UNet-ASPP and TransUNet with attention)"
PAPER_4 = "paper 4 (d'Albenzio, Kamkova et al., 3DYNet)"
PAPER_5 = "paper 5 (Yu and Han, MPU-Net)"

DICE, IOU, PRECISION, RECALL = "dice", "iou", "precision", "recall"
VOLUME_SIMILARITY, SPECIFICITY, ACCURACY, MCC = "volume_similarity", "specificity", "accuracy", "mcc"
#: The structure of a mean over classes.
ALL = "all"


@dataclass(frozen=True)
class Published:
    """One printed figure.

    Attributes:
        network: a row of the networks' registry.
        paper: one of those above.
        table: where in it.
        data: what was scored.
        structure: a name of the label table, "polyp", or `ALL`.
        metric: ours, a property of `evaluation.overlap.Overlap`, by the equation that the paper gives.
        value: as printed; fractions where the paper has percent.
        deviation: as printed; over cases, not over trainings. None where there is none.
        word: what the paper calls the metric, where it is another word.
    """

    network: str
    paper: str
    table: str
    data: str
    structure: str
    metric: str
    value: float
    deviation: float | None = None
    word: str = ""


@dataclass(frozen=True)
class Cost:
    """One printed time or size.

    Attributes:
        network: a row of the networks' registry.
        paper: one of those above.
        table: where in it.
        what: was measured, in the paper's words.
        value: as printed.
        unit: of it; empty for a count.
    """

    network: str
    paper: str
    table: str
    what: str
    value: float
    unit: str = ""
