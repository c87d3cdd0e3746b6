# SPDX-License-Identifier: Apache-2.0
"""setup.cfg says what works, as a library among others; constraints.txt what `make` installs, as an application."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

requirements = pytest.importorskip("packaging.requirements", reason="packaging is not installed (make setup-dev)")

REPOSITORY = Path(__file__).resolve().parents[2]
#: What a range must not have: it fits nothing else that someone wants to install.
EXACT = ("==", "===")
#: Every machine that `make` runs on.
MACHINES = [
    {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
    for python, machine in product(("3.10", "3.11", "3.12"), ("x86_64", "aarch64"))
]
PINS = [
    requirements.Requirement(line)
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def declared() -> Iterator[tuple[str, requirements.Requirement]]:
    """Pairs of (extra, or "" for what every installation has, requirement)."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    texts = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    for extra, text in texts.items():
        for line in text.splitlines():
            if line and not line.lstrip().startswith("#"):
                yield extra, requirements.Requirement(line)


def name(requirement: requirements.Requirement) -> str:
    return requirement.name.replace("_", "-").replace(".", "-").lower()


DECLARED = [(extra, requirement) for extra, requirement in declared() if name(requirement) != "liver-seg-ros"]


@pytest.mark.parametrize(("extra", "requirement"), DECLARED, ids=[f"{e}-{r.name}" for e, r in DECLARED])
def test_a_range_has_a_least_version_and_a_pin_inside_on_every_machine(
    extra: str, requirement: requirements.Requirement
) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators & {">=", "~="} and not operators & set(EXACT)
    for machine in MACHINES:
        if requirement.marker is None or requirement.marker.evaluate(machine):
            pins = [pin for pin in PINS if name(pin) == name(requirement) and _holds(pin, machine)]
            assert len(pins) == 1, f"{requirement} on {machine}: {pins}"
            (pin,) = pins[0].specifier
            assert pin.operator == "==" and requirement.specifier.contains(pin.version), f"{pins[0]}: {requirement}"


def test_every_pin_is_of_something_declared() -> None:
    known = {name(requirement) for _, requirement in DECLARED}
    assert [str(pin) for pin in PINS if name(pin) not in known] == []


def test_extras_name_extras_that_there_are() -> None:
    there = {extra for extra, _ in declared()}
    included = [requirement for _, requirement in declared() if name(requirement) == "liver-seg-ros"]
    assert included and all(requirement.extras <= there for requirement in included)


def _holds(pin: requirements.Requirement, machine: dict[str, str]) -> bool:
    return pin.marker is None or pin.marker.evaluate(machine)
