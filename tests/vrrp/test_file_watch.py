"""What happens to a file or on the way to it is told at once, what happens beside it is not."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from vrrp.file_watch import FileWatch
from vrrp.inotify import names_in

PATIENCE_S = 5.0


@pytest_asyncio.fixture
async def watch() -> AsyncIterator[FileWatch]:
    watch = FileWatch()
    yield watch
    watch.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "run" / "lb" / "load"
    file.parent.mkdir(parents=True)
    file.write_text("1")
    return file


async def told(changed: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await changed.wait()
    changed.clear()


def write(file: Path, text: str) -> None:
    file.write_text(text)


def remove(file: Path) -> None:
    file.unlink()


def forbid(file: Path) -> None:
    file.chmod(0o600)


def replace(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


@pytest.mark.asyncio
async def test_a_file_is_written_replaced_deleted_and_made_again(
    watch: FileWatch, file: Path
) -> None:
    with watch.watching(str(file)) as changed:
        write(file, "2")
        await told(changed)
        for number in range(3):  # each time it is another inode
            replace(file, str(number))
            await told(changed)
        remove(file)
        await told(changed)
        write(file, "3")
        await told(changed)
        forbid(file)
        await told(changed)


@pytest.mark.asyncio
async def test_directories_on_the_way_go_and_come_back(watch: FileWatch, file: Path) -> None:
    top = file.parents[1]
    with watch.watching(str(file)) as changed:
        top.rename(top.with_name("away"))
        await told(changed)
        write(top.with_name("away") / "lb" / "load", "no more about us")
        file.parent.mkdir(parents=True)
        await told(changed)
        write(file, "5")
        await told(changed)
        remove(file)
        file.parent.rmdir()
        await told(changed)
        changed.clear()
        file.parent.mkdir()
        write(file, "6")  # perhaps before the new directory is watched: it is looked into
        await told(changed)


@pytest.mark.asyncio
async def test_a_file_may_come_long_after_its_watch(watch: FileWatch, tmp_path: Path) -> None:
    file = tmp_path / "not" / "there" / "yet"
    with watch.watching(str(file)) as changed:
        file.parent.mkdir(parents=True)
        await told(changed)
        write(file, "1")
        await told(changed)


@pytest.mark.asyncio
async def test_a_symbolic_link_is_followed_and_may_be_turned(
    watch: FileWatch, file: Path, tmp_path: Path
) -> None:
    link = tmp_path / "current"
    other = tmp_path / "other"
    other.mkdir()
    write(other / "load", "7")
    link.symlink_to(file.parent)
    with watch.watching(str(link / "load")) as changed:
        write(file, "2")
        await told(changed)
        beside = tmp_path / "turned"
        beside.symlink_to(other)
        beside.rename(link)
        await told(changed)
        write(other / "load", "8")
        await told(changed)


@pytest.mark.asyncio
async def test_what_happens_beside_wakes_nobody(watch: FileWatch, file: Path) -> None:
    with watch.watching(str(file)) as changed:
        for number in range(50):
            write(file.parent / f"other-{number}", "1")
        beside = file.with_name("second")
        with watch.watching(str(beside)) as marker:
            write(beside, "1")
            await told(marker)
        assert not changed.is_set()


@pytest.mark.asyncio
async def test_two_may_follow_one_file_and_one_may_leave(watch: FileWatch, file: Path) -> None:
    with watch.watching(str(file)) as stays:
        with watch.watching(str(file)) as leaves:
            write(file, "2")
            await told(leaves)
            await told(stays)
        write(file, "3")
        await told(stays)
        assert not leaves.is_set()


@pytest.mark.asyncio
async def test_watches_do_not_pile_up(watch: FileWatch, file: Path, tmp_path: Path) -> None:
    def watches() -> int:
        shown = Path(f"/proc/self/fdinfo/{watch._inotify.fileno()}").read_text()
        return shown.count("inotify wd:")

    with watch.watching(str(file)) as changed:
        before = watches()
        for number in range(20):
            file.parent.rename(tmp_path / f"kept-{number}")
            await told(changed)
            file.parent.mkdir()
            await told(changed)
            write(file, str(number))
            await told(changed)
        assert watches() <= before
    assert watches() == 0


def test_events_are_taken_apart() -> None:
    written = b"\x01\0\0\0" + b"\x08\0\0\0" + bytes(4) + b"\x10\0\0\0" + b"load".ljust(16, b"\0")
    itself = b"\x02\0\0\0" + b"\0\x04\0\0" + bytes(4) + bytes(4)
    assert names_in(written) == {"load"}
    assert names_in(written + itself) == {"load", ""}
    assert names_in(b"") == set()


def test_the_instance_is_not_inherited_by_scripts() -> None:
    async def inheritable() -> bool:
        watch = FileWatch()
        try:
            return os.get_inheritable(watch._inotify.fileno())
        finally:
            watch.close()

    assert not asyncio.run(inheritable())
