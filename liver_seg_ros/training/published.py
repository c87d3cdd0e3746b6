# SPDX-License-Identifier: Apache-2.0
"""What the five papers print, to stand beside our figures and never for them: other data, other training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from liver_seg_ros.training.printed import (
    ACCURACY,
    ALL,
    DICE,
    IOU,
    MCC,
    PAPER_1,
    PAPER_2,
    PAPER_3,
    PAPER_4,
    PAPER_5,
    PRECISION,
    RECALL,
    SPECIFICITY,
    VOLUME_SIMILARITY,
    Cost,
    Published,
)

#: Columns of paper 1's tables. Its VOE is equation 14. Its equation 15, of precision, is that of specificity; what is
#: printed is precision as usual: only so do precision P and recall R give the printed Dice, 2 P R / (P + R), and the
#: printed VOE, 2 (R - P) / (R + P).
_OF_PAPER_1 = (IOU, DICE, VOLUME_SIMILARITY, PRECISION, RECALL)
_WORDS_1 = {VOLUME_SIMILARITY: "VOE, equation 14"}
_OF_PAPER_2 = (DICE, IOU)
_OF_PAPER_4 = (RECALL, SPECIFICITY, PRECISION, DICE)
_WORDS_4 = {RECALL: "sensitivity"}
_OF_PAPER_5 = (DICE, ACCURACY, PRECISION, SPECIFICITY, IOU, MCC)


def _table(
    paper: str,
    place: tuple[str, str, str],
    metrics: Sequence[str],
    rows: Mapping[str, Sequence[float]],
    deviations: Mapping[str, Sequence[float]] | None = None,
    words: Mapping[str, str] | None = None,
    scale: float = 1.0,
) -> tuple[Published, ...]:
    """Of rows network -> a figure for each of `metrics`; `place` is table, data and structure."""
    return tuple(
        Published(
            network,
            paper,
            *place,
            metric,
            round(value * scale, 8),
            None if deviations is None else deviations[network][column],
            (words or {}).get(metric, ""),
        )
        for network, values in rows.items()
        for column, (metric, value) in enumerate(zip(metrics, values, strict=True))
    )


def _paper_1(table: str, data: str, structure: str, rows: Mapping[str, Sequence[float]]) -> tuple[Published, ...]:
    return _table(PAPER_1, (table, data, structure), _OF_PAPER_1, rows, words=_WORDS_1)


def _paper_2(table: str, structure: str, rows: Mapping[str, Sequence[float]]) -> tuple[Published, ...]:
    return _table(PAPER_2, (table, "LTVS (private), five seeds", structure), _OF_PAPER_2, rows, scale=0.01)


def _paper_4(
    structure: str, rows: Mapping[str, Sequence[float]], deviations: Mapping[str, Sequence[float]] | None = None
) -> tuple[Published, ...]:
    place = ("Table 1", "LiTS17, 15 test scans", structure)
    return _table(PAPER_4, place, _OF_PAPER_4, rows, deviations, _WORDS_4)


def _paper_5(table: str, data: str, rows: Mapping[str, Sequence[float]], scale: float = 0.01) -> tuple[Published, ...]:
    return _table(PAPER_5, (table, f"LiTS17, {data}", "liver"), _OF_PAPER_5, rows, scale=scale)


def _ious(data: str, rows: Mapping[str, float]) -> tuple[Published, ...]:
    place = ("section 7.3", f"{data}, mean over classes", ALL)
    return _table(PAPER_3, place, (IOU,), {network: (value,) for network, value in rows.items()})


PUBLISHED: tuple[Published, ...] = (
    *_paper_1("Table I", "3D-IRCADb-01", "vessel", {
        "segnet": (0.839, 0.907, -0.067, 0.938, 0.879), "unet2d": (0.846, 0.913, -0.079, 0.951, 0.880),
        "unet_plus_plus": (0.831, 0.904, -0.062, 0.934, 0.879), "unet3plus": (0.853, 0.917, -0.059, 0.945, 0.894),
        "transunet": (0.847, 0.913, -0.066, 0.944, 0.885), "transfusionnet": (0.854, 0.918, -0.041, 0.938, 0.901),
        "transfusionnet_edge": (0.863, 0.921, -0.051, 0.947, 0.901),
    }),
    *_paper_1("Table I", "LiTS", "tumor", {
        "segnet": (0.805, 0.887, -0.035, 0.904, 0.875), "unet2d": (0.832, 0.905, -0.024, 0.917, 0.897),
        "unet_plus_plus": (0.828, 0.902, -0.020, 0.912, 0.896), "unet3plus": (0.821, 0.895, -0.002, 0.899, 0.898),
        "transunet": (0.834, 0.905, -0.040, 0.923, 0.889), "transfusionnet": (0.840, 0.910, -0.018, 0.919, 0.904),
        "transfusionnet_edge": (0.840, 0.910, -0.018, 0.919, 0.904),
    }),
    *_paper_1("Table II", "LTBV (private)", "vessel", {
        "segnet": (0.803, 0.881, -0.056, 0.907, 0.858), "unet2d": (0.812, 0.893, -0.013, 0.902, 0.890),
        "unet_plus_plus": (0.809, 0.892, -0.058, 0.919, 0.868), "unet3plus": (0.821, 0.897, 0.022, 0.892, 0.909),
        "transunet": (0.818, 0.897, -0.049, 0.920, 0.876), "transfusionnet": (0.822, 0.899, -0.054, 0.925, 0.877),
        "transfusionnet_edge": (0.854, 0.901, -0.040, 0.933, 0.895),
    }),
    *_paper_1("Table II", "LTBV (private)", "tumor", {
        "segnet": (0.905, 0.948, 0.002, 0.922, 0.931), "unet2d": (0.915, 0.954, -0.018, 0.963, 0.946),
        "unet_plus_plus": (0.912, 0.952, 0.003, 0.952, 0.954), "unet3plus": (0.827, 0.899, -0.037, 0.918, 0.885),
        "transunet": (0.920, 0.955, -0.023, 0.967, 0.945), "transfusionnet": (0.927, 0.961, -0.011, 0.966, 0.955),
        "transfusionnet_edge": (0.917, 0.954, -0.022, 0.975, 0.945),
    }),
    # The 1.066 is printed so. The rows on LiTS are, digit by digit, SegNet's, U-Net's and UNet++'s of Table I.
    *_paper_1("Table III", "3D-IRCADb-01", "vessel", {
        "transfusionnet_no_skips": (0.654, 0.780, -0.163, 0.862, 0.732),
        "transfusionnet_no_transformer_skips": (0.767, 0.858, 0.059, 1.066, 0.886),
        "transfusionnet_no_cnn_skips": (0.785, 0.870, 0.019, 0.880, 0.868),
    }),
    *_paper_1("Table III", "LiTS", "tumor", {
        "transfusionnet_no_skips": (0.805, 0.887, -0.035, 0.904, 0.875),
        "transfusionnet_no_transformer_skips": (0.832, 0.905, -0.024, 0.917, 0.897),
        "transfusionnet_no_cnn_skips": (0.828, 0.902, -0.020, 0.912, 0.896),
    }),
    *_paper_2("Table 1", "tumor", {
        "unet2d": (76.26, 64.89), "resunet2d": (76.30, 64.87), "uctransnet": (79.09, 66.26),
        "transunet": (77.99, 64.19), "unet3d_concat": (80.36, 68.96), "resunet3d": (83.71, 73.50),
        "attention_unet3d": (83.01, 73.20), "vnet": (83.60, 72.65), "uxnet3d": (82.81, 72.04),
        "ucanet": (84.96, 74.38),
    }),
    *_paper_2("Table 1", "vessel", {
        "unet2d": (60.30, 44.10), "resunet2d": (62.45, 45.87), "uctransnet": (62.62, 46.26),
        "transunet": (62.39, 45.63), "unet3d_concat": (66.00, 49.10), "resunet3d": (66.97, 50.71),
        "attention_unet3d": (66.15, 50.33), "vnet": (65.53, 49.98), "uxnet3d": (66.76, 50.40),
        "ucanet": (67.47, 51.34),
    }),
    *_paper_2("Table 2", "tumor", {
        "ucanet_none": (80.36, 68.96), "ucanet_sca": (84.20, 73.47), "ucanet_cca": (82.73, 71.90),
    }),
    *_paper_2("Table 2", "vessel", {
        "ucanet_none": (66.00, 49.10), "ucanet_sca": (65.16, 48.07), "ucanet_cca": (67.40, 51.26),
    }),
    Published("unet3d_concat", PAPER_2, "section 3.2", "LTVS (private)", "liver", DICE, 0.9517),
    *_ious("LiTS17", {
        "unet_plus_plus": 0.3021, "unet_aspp": 0.4641, "transunet_attention_none": 0.0951,
        "transunet_attention": 0.1283,
    }),
    *_ious("Kvasir-SEG", {"transunet_attention_none_rgb": 0.2057, "transunet_attention_rgb": 0.2370}),
    *_paper_4("liver", {
        "vnet": (0.920, 0.995, 0.855, 0.884), "unet3d_concat": (0.699, 0.997, 0.893, 0.749),
        "threedynet_ee": (0.921, 0.995, 0.848, 0.878), "threedynet": (0.933, 0.996, 0.856, 0.889),
    }, {
        "vnet": (0.071, 0.001, 0.046, 0.035), "unet3d_concat": (0.266, 0.003, 0.039, 0.194),
        "threedynet_ee": (0.093, 0.002, 0.056, 0.043), "threedynet": (0.075, 0.001, 0.052, 0.037),
    }),
    *_paper_4("tumor", {
        "vnet": (0.200, 0.999, 0.370, 0.207), "threedynet_ee": (0.262, 0.999, 0.394, 0.240),
        "threedynet": (0.276, 0.999, 0.483, 0.289),
    }, {
        "vnet": (0.304, 0.001, 0.354, 0.259), "threedynet_ee": (0.297, 0.001, 0.356, 0.193),
        "threedynet": (0.309, 0.009, 0.383, 0.283),
    }),
    *_paper_4("tumor", {"unet3d_concat": (0.0, 0.0, 0.0, 0.0)}),
    *_paper_5("Table 5", "88 training scans", {
        "mpunet": (96.08, 99.52, 97.88, 99.86, 92.56, 95.85), "mpunet_unet": (87.37, 98.41, 82.10, 98.69, 77.77, 86.77),
    }),
    *_paper_5("Table 5", "22 validation scans", {
        "mpunet": (93.49, 98.74, 97.31, 99.74, 88.30, 93.08), "mpunet_unet": (87.36, 97.89, 81.77, 98.2, 77.72, 86.51),
    }),
    *_paper_5("Table 9", "20 test scans", {
        "mpunet": (0.92171, 0.99084, 0.9191, 0.99524, 0.859115, 0.917395),
    }, scale=1.0),
)  # fmt: skip

#: Paper 5's times are of one round over the scans, on its GPU.
COSTS: tuple[Cost, ...] = tuple(
    Cost(network, PAPER_5, "Table 6", what, value, unit)
    for network, values in (
        ("mpunet", (107, 12, 1, 120, 22_557_009, 250.34)), ("mpunet_unet", (17, 3, 1, 21, 2_326_638, 26.65))
    )
    for (what, unit), value in zip(
        (
            ("train time", "s"), ("validation time", "s"), ("output", "s"), ("total time", "s"), ("parameters", ""),
            ("file size", "MB"),
        ),
        values,
        strict=True,
    )
)  # fmt: skip


def published_of(network: str) -> tuple[Published, ...]:
    """What the papers print of a network of the registry, in their order."""
    return tuple(figure for figure in PUBLISHED if figure.network == network)


def costs_of(network: str) -> tuple[Cost, ...]:
    """The times and sizes that the papers print of a network of the registry, in their order."""
    return tuple(cost for cost in COSTS if cost.network == network)
