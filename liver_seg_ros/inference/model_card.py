# SPDX-License-Identifier: Apache-2.0
"""The bundle's description for people: `MODEL_CARD.md`, made from the fields of `model.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liver_seg_ros.inference.conventions import OWN
from liver_seg_ros.inference.input_spec import CT_VIEW, EDGES
from liver_seg_ros.inference.lineage import lineage

_INPUTS = {
    "hu": "HU; the graph itself clips it to {window} and scales it to -1 ... 1",
    "hu_foreign": "HU; the graph itself clips it to {window} and normalizes it as its source did",
    "standardized": "HU less the mean of the CT that is shown, over their standard deviation",
    "normalized": "HU {window} scaled to -1 ... 1",
}
_OUTPUTS = {
    "logits": "logits per class",
    "softmax": "probabilities per class, float16",
    "argmax": "the label of the likeliest class, uint8",
}

#: Keys of a mean with the ends of its interval (`benchmarks/held_out.py`).
_INTERVAL = {"mean", "low", "high"}


def model_card(description: Mapping[str, Any]) -> str:
    """Markdown text of the card for a bundle whose `model.yaml` holds `description`."""
    network_input = description["input"]
    window = network_input["hu_window"]
    values = _INPUTS[_input_words(description)]
    labels = ", ".join(f"{value} {name}" for value, name in description["labels"].items())
    lines = [
        f"# {description['name']} {description['version']}",
        "",
        description["intended_use"],
        "",
        "## Trained on",
        *lineage(description["trained_on"], set()),
        "",
        "## Scores",
        *(_listed(description["scores"]) or ["Not measured."]),
        "",
        *_failure_lines(description.get("failures", ())),
        *_calibration_lines(description.get("calibration", {})),
        *_provenance_lines(description.get("provenance", {})),
        *_variant_lines(description.get("variants", {})),
        "## Use",
        f"- Stage: {description['stage']}; labels: {labels}",
        f"- Input: {values.format(window=window)}, " + _grid(network_input),
        f"- Output: {_OUTPUTS[description['output']]}",
        f"- Windows: {_windows(network_input)}",
        f"- Weights: {description['weights']} ({description['precision']}), sha256 {description['sha256']}",
        f"- License: {description['license']}",
    ]
    return "\n".join(lines) + "\n"


def _failure_lines(failures: Sequence[str]) -> list[str]:
    """The section on where it fails, with the blank line after it; nothing where nobody wrote it down."""
    return ["## Where it fails", *(f"- {failure}" for failure in failures), ""] if failures else []


def _calibration_lines(calibration: Mapping[str, Any]) -> list[str]:
    """The section on what its probabilities are worth, with the blank line after it; nothing where nobody found out."""
    if calibration.get("temperature") is None:
        return []
    return [
        "## How sure it is",
        f"- Probabilities: softmax of the logits at temperature {calibration['temperature']:g}; expected calibration "
        f"error {calibration['error']:.4f}, without the temperature {calibration['error_before']:.4f}",
        f"- A lesion whose mean probability is below {calibration['least_lesion']:.2f} is to be doubted: above it a "
        "scan keeps one false lesion at most",
        f"- Found on {calibration['found_on']}",
        "",
    ]


def _grid(network_input: Mapping[str, Any]) -> str:
    """At what spacing the network sees what."""
    spacing, size = network_input["spacing_mm"], network_input["size"]
    grid = f"spacing {spacing} mm (i, j, k)"
    if size is not None:
        sides = " x ".join("as many as follow" if n is None else str(n) for n in size)
        grid += f", but resampled to {sides} voxels"
    return grid + ("; whole slices of the CT" if network_input["view"] == CT_VIEW else "")


def _windows(network_input: Mapping[str, Any]) -> str:
    """What is run at once."""
    patch, overlap = network_input["patch"], f"overlap {network_input['overlap']:g} of that"
    if not network_input["slices"]:
        words = "of these sizes and no others," if network_input["fixed_window"] else "at most as many voxels as"
        return f"{words} {list(patch)}, {overlap}"
    i, j, count = patch
    at_most = "" if network_input["fixed_window"] else "at most "
    words = f"{at_most}{count} slices of {i} x {j} pixels at once, {overlap} in plane"
    if network_input["neighbors"]:
        words += f"; each with {network_input['neighbors']} on either side as channels"
    return words + ("; and their Canny maps" if EDGES in network_input["inputs"] else "")


def _input_words(description: Mapping[str, Any]) -> str:
    foreign = description["input"].get("convention", OWN) != OWN and description["values"] == "hu"
    return "hu_foreign" if foreign else str(description["values"])


def _provenance_lines(provenance: Mapping[str, Any]) -> list[str]:
    """The section on data and protocol, with the blank line after it; nothing where nobody wrote it down."""
    return ["## Provenance", *_listed(provenance), ""] if provenance else []


def _variant_lines(variants: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The section on other number formats, with the blank line after it; nothing where there are none."""
    if not variants:
        return []
    lines = ["## Variants", "Dice (loss against the plain weights on the same phantoms).", ""]
    for name, variant in variants.items():
        dice = ", ".join(
            f"{structure} {score:.3f} ({variant['dice_loss'].get(structure, 0.0):+.4f})"
            for structure, score in variant["scores"].items()
        )
        lines += [
            f"- {name}: {variant['weights']}, {variant['megabytes']:g} MB, for {', '.join(variant['runtimes'])}",
            f"  - {dice or 'not measured'}",
            f"  - scored on: {variant['scored_on']}",
        ]
    return [*lines, ""]


def _listed(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """A nested list of names and values."""
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value.keys() == _INTERVAL:
            lines.append(f"{indent}- {name}: {value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})")
        elif isinstance(value, Mapping):
            lines += [f"{indent}- {name}:", *_listed(value, indent + "  ")]
        else:
            lines.append(f"{indent}- {name}: {value}")
    return lines
