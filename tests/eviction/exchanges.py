"""Small indexes made of a simulated generator's items, and exchanges of their files taken step by step."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_cache_daemon.errors import DeferredError
from audio_cache_daemon.eviction.changes import FileChange, Kept, Part, Zeros
from audio_cache_daemon.eviction.directories import create_file, make_state_directory
from audio_cache_daemon.eviction.exchange import exchange
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.journal import REWRITE, SAVED, Journal, rewrite_directory
from audio_cache_daemon.eviction.ranges import kept_ranges
from audio_cache_daemon.eviction.reconcile import reconcile
from audio_cache_daemon.eviction.rewrite import finish_rewrite, prepare_changes
from audio_cache_daemon.formats import identify, read_array_info
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.manifest import MANIFEST_NAME
from generator import ARRAYS, META, WIDTHS, Generator, NewItem, Steps

BGE = ARRAYS[2]
RUN = Execution("run-1", to_trash=False)


@dataclass(frozen=True)
class Case:
    """An index of so many items, those that are dropped, and what may be odd about it.

    `is_zeroed`: the vectors of what is dropped are zero, as after a retirement. `bge` are the rows of that array (-1:
    it isn't there), of which the first `known` are known to be those of the first lines. `twin` says which old item's
    prompt each new one has, so that they have the same texts' vectors.
    """

    items: int = 4
    dropped: frozenset[int] = frozenset({1})
    is_zeroed: bool = False
    bge: int = 4
    known: int = 0
    twin: int | None = None
    qualities: tuple[float | None, ...] = (0.6, 0.5, 0.4)

    def old(self) -> list[NewItem]:
        return [NewItem(f"old {number}", number, 0.3 + number / 20) for number in range(self.items)]

    def new(self, number: int) -> NewItem:
        """The item that is added as the `number`-th."""
        prompt = f"new {number}" if self.twin is None else f"old {self.twin}"
        return NewItem(prompt, 100 + number, self.qualities[number])

    def kept(self) -> list[int]:
        return [number for number in range(self.items) if number not in self.dropped]

    @property
    def names(self) -> tuple[str, ...]:
        """The files of the index."""
        return (META, *(ARRAYS if self.bge >= 0 else ARRAYS[:2]))

    @property
    def has_bge(self) -> bool:
        """Whether the array is as long as the others, so that its rows are known."""
        return self.bge == self.items


@dataclass(frozen=True)
class Content:
    """An index, as it stands on the disk: lines, and the rows of each array, as bytes."""

    lines: tuple[bytes, ...]
    rows: dict[str, tuple[bytes, ...]]


def make_cache(directory: Path, case: Case) -> CacheLocation:
    """Write the index of a case."""
    cache = directory / "cache"
    cache.mkdir(parents=True)
    for name, content in _index_files(case).items():
        (cache / name).write_bytes(content)
    return CacheLocation("test", cache, (directory,))


@functools.cache
def _index_files(case: Case) -> dict[str, bytes]:
    old = case.old()
    files = {META: b"".join(item.line() for item in old)}
    for place, name in enumerate(case.names[1:]):
        rows = np.array([item.vectors()[place] for item in old], np.float32).reshape(len(old), WIDTHS[place])
        if case.is_zeroed:
            rows[sorted(case.dropped)] = 0
        stream = io.BytesIO()
        np.save(stream, rows[: case.bge] if name == BGE else rows)
        files[name] = stream.getvalue()
    return files


def changes_to_drop(location: CacheLocation, case: Case) -> Iterator[FileChange]:
    """The changes that drop what a case drops; a short array becomes zeros behind what is known of it."""
    kept = np.array([number not in case.dropped for number in range(case.items)], np.bool_)
    offset = np.cumsum([0, *(len(item.line()) for item in case.old())], dtype=np.int64)
    yield FileChange(META, identify((location.path / META).stat()), (Kept(*kept_ranges(offset, kept)),))
    for name in case.names[1:]:
        with (location.path / name).open("rb") as file:
            info = read_array_info(name, file.fileno())
        is_short = info.rows != case.items
        numbers = np.arange(case.items + 1, dtype=np.int64)
        known = case.known if is_short else case.items
        parts: list[Part] = [Kept(*kept_ranges(numbers[: known + 1], kept[:known]))]
        if is_short:
            parts.append(Zeros(int(kept[known:].sum())))
        yield FileChange(name, info.identity, tuple(parts), info, keep_old=is_short)


def prepare(location: CacheLocation, case: Case) -> Journal:
    """Prepare the exchange that drops what a case drops."""
    create_file(make_state_directory(location.path, REWRITE, SAVED) / MANIFEST_NAME).close()
    return prepare_changes(location, list(changes_to_drop(location, case)), RUN)


def exchanges(location: CacheLocation, journal: Journal) -> Iterator[None]:
    """Exchange the files, one by one."""
    for file in journal.files:
        exchange(rewrite_directory(location) / file.name, location.path / file.name)
        yield


def reconcile_now(location: CacheLocation) -> bool:
    """Whether the index is right now, or has to be looked at again; no time passes."""
    try:
        reconcile(location, lambda: None)
    except DeferredError:
        return False
    finish_rewrite(location)
    return True


def read_content(cache: Path) -> Content:
    lines = tuple((cache / META).read_bytes().splitlines(keepends=True))
    rows = {name: tuple(row.tobytes() for row in np.load(cache / name)) for name in ARRAYS if (cache / name).exists()}
    return Content(lines, rows)


@functools.cache
def expected_content(case: Case, items: tuple[NewItem, ...]) -> Content:
    """The index that only holds what was kept, and what was added afterwards; a short array has zeros in between."""
    kept, new = [case.old()[number] for number in case.kept()], list(items)
    lines = tuple(item.line() for item in (*kept, *new))
    rows = {}
    for place, name in enumerate(case.names[1:]):
        vectors = [item.vectors()[place].tobytes() for item in (*kept, *new)]
        if name == BGE and not case.has_bge:
            known = sum(number < case.known for number in case.kept())
            vectors[known : len(kept)] = [bytes(len(vectors[0]))] * (len(kept) - known) if vectors else []
        rows[name] = tuple(vectors)
    return Content(lines, rows)


def serve_steps(generator: Generator, items: Sequence[NewItem]) -> Steps:
    """The steps of additions that change or read files."""
    for item in items:
        yield from (step for step in generator.additions(item) if step != "reload")


def leave_open(location: CacheLocation) -> bool:
    """Whether an exchange isn't through."""
    return rewrite_directory(location).exists()


def tear(path: Path) -> None:
    """Leave an array as a generator leaves it that is killed while it saves: its header, and a part of its rows."""
    os.truncate(path, path.stat().st_size * 2 // 3)
