"""What a reload means before anything is changed: what is refused, the same, or different."""

from dataclasses import replace
from pathlib import Path

import pytest

from hadirector.answers import Present
from hadirector.config.again import Reader
from hadirector.config.loader import load
from hadirector.config.model import Config
from hadirector.reload import CHANGES_TOLD_MAX, difference, read_again
from tests.hadirector.pair import write_pair


def loaded(file: Path) -> Config:
    config = load(file).config
    assert config is not None
    return config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_pair(tmp_path / "pair.yaml", [8080, 8081])


@pytest.fixture
def present(file: Path) -> Present:
    return Present(
        node="lb1",
        file=str(file),
        config=loaded(file),
        digest=load(file).digest,
        started_at=0.0,
        loaded_at=0.0,
    )


def test_another_spelling_of_the_same_is_no_change(file: Path, present: Present) -> None:
    file.write_text("# a comment\n" + file.read_text().replace("100ms", "0.1s"))
    outcome = read_again(Reader(str(file)), present)
    assert (outcome.config, outcome.refused) == (None, False)
    assert outcome.reply() == {
        "accepted": True,
        "changed": False,
        "sentence": "reload: the file says what it said before",
        "table": None,
        "failures": [],
        "diagnostics": [],
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("services: [", "error"),
        ("", "error"),
        ("sevices: []\nnods: {}\n", "(and "),
    ],
)
def test_a_wrong_file_is_refused_whole(
    file: Path, present: Present, text: str, sentence: str
) -> None:
    file.write_text(text)
    outcome = read_again(Reader(str(file)), present)
    assert (outcome.config, outcome.refused) == (None, True)
    assert outcome.sentence.startswith(f"reload refused, everything goes on as before: {file}:")
    assert sentence in outcome.sentence
    assert outcome.reply()["accepted"] is False
    assert outcome.reply()["diagnostics"]


def test_a_file_that_is_gone_is_refused(file: Path, present: Present) -> None:
    file.unlink()
    assert read_again(Reader(str(file)), present).refused


def test_a_file_without_this_node_is_refused(file: Path, present: Present) -> None:
    file.write_text(file.read_text().replace("lb1:", "lb3:"))
    outcome = read_again(Reader(str(file)), present)
    assert outcome.refused
    assert outcome.sentence == f"reload refused: {file} has no node lb1; it has lb3, lb2"


def test_what_differs_is_named(file: Path, present: Present) -> None:
    write_pair(file, [8081, 8082], scheduler="rr")
    outcome = read_again(Reader(str(file)), present)
    assert outcome.config == loaded(file)
    assert outcome.sentence == (
        "reload accepted: service web changed, server web/127.0.0.1:8082 added, "
        "server web/127.0.0.1:8080 removed"
    )


def test_every_part_of_a_configuration_counts(file: Path) -> None:
    before = loaded(file)
    router = before.virtual_routers[0]
    node = before.nodes["lb2"]
    after = replace(
        before,
        virtual_routers=(replace(router, vrid=52), replace(router, name="back")),
        nodes={**before.nodes, "lb2": replace(node, priority=100)},
        audit=2.0,
    )
    assert difference(before, after) == (
        "virtual router back added, virtual router front changed, node lb2 changed, audit every 2 s"
    )
    assert difference(after, replace(after, services=())).startswith("service web removed, server")


def test_an_order_is_a_difference_too(file: Path) -> None:
    before = loaded(file)
    service = before.services[0]
    turned = replace(service, servers=service.servers[::-1])
    assert difference(before, replace(before, services=(turned,))) == "only the order differs"


def test_a_thousand_changes_are_counted(tmp_path: Path) -> None:
    before = loaded(write_pair(tmp_path / "a.yaml", [1000]))
    after = loaded(write_pair(tmp_path / "b.yaml", range(1000, 2001)))
    sentence = difference(before, after)
    assert sentence.endswith(f"and {1000 - CHANGES_TOLD_MAX} more")
