"""Which files have the same bytes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observing import bare_cache, name_files, scan, sound, write_paths

from audio_cache_daemon.cache.audio import AudioFiles
from audio_cache_daemon.cache.content import ContentReader
from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.digests import digests_path, load_digests
from audio_cache_daemon.eviction.memory import save_readings
from audio_cache_daemon.location import META_NAME, CacheLocation
from audio_cache_daemon.model import ScanNeeds
from audio_cache_daemon.paths import Folders, PathResolver
from audio_cache_daemon.readings import load_readings
from builders import CacheBuilder

PAGE = 4096
CONTENTS = [
    b"",
    b"a",
    b"b",
    b"aa",
    b"\0" * PAGE,
    b"\0" * PAGE + b"a",
    b"\0" * PAGE + b"b",
    b"\0" * (PAGE - 1) + b"a",
    b"\0" * 2 * PAGE + b"a",
    b"a" + b"\0" * 2 * PAGE,
]


@pytest.fixture
def location(tmp_path: Path) -> CacheLocation:
    """A cache with an empty index and an empty audio root."""
    return bare_cache(tmp_path)


def _expected(files: list[Path | None]) -> list[tuple[int, ...]]:
    """For each row the rows whose files have the same bytes, if there are several files."""
    digests = [
        hashlib.sha256(file.read_bytes()).hexdigest() if file and file.exists() and file.stat().st_size else None
        for file in files
    ]
    groups = []
    for digest in digests:
        rows = tuple(row for row, other in enumerate(digests) if digest is not None and other == digest)
        groups.append(rows if len({files[row] for row in rows}) > 1 else ())
    return groups


def _found(content: list[int]) -> list[tuple[int, ...]]:
    return [
        tuple(row for row, other in enumerate(content) if other == number) if number >= 0 else () for number in content
    ]


@settings(max_examples=30)
@given(
    contents=st.lists(st.sampled_from(CONTENTS), min_size=1, max_size=8),
    rows=st.lists(st.integers(0, 9), max_size=16),
)
def test_contents_are_grouped_as_by_a_hash_of_each_file(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], rows: list[int]
) -> None:
    """Of distinct files only: rows that name one file make no group; empty files and missing ones are in none."""
    location = bare_cache(tmp_path_factory.mktemp("content"))
    root = location.audio_roots[0]
    files = [sound(root / f"{number}.wav", content) for number, content in enumerate(contents)]
    named = [files[row] if row < len(files) else root / f"gone{row}.wav" for row in rows]
    content = name_files(location, *named).rows.content.tolist()
    assert _found(content) == _expected([*named])
    assert sorted({number for number in content if number >= 0}) == list(range(len({*content} - {-1})))


def test_contents_are_read_only_when_asked_for(location: CacheLocation) -> None:
    """Reading all audio is what a scan is not."""
    files = [sound(location.audio_roots[0] / name) for name in ("a.wav", "b.wav")]
    assert scan(write_paths(location, *files)).rows.content.tolist() == [-1, -1]


def test_what_is_no_file_any_more_is_in_no_group_and_never_waited_for(location: CacheLocation) -> None:
    """Between the look at the files and the reading they may turn into anything."""
    root = location.audio_roots[0]
    files = [sound(root / f"{name}.wav") for name in ("same", "too", "fifo", "link", "gone", "directory")]
    rows = scan(write_paths(location, *files), ScanNeeds()).rows
    for file in files[2:]:
        file.unlink()
    os.mkfifo(files[2])
    files[3].symlink_to(files[0])
    files[5].mkdir()
    with (location.path / META_NAME).open("rb") as meta, Folders(location) as folders:
        content = ContentReader(AudioFiles(meta.fileno(), PathResolver(location), folders)).number_contents(rows)
    assert content.tolist() == [0, 0, -1, -1, -1, -1]


def test_an_index_that_changed_meanwhile_leads_to_no_file_elsewhere(location: CacheLocation) -> None:
    """The rows are read again to find their files; one that now has another path is read in the root or not at all."""
    root = location.audio_roots[0]
    files = [sound(root / f"{name}.wav") for name in "ab"]
    rows = scan(write_paths(location, *files)).rows
    lines = (location.path / META_NAME).read_bytes()
    for path in ("/etc/a.wav", "a.wav", f"{root.parent}/a.wav"):
        changed = lines.replace(str(files[0]).encode(), path.encode().rjust(len(str(files[0])), b"/"))
        (location.path / META_NAME).write_bytes(changed)
        with (location.path / META_NAME).open("rb") as meta, Folders(location) as folders:
            content = ContentReader(AudioFiles(meta.fileno(), PathResolver(location), folders)).number_contents(rows)
        assert content.tolist() == [-1, -1]


def test_many_sizes_and_contents(location: CacheLocation) -> None:
    """Three thousand files, each second one a copy, rows in an order of their own."""
    root = location.audio_roots[0]
    files = [sound(root / f"{number}.wav", b"%d" % (number // 2)) for number in range(3000)]
    order = np.random.default_rng(1).permutation(3000)
    content = name_files(location, *[files[number] for number in order]).rows.content
    by_number = np.empty(3000, np.int32)
    by_number[order] = content
    assert (by_number[::2] == by_number[1::2]).all()
    assert len(np.unique(by_number)) == 1500


def test_a_second_look_opens_no_audio_file_and_a_changed_one_is_read_anew(tmp_path: Path) -> None:
    """A dry run remembers nothing; a run does, and what it finds is the same with and without."""
    cache = CacheBuilder(tmp_path)
    long = bytes(2 * PAGE)
    paths = [
        cache.add(prompt, audio=audio) for prompt, audio in (("a", b"one"), ("b", b"two"), ("c", long), ("d", long))
    ]
    location = cache.write()
    first = load_readings(location)
    content = scan_cache(location, ScanNeeds(content=True), Surroundings(readings=first)).rows.content.tolist()
    assert content == [-1, -1, 0, 0]
    save_readings(location, first)
    unasked = load_readings(location)
    scan_cache(location, ScanNeeds(), Surroundings(readings=unasked))
    # As by a run whose policy doesn't ask for contents.
    save_readings(location, unasked)
    again = load_readings(location)
    with _counting_opens() as opened:
        found = scan_cache(location, ScanNeeds(content=True), Surroundings(readings=again)).rows.content.tolist()
    assert (found, opened & {path.name for path in paths}, again.digests.is_changed) == (content, set(), False)
    paths[1].write_bytes(b"one")
    with _counting_opens() as opened:
        found = scan_cache(location, ScanNeeds(content=True), Surroundings(readings=again)).rows.content.tolist()
    assert (found, opened & {path.name for path in paths}) == ([0, 0, 1, 1], {paths[1].name})


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version":2,"digests":[]}', b"\xff"])
def test_digests_that_cannot_be_read_are_found_anew(tmp_path: Path, content: bytes) -> None:
    location = CacheBuilder(tmp_path).write()
    location.state_directory.mkdir()
    digests_path(location).write_bytes(content)
    assert not load_digests(location).is_changed


@contextmanager
def _counting_opens() -> Iterator[set[str]]:
    """The names of all that this process opens meanwhile."""
    opened: set[str] = set()
    is_on = [True]

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if is_on[0] and event == "open":
            opened.add(Path(os.fsdecode(arguments[0])).name if isinstance(arguments[0], str | bytes) else "")

    sys.addaudithook(note)
    try:
        yield opened
    finally:
        is_on[0] = False
