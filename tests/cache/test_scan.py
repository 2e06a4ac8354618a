"""One look at a whole cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from observing import bare_cache, problem_count, problems, scan, states, write_lines

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.errors import CacheUnreadableError
from audio_cache_daemon.formats import identify
from audio_cache_daemon.ids import read_keys, spell_keys
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import Memory, ScanNeeds
from builders import CacheBuilder

ROW = b'{"path": "/nowhere/%d.wav", "prompt": "x", "timestamp": %d}\n'


class Meanwhile(Sequence[CacheLocation]):
    """No neighbours; a scan asks for them after it has read the index, and then something happens to that."""

    def __init__(self, happen: Callable[[int], object]) -> None:
        self.looks = 0
        self._happen = happen

    def __iter__(self) -> Iterator[CacheLocation]:
        self.looks += 1
        self._happen(self.looks)
        return iter(())

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: object) -> CacheLocation:  # type: ignore[override]
        raise IndexError(index)


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache of one row."""
    return bare_cache(tmp_path, ROW % (0, 5))


def _append(path: Path, row: int) -> None:
    with path.open("ab") as file:
        file.write(ROW % (row, 5))


def test_an_index_that_changes_while_it_is_read_is_read_again(location: CacheLocation) -> None:
    """The addition is in what is handed on, and what was seen at first isn't in it twice."""
    index = location.path / META_NAME
    meanwhile = Meanwhile(lambda look: _append(index, look) if look == 1 else None)
    inventory = scan_cache(location, ScanNeeds(), Surroundings(meanwhile))
    assert meanwhile.looks == 2
    assert len(inventory.rows) == 2
    assert problem_count(inventory, "undecidable_path") == 2
    assert inventory.index.identity == identify(index.stat())


def test_an_index_that_is_replaced_while_it_is_read_is_read_again(location: CacheLocation) -> None:
    """A file that was renamed away doesn't change any more, so its name tells."""
    index, new = location.path / META_NAME, location.path / "new"
    new.write_bytes(ROW % (1, 7) + ROW % (2, 8))
    inventory = scan_cache(location, ScanNeeds(), Surroundings(Meanwhile(lambda look: look == 1 and new.rename(index))))
    assert inventory.rows.timestamp.tolist() == [7, 8]


def test_an_index_that_never_rests_is_taken_as_it_was_seen_last(location: CacheLocation) -> None:
    """After three looks, under the identity that it had before the last: so nothing is done to it that wasn't seen."""
    index = location.path / META_NAME
    meanwhile = Meanwhile(lambda look: _append(index, look))
    inventory = scan_cache(location, ScanNeeds(), Surroundings(meanwhile))
    assert meanwhile.looks == 3
    assert len(inventory.rows) == 3
    assert inventory.index.identity != identify(index.stat())


def test_an_index_that_goes_while_it_is_read_is_no_cache(location: CacheLocation) -> None:
    """And no error of ours."""
    with pytest.raises(CacheUnreadableError, match="doesn't exist"):
        scan_cache(location, ScanNeeds(), Surroundings(Meanwhile(lambda _: (location.path / META_NAME).unlink())))


@pytest.mark.parametrize("kind", ["missing", "no directory", "directory", "link", "fifo", "socket"])
def test_an_index_that_is_no_regular_file_ends_the_scan(location: CacheLocation, kind: str) -> None:
    """With a message that names it; a link isn't followed, a FIFO isn't waited for."""
    index = location.path / META_NAME
    index.rename(location.path / "elsewhere.jsonl")
    if kind == "no directory":
        location.path.rename(location.path.with_name("renamed"))
    elif kind == "directory":
        index.mkdir()
    elif kind == "link":
        index.symlink_to("elsewhere.jsonl")
    elif kind == "fifo":
        os.mkfifo(index)
    elif kind == "socket":
        os.mknod(index, 0o140600)
    with pytest.raises(CacheUnreadableError, match=r"meta\.jsonl (doesn't exist|can't be read: .)"):
        scan(location)


def test_since_when_a_file_is_missing_is_recalled_by_the_id_of_its_row(tmp_path: Path) -> None:
    """Whatever happened to the rows before it; of a file that is there again it is not."""
    cache = CacheBuilder(tmp_path)
    paths = [cache.add(f"prompt {number}", audio=None) for number in range(4)]
    location = cache.write()
    lines = (location.path / META_NAME).read_bytes().splitlines(keepends=True)
    with (location.path / META_NAME).open("rb") as file:
        keys = read_keys(file.fileno(), np.cumsum([0, *map(len, lines)]), np.arange(4))
    ids = spell_keys(keys[1:])
    memory = Memory(0, 4, {}, dict(zip(ids, (10.0, 20.0, 30.0), strict=True)))
    write_lines(location, b"".join(lines[1:] + lines[:1]))
    paths[1].write_bytes(b"sound")
    inventory = scan(location, memory=memory)
    assert states(inventory) == ["ok", "missing", "missing", "missing"]
    assert np.array_equal(inventory.rows.missing_since, [np.nan, 20, 30, np.nan], equal_nan=True)


def test_without_memory_nothing_is_recalled(tmp_path: Path) -> None:
    """Since when a file is missing is not known then."""
    cache = CacheBuilder(tmp_path)
    cache.add(audio=None)
    assert np.isnan(scan(cache.write()).rows.missing_since).all()


def test_a_root_is_described_with_its_file_system(location: CacheLocation) -> None:
    """Device and inode of the directory itself, behind a link too; free space as an ordinary user has it."""
    root = location.audio_roots[0]
    before = os.statvfs(root)
    (found,) = scan(location).roots
    status, disk = root.stat(), os.statvfs(root)
    assert (found.path, found.device, found.inode) == (root, status.st_dev, status.st_ino)
    assert found.disk_size == disk.f_blocks * disk.f_frsize
    # Others write there too, meanwhile.
    assert 0 < found.disk_free <= max(before.f_bfree, disk.f_bfree) * disk.f_frsize + 2**30


def test_problems_are_counted_and_few_are_kept(location: CacheLocation) -> None:
    """Examples of each kind with their place, and how many more there are."""
    write_lines(location, b"\n" * 100 + b"{\n" * 3)
    inventory = scan(location)
    assert problems(inventory, "blank_line") == ["line 1", "line 2", "line 3", "line 4", "line 5", ""]
    assert problem_count(inventory, "blank_line") == 100
    assert problems(inventory, "unreadable_line") == ["line 101", "line 102", "line 103"]


def _descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def _times(directory: Path) -> list[tuple[Path, int, int]]:
    return [(path, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in sorted(directory.rglob("*"))]


def test_a_scan_writes_nothing(tmp_path: Path) -> None:
    """Neither a file nor a time of change, and leaves nothing open."""
    cache = CacheBuilder(tmp_path)
    cache.add()
    cache.add_stray("rain_1700000000000.wav")
    location = cache.write()
    before = _times(tmp_path)
    descriptors = _descriptors()
    scan(location, ScanNeeds(frozenset({"x"}), content=True), memory=Memory(0, 0, {}, {}))
    assert _descriptors() == descriptors
    assert _times(tmp_path) == before


def test_a_process_of_one_thread_finds_what_a_process_of_several_does(tmp_path: Path) -> None:
    """The one walks the roots in a child, as a command does; the other, as this one with numpy's threads, itself."""
    cache = CacheBuilder(tmp_path)
    for age in range(5):
        cache.add(age=age)
    cache.add(audio=None)
    cache.add_stray("rain_1700000000000.wav")
    location = cache.write()
    code = (
        "import sys; from pathlib import Path; from observing import *;"
        "inventory = scan(CacheLocation('test', Path(sys.argv[1]), (Path(sys.argv[2]),)));"
        "print(states(inventory), inventory.rows.inode.tolist(), inventory.strays.path)"
    )
    tests = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    found = subprocess.run(
        [sys.executable, "-c", code, str(location.path), str(cache.output)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(tests), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    inventory = scan(location)
    assert found == f"{states(inventory)} {inventory.rows.inode.tolist()} {inventory.strays.path}"
