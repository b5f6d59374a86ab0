"""YAML with positions: places, anchors, merge keys, and the same values as PyYAML otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hadirector.config.nodes import Findings, Mapping, Scalar, Sequence, is_broken, plain
from hadirector.config.positions import read_yaml
from hadirector.config.scalars import Trap, resolve

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


def read(text: str) -> tuple[object, list[str]]:
    findings = Findings()
    root = read_yaml(text, "f", findings)
    return (None if root is None else plain(root)), [str(found) for found in findings]


@given(values)
def test_reads_what_yaml_writes(value: object) -> None:
    text = yaml.safe_dump(value)
    data, findings = read(text)
    # A word that YAML 1.1 twists is quoted by the writer, so nothing is found.
    assert (data, findings) == (value, [])


@given(st.text(max_size=60))
def test_any_text_is_read_or_explained(text: str) -> None:
    findings = Findings()
    root = read_yaml(text, "f", findings)
    for found in findings:
        assert found.line >= 1
        assert found.column >= 1
        assert found.message
    if root is None:
        assert findings.failed or not text.strip() or text.lstrip("﻿ \n\r\t")[:1] in "#%-.\x85  "


@given(st.text(max_size=12))
def test_a_plain_word_means_what_both_versions_of_yaml_say(word: str) -> None:
    value = resolve(word)
    if not isinstance(value, Trap):
        assert isinstance(value, str) or value == yaml.safe_load(word)


def test_every_value_knows_its_place() -> None:
    root = read_yaml("a: 1\nb:\n  - x\n  - {c: d}\n", "f", Findings())
    assert isinstance(root, Mapping)
    listed = root.entries["b"]
    assert isinstance(listed, Sequence)
    inner = listed.items[1]
    assert isinstance(inner, Mapping)
    places = [root.keys["b"].place, listed.items[0].place, inner.entries["c"].place]
    assert [(place.line, place.column) for place in places] == [(2, 1), (3, 5), (4, 9)]


def test_anchors_and_merge_keys_as_in_yaml_1_1() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3}\nz: {<<: [*x, *y], c: 4}\nw: {b: 5, <<: *x}\nv: *x\n"
    assert read(text) == (yaml.safe_load(text), [])


def test_a_merged_value_keeps_the_place_where_it_is_written() -> None:
    root = read_yaml("x: &x {a: 1}\ny:\n  <<: *x\n", "f", Findings())
    assert isinstance(root, Mapping)
    merged = root.entries["y"]
    assert isinstance(merged, Mapping)
    assert merged.entries["a"].place.line == 1


def test_only_an_unquoted_merge_key_merges() -> None:
    assert read('"<<": {a: 1}\n') == ({"<<": {"a": 1}}, [])


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {b: {<<: *a}}"])
def test_an_alias_inside_its_own_anchor_is_refused(text: str) -> None:
    _, [finding] = read(text)
    assert "inside its own anchor" in finding


def test_deep_nesting_by_brackets_or_aliases_is_refused_not_followed() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 5000))
    for text in ("[" * 100_000, "{a: " * 100_000, chain):
        data, [finding] = read(text)
        assert data is None
        assert "32 levels" in finding


def test_reading_goes_on_after_a_trap() -> None:
    data, findings = read("a: no\na: 1\nb: 1:20\n? [x]\n: y\nc: 07\n")
    assert len(findings) == 5
    assert data == {"a": "no", "b": "1:20", "c": "07"}


def test_the_original_text_is_kept() -> None:
    root = read_yaml("a: 1.50\n", "f", Findings())
    assert isinstance(root, Mapping)
    value = root.entries["a"]
    assert isinstance(value, Scalar)
    assert (value.text, value.value, is_broken(value)) == ("1.50", 1.5, False)


def test_the_parser_in_use_is_the_fast_one() -> None:
    assert Path(yaml.__file__).exists()
    assert yaml.__with_libyaml__


def test_what_is_open_at_the_end_of_a_text_is_found_within_it() -> None:
    """libyaml counts the end of a text without a line end as a line further."""
    findings = Findings()
    assert read_yaml("nodes: {a: 1", "pair.yaml", findings) is None
    (found,) = findings
    assert (found.line, found.column) == (1, 13)
