"""The certificates of a pair: made once, refused with a reason where they cannot be used."""

from __future__ import annotations

import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hadirector.cli.main import main
from hadirector.peer.material import MaterialError, contexts, make, shortcomings
from hadirector.peer.settings import Material

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def material(directory: Path, node: str = "lb1") -> Material:
    return Material(
        certificate=directory / f"{node}.pem",
        key=directory / f"{node}.key",
        ca=directory / "ca.pem",
    )


def test_keys_are_for_their_owner_and_the_authority_has_none(tmp_path: Path) -> None:
    made = make(["lb1", "lb2"], tmp_path / "new" / "peer", now=NOW)
    assert sorted(path.name for path in made) == [
        "ca.pem", "lb1.key", "lb1.pem", "lb2.key", "lb2.pem",
    ]  # fmt: skip
    for path in made:
        wanted = 0o600 if path.suffix == ".key" else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == wanted
    assert not list(shortcomings(material(tmp_path / "new" / "peer"), "lb1", now=NOW))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "lb2.key").write_text("mine")
    with pytest.raises(MaterialError, match=r"lb2\.key is there already; a pair trusts one"):
        make(["lb1", "lb2"], tmp_path, now=NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["lb2.key"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: (d / "ca.pem").unlink(), "ca.pem: No such file or directory; make it with"),
        (lambda d: (d / "ca.pem").write_text("x"), "ca.pem is no certificate"),
        (lambda d: (d / "lb1.key").chmod(0o640), "lb1.key may be read by others (mode 0640); chm"),
        (lambda d: shutil.copy(d / "lb2.key", d / "lb1.key"), "do not belong together"),
        (lambda d: shutil.copy(d / "ca.pem", d / "lb1.pem"), "do not belong together"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, spoil: object, told: str) -> None:
    make(["lb1", "lb2"], tmp_path, now=NOW)
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(MaterialError) as refused:
        contexts(material(tmp_path), listens=False)
    assert told in str(refused.value)
    assert [fatal for fatal, _ in shortcomings(material(tmp_path), "lb1", now=NOW)] == [True]


def test_age_and_name_are_looked_at(tmp_path: Path) -> None:
    make(["lb1", "lb2"], tmp_path, now=NOW)
    mine = material(tmp_path)

    def found(node: str, later: timedelta) -> list[tuple[bool, str]]:
        return list(shortcomings(mine, node, now=NOW + later))

    [(fatal, sentence)] = found("lb2", timedelta(0))
    assert fatal
    assert sentence.endswith("lb1.pem has not the name lb2 in it")
    soon = found("lb1", timedelta(days=3640))
    assert [(fatal, "ends in 10 days" in told) for fatal, told in soon] == [(False, True)] * 2
    assert [fatal for fatal, _ in found("lb1", timedelta(days=3660))] == [True, True]


@pytest.mark.parametrize("ca", ["other/ca.pem", "lb2.pem"], ids=["another", "none"])
def test_an_authority_that_issued_something_else_is_named(tmp_path: Path, ca: str) -> None:
    """`peer init` on both directors, for instance, instead of once for the pair."""
    make(["lb1", "lb2"], tmp_path, now=NOW)
    make(["lb1", "lb2"], tmp_path / "other", now=NOW)
    shutil.copy(tmp_path / ca, tmp_path / "ca.pem")
    [(fatal, sentence)] = shortcomings(material(tmp_path), "lb1", now=NOW)
    assert fatal
    assert "lb1.pem was not issued by the authority in " in sentence


def test_init_makes_them_for_the_directors_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pair.yaml"
    file.write_text(
        "nodes:\n  a: {address: 192.0.2.11, priority: 254}\n"
        "  b: {address: 192.0.2.12, priority: 253}\nvirtual_routers: []\n"
    )
    out = tmp_path / "peer"
    assert main(["peer", "init", str(file), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "to a: ca.pem, a.pem, a.key (mode 0600)" in said
    assert "peer: {}" in said
    assert main(["peer", "init", str(file), "--out", str(out)]) == 3
    assert "is there already" in capsys.readouterr().err
