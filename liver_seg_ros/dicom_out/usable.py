# SPDX-License-Identifier: Apache-2.0
"""The values of a CT's header that go over into objects of its study, made fit for them.

Headers hold what someone typed: names of one word, sexes and dates that are none, character sets that are not named.
What is no value of its kind is left empty; what is text beyond ASCII becomes Unicode, whatever it was.
"""

from __future__ import annotations

from pydicom import Dataset
from pydicom.valuerep import DA, TM

UNICODE = "ISO_IR 192"
_TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
_SEXES = ("M", "F", "O")
_DATES, _TIMES = ("PatientBirthDate", "StudyDate"), ("StudyTime",)
_NAMES = ("PatientName", "ReferringPhysicianName")


def make_usable(header: Dataset) -> None:
    """Change `header` in place. Raises what pydicom raises for text that cannot be decoded at all."""
    if not header.get("SpecificCharacterSet"):
        header.SpecificCharacterSet = "ISO_IR 100"  # what nobody names is Latin 1 more often than anything else
    header.decode()
    if all(str(element.value).isascii() for element in header if element.VR in _TEXTS):
        del header.SpecificCharacterSet
    else:
        header.SpecificCharacterSet = UNICODE
    if header.get("PatientSex") not in _SEXES:
        header.PatientSex = None
    for names, kind in ((_DATES, DA), (_TIMES, TM)):
        for name in names:
            if not _is(kind, header.get(name)):
                setattr(header, name, None)
    for name in _NAMES:
        text = str(header.get(name) or "")
        first, equals, others = text.partition("=")
        if first and "^" not in text:  # a family name alone, which highdicom takes for a mistake unless it says so
            setattr(header, name, f"{first}^{equals}{others}")


def _is(kind: type[DA] | type[TM], value: object) -> bool:
    try:
        kind(str(value or ""))
    except ValueError:
        return False
    return True
