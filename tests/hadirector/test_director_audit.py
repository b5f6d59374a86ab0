"""An audit that somebody asks for, in the whole director process."""

from dataclasses import replace
from pathlib import Path

import pytest

from hadirector import messages
from hadirector.ipvs.steps import SetDestination
from tests.hadirector.test_director import daemon, listening, port_of


@pytest.mark.asyncio
async def test_what_another_program_changed_is_put_right_at_once(tmp_path: Path) -> None:
    async with listening() as server, daemon(tmp_path, [port_of(server)]) as one:
        await one.hears(messages.Ready)
        clean = await one.asked("/audit", "POST")
        assert (clean["sentence"], clean["repaired"]) == ("audit: the table matches", [])
        [(key, entry)] = one.table.table.items()
        [(_, ours)] = entry.destinations.items()
        assert one.table.step(SetDestination(key, replace(ours, weight=77), ours)) == 0
        found = await one.asked("/audit", "POST")
        [repaired] = found["repaired"]
        assert repaired.endswith("weight 77 to 1")
        assert one.weights() == {f"127.0.0.1:{port_of(server)}": 1}
        assert any(repaired in sentence for sentence in await one.sentences())
