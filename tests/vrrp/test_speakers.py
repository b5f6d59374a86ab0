"""What is worth a line while listening: who comes, changes, leaves; what does not fit."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from vrrp.dissect import Dissection, dissect
from vrrp.packet import Advertisement, ChecksumForm, encode
from vrrp.speakers import SPEAKERS_MAX, Speakers

ONE, OTHER = IPv4Address("192.0.2.11"), IPv4Address("192.0.2.12")
USUAL = Advertisement(
    vrid=51, priority=254, interval_cs=100, addresses=(IPv4Address("192.0.2.100"),)
)


def said(
    advertisement: Advertisement = USUAL,
    source: IPv4Address = ONE,
    form: ChecksumForm = ChecksumForm.PSEUDO_HEADER,
) -> Dissection:
    return dissect(encode(advertisement, source, form=form), source)


def test_a_new_speaker_is_told_once() -> None:
    speakers = Speakers()
    [line] = speakers.hear(said(), 0.0)
    assert line == (
        "VRID 51 192.0.2.11: version 3, priority 254, every 1000 ms, checksum with pseudo-header, "
        "addresses 192.0.2.100"
    )
    assert speakers.hear(said(), 1.0) == []


def test_a_change_is_told() -> None:
    speakers = Speakers()
    speakers.hear(said(), 0.0)
    assert speakers.hear(said(replace(USUAL, priority=100)), 1.0) == [
        "VRID 51 192.0.2.11: priority is 100 now, was 254"
    ]


def test_a_goodbye_and_a_return_are_told() -> None:
    speakers = Speakers()
    speakers.hear(said(), 0.0)
    goodbye = said(replace(USUAL, priority=0))
    assert speakers.hear(goodbye, 1.0) == ["VRID 51 192.0.2.11: leaves (priority 0)"]
    assert speakers.hear(goodbye, 1.1) == []
    assert speakers.silences(60.0) == []
    [line] = speakers.hear(said(), 61.0)
    assert line.startswith("VRID 51 192.0.2.11: speaks again")


def test_silence_is_told_once() -> None:
    speakers = Speakers()
    speakers.hear(said(), 0.0)
    assert speakers.silences(3.9) == []
    assert speakers.silences(4.1) == ["VRID 51 192.0.2.11: silent for more than 4 s"]
    assert speakers.silences(9.0) == []


def test_two_actives_are_wrong_after_two_intervals() -> None:
    speakers = Speakers()
    told = []
    for second in range(5):
        told += speakers.hear(said(), second)
        told += speakers.hear(said(source=OTHER), second + 0.5)
    [line] = [line for line in told if "both active" in line]
    assert line == (
        "WRONG: VRID 51: 192.0.2.11 and 192.0.2.12 are both active: "
        "they do not hear or do not accept each other"
    )


def test_a_takeover_is_not_wrong() -> None:
    speakers = Speakers()
    for second in range(5):
        speakers.hear(said(), second)
    speakers.hear(said(replace(USUAL, priority=0)), 4.5)
    told = [line for second in range(5, 15) for line in speakers.hear(said(source=OTHER), second)]
    assert not [line for line in told if "WRONG" in line]


def test_directors_that_differ_are_wrong() -> None:
    speakers = Speakers()
    speakers.hear(said(), 0.0)
    lines = speakers.hear(said(replace(USUAL, interval_cs=50), OTHER, ChecksumForm.PLAIN), 0.5)
    about = "WRONG: VRID 51: 192.0.2.11 and 192.0.2.12 differ in"
    assert lines[1:] == [
        f"{about} interval: 500 ms, 1000 ms",
        f"{about} checksum form: without pseudo-header, with pseudo-header",
    ]


def test_one_address_in_two_virtual_routers_is_wrong() -> None:
    speakers = Speakers()
    speakers.hear(said(), 0.0)
    assert "WRONG: 192.0.2.100 is in VRID 51 and 52" in speakers.hear(
        said(replace(USUAL, vrid=52), OTHER), 0.1
    )


def test_a_broken_packet_is_told_once() -> None:
    speakers = Speakers()
    broken = encode(USUAL, ONE)[:6] + b"\0\0" + encode(USUAL, ONE)[8:]
    lines = speakers.hear(dissect(broken, ONE), 0.0)
    assert lines[1].startswith("VRID 51 192.0.2.11: WRONG: the checksum is 0000")
    assert speakers.hear(dissect(broken, ONE), 1.0) == []
    assert len(speakers.hear(dissect(b"\x31"), 2.0)) == 1


def test_a_flood_of_senders_is_bounded() -> None:
    speakers = Speakers()
    for number in range(SPEAKERS_MAX + 10):
        vrid = number % 255 + 1
        source = IPv4Address("10.0.0.0") + number // 255
        speakers.hear(replace_source(said(replace(USUAL, vrid=vrid)), source), 0.0)
    assert len(speakers.known) == SPEAKERS_MAX
    assert speakers.forgotten == 10


def replace_source(told: Dissection, source: IPv4Address) -> Dissection:
    told.source = source
    return told
