"""Owners, groups and modes: the writer can write the index after us, and what we may not remove stays."""

from __future__ import annotations

import errno
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cache_runs import audio_files, execute, make_dozen, plan_policy, read_items, snapshot
from child_run import NOBODY, Answer, order_for, run_child

from audio_cache_daemon.eviction.memory import remember, save_memory
from audio_cache_daemon.location import ARRAY_NAMES, META_NAME, STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.manifest import TRASH
from audio_cache_daemon.model import OutcomeKind
from builders import CacheBuilder
from tools import in_namespaces

WRITER, STRANGER, GROUP = 12345, 23456, 34567
INDEX = (META_NAME, *ARRAY_NAMES)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users reach: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def give_away(tree: Path, user: int, group: int, *, file_mode: int, directory_mode: int) -> None:
    """Give a whole tree to a user and a group."""
    for path in (tree, *tree.rglob("*")):
        os.chown(path, user, group)
        path.chmod(directory_mode if path.is_dir() else file_mode)


def run_as(location: CacheLocation, user: int, group: int, *groups: int) -> Answer:
    return run_child(order_for(location, uid=user, gid=group, groups=groups))


@needs_root
def test_new_index_files_have_the_owner_group_and_mode_of_the_old(tmp_path: Path) -> None:
    """Each its own: what root evicts, the writer can go on writing."""
    location = make_dozen(tmp_path).write()
    for number, name in enumerate(INDEX):
        os.chown(location.path / name, WRITER + number, GROUP + number)
        (location.path / name).chmod(0o640 + number)
    execute(plan_policy(location))
    for number, name in enumerate(INDEX):
        status = (location.path / name).stat()
        assert (status.st_uid, status.st_gid) == (WRITER + number, GROUP + number)
        assert stat.S_IMODE(status.st_mode) == 0o640 + number


def test_an_access_control_list_is_kept(tmp_path: Path) -> None:
    """One that lets another user write: the new file has it too. One that our directory would hand down: it hasn't."""
    location = make_dozen(tmp_path).write()
    entries = [(1, 6, -1), (2, 6, WRITER), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", tag, perm, who) for tag, perm, who in entries)
    try:
        os.setxattr(location.path / META_NAME, "system.posix_acl_access", acl)
        os.setxattr(location.path, "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error}")
    execute(plan_policy(location))
    assert os.getxattr(location.path / META_NAME, "system.posix_acl_access") == acl
    assert "system.posix_acl_access" not in os.listxattr(location.path / ARRAY_NAMES[0])
    assert stat.S_IMODE((location.path / ARRAY_NAMES[0]).stat().st_mode) == 0o644


def test_a_file_system_without_attributes_has_none_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ExFAT, for one, says so as an error."""

    def refuse(_: object) -> list[str]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    location = make_dozen(tmp_path).write()
    monkeypatch.setattr(os, "listxattr", refuse)
    assert {outcome.kind for outcome in execute(plan_policy(location))} == {OutcomeKind.EVICTED}


@needs_root
def test_our_files_belong_to_whom_the_cache_belongs(tmp_path: Path) -> None:
    """What root does by hand doesn't lock out the service: lock, memory, manifest and trash are its own."""
    location = make_dozen(tmp_path).write()
    give_away(tmp_path, WRITER, GROUP, file_mode=0o660, directory_mode=0o770)
    plan = plan_policy(location)
    save_memory(location, remember(plan, None, dropped=0))
    old_mask = os.umask(0o077)
    try:
        execute(plan)
    finally:
        os.umask(old_mask)
    ours = [path for path in tmp_path.rglob("*") if STATE_DIRECTORY in path.parts]
    assert len(ours) > 8
    for path in ours:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (WRITER, GROUP), path
        assert status.st_mode & 0o060 == 0o060, path


@needs_root
def test_an_index_that_the_writer_could_not_write_is_not_put_in_its_place(open_directory: Path) -> None:
    """A user who may change the directory but not give files away: refused, and nothing is changed."""
    location = make_dozen(open_directory).write()
    give_away(open_directory / "audio", WRITER, GROUP, file_mode=0o644, directory_mode=0o777)
    before = snapshot(open_directory)
    answer = run_as(location, STRANGER, STRANGER)
    assert answer.result == "failed"
    assert "could not write" in (answer.error or "")
    assert snapshot(open_directory) == before


@needs_root
def test_a_group_that_shares_the_index_may_rewrite_it(open_directory: Path) -> None:
    """The writer's files are writable for a group of ours: the new ones are ours, and writable for it as well."""
    location = make_dozen(open_directory).write()
    give_away(open_directory / "audio", WRITER, GROUP, file_mode=0o664, directory_mode=0o2775)
    assert run_as(location, STRANGER, STRANGER, GROUP).result == "success"
    assert len(read_items(location.path)) == 8
    for name in INDEX:
        status = (location.path / name).stat()
        assert status.st_gid == GROUP
        assert stat.S_IMODE(status.st_mode) == 0o664


@needs_root
def test_after_a_colleague_each_member_of_the_group_can_run(open_directory: Path) -> None:
    """Two services of one group take turns: neither locks the other out with files of its own."""
    location = make_dozen(open_directory).write()
    give_away(open_directory / "audio", WRITER, GROUP, file_mode=0o664, directory_mode=0o2775)
    assert run_child(order_for(location, uid=WRITER, gid=GROUP, umask=0o077)).result == "success"
    # The audit log isn't of ours to hold here: its directory may be somebody else's.
    (location.state_directory / "audit.jsonl").chmod(0o660)
    order = order_for(location, uid=STRANGER, gid=STRANGER, groups=(GROUP,), run="run-2", pattern="keep 1")
    answer = run_child(order)
    assert (answer.result, answer.error) == ("success", None)


@pytest.fixture
def _namespaces() -> None:
    """For tests with `private_users`."""
    in_namespaces()


@needs_root
@pytest.mark.usefixtures("_namespaces")
def test_a_service_that_knows_no_user_but_its_own_shares_through_its_group(open_directory: Path) -> None:
    """The sandbox of a unit with PrivateUsers=: the generator's user has no number there that could be given."""
    location = make_dozen(open_directory).write()
    give_away(open_directory / "audio", WRITER, GROUP, file_mode=0o664, directory_mode=0o2770)
    order = order_for(location, uid=STRANGER, gid=GROUP, umask=0o002, private_users=True)
    answer = run_child(order)
    assert (answer.result, answer.error) == ("success", None)
    assert len(read_items(location.path)) == 8
    for path in (path for path in open_directory.rglob("*") if path.stat().st_uid == STRANGER):
        status = path.stat()
        assert status.st_gid == GROUP, path
        assert stat.S_IMODE(status.st_mode) in ((0o2770,) if path.is_dir() else (0o660, 0o664, 0o600)), path


@needs_root
@pytest.mark.usefixtures("_namespaces")
def test_a_group_that_a_sandbox_hides_is_not_counted_on(open_directory: Path) -> None:
    """With PrivateUsers= a second group has no number either, so nobody can tell which one the files have: refused."""
    location = make_dozen(open_directory).write()
    give_away(open_directory / "audio", WRITER, GROUP, file_mode=0o664, directory_mode=0o2770)
    before = snapshot(open_directory)
    answer = run_child(
        order_for(location, uid=STRANGER, gid=STRANGER, groups=(GROUP,), umask=0o002, private_users=True)
    )
    assert answer.result == "failed"
    assert "could not write" in (answer.error or "")
    assert snapshot(open_directory) == before


def a_user() -> int:
    """Somebody whom permissions hold back: root has to become one."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


def make_shelves(directory: Path) -> tuple[CacheLocation, list[Path]]:
    """Items to be dropped in two directories, the first of which is locked by a test; ours, or nobody's."""
    cache = CacheBuilder(directory)
    paths = [cache.output / shelf / f"drop_{2_000_000_000_000 + n}.wav" for n, shelf in enumerate(("a", "b"))]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"sound")
        cache.add("drop", path=str(path))
    cache.add("gone", path=str(paths[0].with_name("gone_2000000000000.wav")))
    cache.add("keep")
    location = cache.write()
    if os.geteuid() == 0:
        give_away(cache.output, NOBODY, NOBODY, file_mode=0o644, directory_mode=0o755)
    return location, paths


def test_a_file_in_a_directory_that_we_may_not_write_stays_with_its_row(open_directory: Path) -> None:
    """It is `failed`; the others go all the same."""
    location, paths = make_shelves(open_directory)
    paths[0].parent.chmod(0o555)
    before = read_items(location.path)
    answer = run_as(location, a_user(), a_user())
    assert (answer.result, answer.evicted, answer.failed) == ("partial", 1, 1)
    assert paths[0].read_bytes() == b"sound"
    assert not paths[1].exists()
    assert read_items(location.path) == [before[0], *before[2:]]


def test_a_row_without_a_file_goes_though_its_directory_cannot_be_written(open_directory: Path) -> None:
    """Nothing has to be removed there for it, so nothing has to be allowed."""
    location, paths = make_shelves(open_directory)
    paths[0].parent.chmod(0o555)
    answer = run_child(order_for(location, uid=a_user(), gid=a_user(), pattern="gone"))
    assert (answer.result, answer.evicted, answer.failed) == ("success", 1, 0)


@needs_root
def test_a_sticky_directory_keeps_the_files_of_others(open_directory: Path) -> None:
    """Writable for all, but each may remove only what is their own: the other's item is `failed`, and whole."""
    location, paths = make_shelves(open_directory)
    paths[0].parent.chmod(0o1777)
    os.chown(paths[0].parent, 0, 0)
    os.chown(paths[0], WRITER, GROUP)
    answer = run_as(location, NOBODY, NOBODY)
    assert (answer.result, answer.evicted, answer.failed) == ("partial", 1, 1)
    assert paths[0].exists()
    assert len(read_items(location.path)) == 3


def test_an_audio_root_in_which_no_trash_can_be_made_keeps_its_files(open_directory: Path) -> None:
    """They are `failed`, their rows stay; the rest of the run goes on."""
    location, paths = make_shelves(open_directory)
    location.audio_roots[0].chmod(0o555)
    answer = run_child(order_for(location, uid=a_user(), gid=a_user(), pattern="drop|gone"))
    location.audio_roots[0].chmod(0o755)
    assert (answer.result, answer.evicted, answer.failed) == ("partial", 1, 2)
    assert all(path.exists() for path in paths)
    assert len(read_items(location.path)) == 3


@needs_root
def test_an_exchange_that_the_system_refuses_changes_nothing(open_directory: Path) -> None:
    """A sticky cache directory: new files can be made there, but the writer's can't be moved."""
    location = make_dozen(open_directory).write()
    give_away(open_directory / "audio", WRITER, GROUP, file_mode=0o664, directory_mode=0o2775)
    location.path.chmod(0o3775)
    before = snapshot(open_directory)
    answer = run_as(location, STRANGER, STRANGER, GROUP)
    assert answer.result == "failed"
    assert "nothing was changed" in (answer.error or "")
    assert snapshot(open_directory) == before
    assert not list((location.state_directory / TRASH).glob("*"))
    assert list(audio_files(location))
