# SPDX-License-Identifier: Apache-2.0
"""A user's own label scheme in YAML: what is written means that, and everything else is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from liver_seg_ros.errors import InputError
from liver_seg_ros.files.label_scheme_files import find_scheme, read_scheme
from liver_seg_ros.files.label_schemes import LITS, MSD08, TOTALSEGMENTATOR
from liver_seg_ros.labels import KIDNEY, LIVER, PORTAL_VEIN, STRUCTURES, TUMOR

structures = st.sampled_from((*STRUCTURES, None))
words = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda word: word not in ("null", "true", "false"))
leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4) | st.dates()
keys = st.integers() | st.text(max_size=4) | st.floats() | st.dates()
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schemes") / "mine.yaml"


def test_as_documented(file: Path) -> None:
    file.write_text(
        "# labels of our old workstation\n"
        "0: background\n1: liver\n7: portal_vein   # and its branches\n'9': null\n11:\n12: ~\n  \n"
        "Left_Lobe: Liver\nnodule*: tumor\n"
    )
    scheme = read_scheme(file)
    assert dict(scheme.values) == {1: LIVER, 7: PORTAL_VEIN, 9: None, 11: None, 12: None}
    assert scheme.structure("left_lobe") is LIVER and scheme.structure("NODULE_3") is TUMOR
    assert not scheme.knows("liver") and scheme.is_users and str(file) == scheme.name


@given(st.dictionaries(st.integers(1, 65_535), structures, min_size=1), st.dictionaries(words, structures))
def test_what_is_written_means_that(file: Path, values: dict, names: dict) -> None:
    lines = {key: None if structure is None else structure.name for key, structure in (values | names).items()}
    file.write_text(yaml.safe_dump(lines))
    scheme = read_scheme(file)
    assert dict(scheme.values) == values
    assert {name: scheme.structure(name) for name in names} == names and all(map(scheme.knows, names))


@given(st.text())
def test_any_text_is_a_scheme_or_refused_in_one_line(file: Path, text: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        scheme = read_scheme(file)
    except InputError as error:
        assert str(file) in str(error) and "\n" not in str(error)
    else:
        assert scheme.values or scheme.names


@given(trees)
def test_any_yaml_is_a_scheme_or_refused_in_one_line(file: Path, tree: object) -> None:
    file.write_text(yaml.safe_dump(tree))
    try:
        read_scheme(file)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "says nothing about labels"),
        ("liver", "says nothing about labels"),
        ("- 1: liver\n", "says nothing about labels"),
        ("{}", "says nothing about labels"),
        ("1: liver\n2: leber\n", r"line 2: 'leber' is no structure.*1: liver.*portal_vein.*null"),
        ("1: liver\n3: [tumor]\n", "line 2: is not one value and one structure"),
        ("[1, 2]: liver\n", "line 1: is not one value and one structure"),
        ("1: liver\n1: tumor\n", "line 2: '1' stands there for the second time"),
        ("1: liver\n01: tumor\n", "line 2: '01' stands there for the second time"),
        ("a: liver\nA: tumor\n", "line 2: 'A' stands there for the second time"),
        ("-1: liver\n", "'-1' is no label value"),
        ("1.0: liver\n", "'1.0' is no label value"),
        ("65536: liver\n", "'65536' is no label value"),
        (f"{'9' * 900}: liver\n", "is no label value"),
        ("0: liver\n", "0 a structure"),
        ("'': liver\n", "no value before the colon"),
        ("1: liver\n2 tumor\n", "no readable YAML"),
        ("a: &x {b: *x}\n", "line 1: is not one value"),
        ("a: *missing\n", "no readable YAML"),
        ("1: liver\n---\n2: tumor\n", "no readable YAML"),
        ("[" * 100_000, "no readable YAML"),
    ],
)  # fmt: skip
def test_what_is_no_scheme_is_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_scheme(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_numbers_are_read_as_people_write_them(file: Path) -> None:
    """YAML 1.1 takes 010 for 8, and 1_0 for 10."""
    file.write_text("010: liver\n1_0: kidney\n")
    assert dict(read_scheme(file).values) == {10: LIVER} and read_scheme(file).structure("1_0") is KIDNEY


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_scheme(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="no such file"):
        read_scheme(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"1: l\xe9ber\n")
    with pytest.raises(InputError, match="no readable YAML"):
        read_scheme(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        read_scheme(tmp_path / "large.yaml")


def test_tools_by_name_in_any_case_and_files_by_suffix(tmp_path: Path) -> None:
    assert find_scheme("lits") is LITS and find_scheme("TotalSegmentator") is TOTALSEGMENTATOR
    assert find_scheme("MSD08") is MSD08
    for name in ("a.yaml", "b.YML"):
        (tmp_path / name).write_text("1: liver\n")
        assert find_scheme(str(tmp_path / name)).values == {1: LIVER}
    for choice in ("nnunet", "", "labels.json"):
        with pytest.raises(InputError, match=r"totalsegmentator, lits, msd08, ircadb or a YAML file of 'value: struct"):
            find_scheme(choice)
    with pytest.raises(InputError, match="no such file"):
        find_scheme("nowhere.yaml")
