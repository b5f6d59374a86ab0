"""Several checks, manual resume and what is kept, in the whole director process."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from hadirector import messages
from hadirector.health_store import FILE_NAME
from tests.hadirector.test_director import Daemon, daemon, listening, port_of


async def explained(one: Daemon, server: str, words: str) -> None:
    """Wait until `explain` says so of a server."""
    async with asyncio.timeout(10):
        while True:
            told = await one.asked(f"/explain?what=web/{server}")
            if any(words in sentence for sentence in told["because"]):
                return
            await asyncio.sleep(0.02)


async def reasoned(one: Daemon, words: str) -> None:
    """Wait until `status` gives this reason for the first server's weight."""
    await one.until(lambda status: words in status["services"][0]["servers"][0]["reason"])


async def warned(one: Daemon, words: str) -> None:
    """Wait until `status` warns of this on the first server."""
    await one.until(lambda status: words in str(status["services"][0]["servers"][0]["warnings"]))


async def reloaded(one: Daemon, before: str, after: str) -> None:
    """Change the file and have it read again."""
    text = one.file.read_text()
    assert before in text
    one.file.write_text(text.replace(before, after))
    reply = await one.asked("/reload", "POST")
    assert reply["accepted"], reply


@pytest.mark.asyncio
async def test_any_of_two_all_of_two_and_one_that_only_warns(tmp_path: Path) -> None:
    async with listening() as first, listening() as second:
        server, other = f"127.0.0.1:{port_of(first)}", port_of(second)
        async with daemon(tmp_path, [port_of(first)]) as one:
            await one.hears(messages.Ready)
            checks = f"checks: [{{type: tcp}}, {{type: tcp, port: {other}, label: db}}]"
            more = f"    forward: nat\n    {checks}\n    require: any"
            await reloaded(one, "    forward: nat", more)
            await one.until(lambda _: one.weights() == {server: 1})
            second.close()
            await reasoned(one, "1 of 2 checks up, 1 needed; db is down: 1 failure")
            await explained(one, server, "check db (tcp at 127.0.0.1")
            await explained(one, server, "is down: 1 failure: connection refused")
            assert one.weights() == {server: 1}
            await reloaded(one, "require: any", "require: all")
            await one.until(lambda _: server not in one.weights())
            told = await one.asked(f"/explain?what=web/{server}")
            assert told["state"] == "down"
            assert any("1 of 2 checks up, 2 needed; db is down" in s for s in told["because"])
            assert {check["label"]: check["state"] for check in told["checks"]} == {
                "tcp": "up",
                "db": "down",
            }
            await reloaded(one, "label: db", "label: db, advisory: true")
            await one.until(lambda _: one.weights() == {server: 1})
            events = (await one.asked("/events?count=100"))["events"]
            sentences = [event["sentence"] for event in events if event["kind"] == "check"]
            assert any(f"web/{server}: check db is down: 1 failure" in s for s in sentences)


@pytest.mark.asyncio
async def test_one_that_went_down_waits_for_enable_over_a_restart(tmp_path: Path) -> None:
    async with listening() as first, listening() as second:
        ports = [port_of(first), port_of(second)]
        server, gone = (f"127.0.0.1:{port}" for port in ports)
        async with daemon(tmp_path, ports, check="type: tcp, manual_resume: true") as one:
            await one.hears(messages.Ready)
            await one.until(lambda _: one.weights() == {server: 1, gone: 1})
            second.close()
            await one.until(lambda _: one.weights() == {server: 1})
        kept = json.loads((tmp_path / FILE_NAME).read_text())
        assert kept["checks"][f"web/{gone}"]["held_since"]
        async with (
            await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ports[1]),
            daemon(tmp_path, ports, check="type: tcp, manual_resume: true") as one,
        ):
            await one.hears(messages.Ready)
            await explained(one, gone, "waits for manual resume since")
            assert gone not in one.weights()
            reply = await one.asked(f"/override?what=web/{gone}&order=enable", "POST")
            assert reply["changed"]
            await one.until(lambda _: one.weights() == {server: 1, gone: 1})


@pytest.mark.asyncio
async def test_a_certificate_about_to_expire_warns_and_takes_nobody_out(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    soon = datetime.now(UTC) + timedelta(days=3)
    authority.issue_cert("localhost", not_after=soon).configure_cert(context)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as first:
        server = f"127.0.0.1:{port_of(first)}"
        async with daemon(tmp_path, [port_of(first)]) as one:
            await one.hears(messages.Ready)
            expiry = f"server_name: localhost, ca: {tmp_path}/ca.pem, days_left: 14"
            checks = f"checks: [{{type: tcp}}, {{type: tls, {expiry}, advisory: true}}]"
            await reloaded(one, "    forward: nat", f"    forward: nat\n    {checks}")
            await explained(one, server, "the certificate expires in 2 days")
            await warned(one, "the certificate expires in 2 days")
            assert one.weights() == {server: 1}
            assert any(
                f"web/{server}: check tls (advisory) is down" in sentence
                for sentence in await one.sentences()
            )


@pytest.mark.asyncio
async def test_a_probe_that_cannot_be_made_takes_nobody_out(tmp_path: Path) -> None:
    async with listening() as first:
        server = f"127.0.0.1:{port_of(first)}"
        async with daemon(tmp_path, [port_of(first)]) as one:
            await one.hears(messages.Ready)
            await reloaded(one, "type: tcp,", "type: tcp, source: 192.0.2.77,")
            await explained(one, server, "cannot be made at present, so the verdict stays")
            await warned(one, "cannot be made at present, so the verdict stays: no probe from")
            assert one.weights() == {server: 1}
            told = await one.asked(f"/explain?what=web/{server}")
            (check,) = told["checks"]
            assert (check["state"], check["failed"], check["errors"] > 0) == ("up", 0, True)
            assert "no probe from 192.0.2.77" in check["error"]
            told_of = [s for s in await one.sentences() if "cannot be checked" in s]
            assert len(told_of) == 1  # once for each reason
