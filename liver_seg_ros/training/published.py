# SPDX-License-Identifier: Apache-2.0
"""What the five papers print, to stand beside our figures and never for them: other data, other training, other hands.

Of each network the Dice and, where it is printed, the intersection over union, as fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Papers as tables name them.
PAPER_1 = "paper 1 (Meng et al., TransFusionNet)"
PAPER_2 = "paper 2 (Kuang et al., UCA-Net)"
PAPER_3 = "paper 3 (Tran et al., UNet-ASPP and TransUNet with attention)"
PAPER_4 = "paper 4 (d'Albenzio, Kamkova et al., 3DYNet)"
PAPER_5 = "paper 5 (Yu and Han, MPU-Net)"

DICE, IOU = "dice", "iou"
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
        metric: `DICE` or `IOU`.
        value: a fraction.
        deviation: as printed; over cases, not over trainings. None where there is none.
    """

    network: str
    paper: str
    table: str
    data: str
    structure: str
    metric: str
    value: float
    deviation: float | None = None


def _pairs(
    paper: str, table: str, data: str, structure: str, rows: dict[str, tuple[float, float]], scale: float = 1.0
) -> tuple[Published, ...]:
    """Of rows network -> (Dice, IoU)."""
    return tuple(
        Published(network, paper, table, data, structure, metric, round(value * scale, 4))
        for network, values in rows.items()
        for metric, value in zip((DICE, IOU), values, strict=True)
    )


def _ious(table: str, data: str, rows: dict[str, float]) -> tuple[Published, ...]:
    return tuple(Published(network, PAPER_3, table, data, ALL, IOU, value) for network, value in rows.items())


def _dices(rows: dict[tuple[str, str], tuple[float, float]]) -> tuple[Published, ...]:
    return tuple(
        Published(network, PAPER_4, "Table 1", "LiTS17, 15 test scans", structure, DICE, value, deviation)
        for (network, structure), (value, deviation) in rows.items()
    )


PUBLISHED: tuple[Published, ...] = (
    *_pairs(PAPER_1, "Table I", "3D-IRCADb-01", "vessel", {
        "segnet": (0.907, 0.839), "unet2d": (0.913, 0.846), "unet_plus_plus": (0.904, 0.831),
        "unet3plus": (0.917, 0.853), "transunet": (0.913, 0.847), "transfusionnet": (0.918, 0.854),
        "transfusionnet_edge": (0.921, 0.863),
    }),
    *_pairs(PAPER_1, "Table I", "LiTS", "tumor", {
        "segnet": (0.887, 0.805), "unet2d": (0.905, 0.832), "unet_plus_plus": (0.902, 0.828),
        "unet3plus": (0.895, 0.821), "transunet": (0.905, 0.834), "transfusionnet": (0.910, 0.840),
        "transfusionnet_edge": (0.910, 0.840),
    }),
    *_pairs(PAPER_1, "Table II", "LTBV (private)", "vessel", {
        "segnet": (0.881, 0.803), "unet2d": (0.893, 0.812), "unet_plus_plus": (0.892, 0.809),
        "unet3plus": (0.897, 0.821), "transunet": (0.897, 0.818), "transfusionnet": (0.899, 0.822),
        "transfusionnet_edge": (0.901, 0.854),
    }),
    *_pairs(PAPER_1, "Table II", "LTBV (private)", "tumor", {
        "segnet": (0.948, 0.905), "unet2d": (0.954, 0.915), "unet_plus_plus": (0.952, 0.912),
        "unet3plus": (0.899, 0.827), "transunet": (0.955, 0.920), "transfusionnet": (0.961, 0.927),
        "transfusionnet_edge": (0.954, 0.917),
    }),
    *(
        Published(network, PAPER_1, "Table III", data, structure, DICE, value)
        for data, structure, values in (
            ("3D-IRCADb-01", "vessel", (0.780, 0.858, 0.870)), ("LiTS", "tumor", (0.887, 0.905, 0.902))
        )
        for network, value in zip(
            ("transfusionnet_no_skips", "transfusionnet_no_transformer_skips", "transfusionnet_no_cnn_skips"),
            values,
            strict=True,
        )
    ),
    *_pairs(PAPER_2, "Table 1", "LTVS (private), five seeds", "tumor", {
        "unet2d": (76.26, 64.89), "resunet2d": (76.30, 64.87), "uctransnet": (79.09, 66.26),
        "transunet": (77.99, 64.19), "unet3d_concat": (80.36, 68.96), "resunet3d": (83.71, 73.50),
        "attention_unet3d": (83.01, 73.20), "vnet": (83.60, 72.65), "uxnet3d": (82.81, 72.04),
        "ucanet": (84.96, 74.38),
    }, 0.01),
    *_pairs(PAPER_2, "Table 1", "LTVS (private), five seeds", "vessel", {
        "unet2d": (60.30, 44.10), "resunet2d": (62.45, 45.87), "uctransnet": (62.62, 46.26),
        "transunet": (62.39, 45.63), "unet3d_concat": (66.00, 49.10), "resunet3d": (66.97, 50.71),
        "attention_unet3d": (66.15, 50.33), "vnet": (65.53, 49.98), "uxnet3d": (66.76, 50.40),
        "ucanet": (67.47, 51.34),
    }, 0.01),
    *_pairs(PAPER_2, "Table 2", "LTVS (private), five seeds", "tumor", {
        "ucanet_none": (80.36, 68.96), "ucanet_sca": (84.20, 73.47), "ucanet_cca": (82.73, 71.90),
    }, 0.01),
    *_pairs(PAPER_2, "Table 2", "LTVS (private), five seeds", "vessel", {
        "ucanet_none": (66.00, 49.10), "ucanet_sca": (65.16, 48.07), "ucanet_cca": (67.40, 51.26),
    }, 0.01),
    Published("unet3d_concat", PAPER_2, "section 3.2", "LTVS (private)", "liver", DICE, 0.9517),
    *_ious("section 7.3", "LiTS17, mean over classes", {
        "unet_plus_plus": 0.3021, "unet_aspp": 0.4641, "transunet_attention_none": 0.0951,
        "transunet_attention": 0.1283,
    }),
    *_ious("section 7.3", "Kvasir-SEG, mean over classes", {
        "transunet_attention_none_rgb": 0.2057, "transunet_attention_rgb": 0.2370,
    }),
    *_dices({
        ("vnet", "liver"): (0.884, 0.035), ("vnet", "tumor"): (0.207, 0.259),
        ("unet3d_concat", "liver"): (0.749, 0.194), ("unet3d_concat", "tumor"): (0.0, 0.0),
        ("threedynet_ee", "liver"): (0.878, 0.043), ("threedynet_ee", "tumor"): (0.240, 0.193),
        ("threedynet", "liver"): (0.889, 0.037), ("threedynet", "tumor"): (0.289, 0.283),
    }),
    *_pairs(PAPER_5, "Table 9", "LiTS17, 20 test scans", "liver", {"mpunet": (0.92171, 0.859115)}),
    *_pairs(PAPER_5, "Table 5", "LiTS17, 22 validation scans", "liver", {"mpunet_unet": (0.8736, 0.7772)}),
)  # fmt: skip


def published_of(network: str) -> tuple[Published, ...]:
    """What the papers print of a network of the registry, in their order."""
    return tuple(figure for figure in PUBLISHED if figure.network == network)
