"""The bundle's description for people: `MODEL_CARD.md`, made from the fields of `model.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(description: Mapping[str, Any]) -> str:
    """Markdown text of the card for a bundle whose `model.yaml` holds `description`."""
    network_input = description["input"]
    window = network_input["hu_window"]
    labels = ", ".join(f"{value} {name}" for value, name in description["labels"].items())
    lines = [
        f"# {description['name']} {description['version']}",
        "",
        description["intended_use"],
        "",
        "## Trained on",
        description["trained_on"],
        "",
        "## Scores",
        *_score_lines(description["scores"]),
        "",
        "## Use",
        f"- Stage: {description['stage']}; labels: {labels}",
        f"- Input: HU {window} scaled to -1 ... 1, spacing {network_input['spacing_mm']} mm (i, j, k)",
        f"- Windows: at most {network_input['patch']} voxels, overlap {network_input['overlap']:g}",
        f"- Weights: {description['weights']} ({description['precision']}), sha256 {description['sha256']}",
        f"- License: {description['license']}",
    ]
    return "\n".join(lines) + "\n"


def _score_lines(scores: Mapping[str, Any], indent: str = "") -> list[str]:
    """A nested list of names and numbers; one line where nothing was measured."""
    lines = []
    for name, value in scores.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}- {name}:", *_score_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}- {name}: {value}")
    return lines or ["Not measured."]
