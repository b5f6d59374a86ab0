"""Schedulers and modules are told from what is loaded and what could be."""

import os
from pathlib import Path

import pytest

from hadirector.ipvs import modules


def test_loaded_and_loadable_modules_are_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tmp_path / "modules"
    loaded.write_text(
        "ip_vs_wlc 16384 1 - Live 0x0\nip_vs 200704 3 ip_vs_wlc,ip_vs_rr, Live 0x0\n"
        "ip_vs_ftp 16384 0 - Live 0x0\n"
    )
    directory = tmp_path / os.uname().release
    directory.mkdir()
    path = "kernel/net/netfilter/ipvs"
    (directory / "modules.dep").write_text(
        f"{path}/ip_vs_rr.ko.zst: {path}/ip_vs.ko.zst\n"
        f"{path}/ip_vs_wlc.ko: {path}/ip_vs.ko\n{path}/ip_vs_pe_sip.ko:\n"
    )
    (directory / "modules.builtin").write_text(f"{path}/ip_vs_mh.ko\n")
    monkeypatch.setattr(modules, "LOADED", loaded)
    monkeypatch.setattr(modules, "LIBRARY", tmp_path)
    assert modules.schedulers() == ("mh", "rr", "wlc")
    assert modules.loaded() == ("ip_vs", "ip_vs_ftp", "ip_vs_wlc")
    assert modules.told() == "there are: mh, rr, wlc"
    needed = ("ip_vs_wlc", "ip_vs_mh", "ip_vs_rr", "ip_vs_pe_sip", "ip_vs_twos", "ip_vs_pe_x")
    assert modules.ahead(needed) == (
        "modules that are loaded for it: ip_vs_pe_sip, ip_vs_rr",
        "this kernel has no ip_vs_pe_x",
        "this kernel has no ip_vs_twos; there are: mh, rr, wlc",
    )
    assert modules.ahead(("ip_vs_wlc", "ip_vs_mh")) == ()
    for listing in directory.iterdir():
        listing.unlink()
    assert modules.told() == (
        f"loaded are: wlc; which others could be is not known, {directory} cannot be read"
    )
    assert modules.ahead(("ip_vs_wlc", "ip_vs_mh")) == (
        "modules that are loaded for it: ip_vs_mh; whether this kernel has them is not known",
    )


def test_where_nothing_tells_there_is_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "LOADED", tmp_path / "absent")
    monkeypatch.setattr(modules, "LIBRARY", tmp_path)
    assert modules.schedulers() == modules.loaded() == ()
    assert modules.told() == ""
