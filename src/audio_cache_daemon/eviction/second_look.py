"""Each planned eviction looked at once more, right before anything is changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypedDict

import numpy as np

from audio_cache_daemon.columns import distinct, iter_rows, look_up
from audio_cache_daemon.decoder import Decoder
from audio_cache_daemon.eviction.directories import create_file
from audio_cache_daemon.eviction.execution import Execution
from audio_cache_daemon.eviction.manifest import append_entry
from audio_cache_daemon.eviction.removal import check_owner, check_writable, look_again, open_file, same_bytes
from audio_cache_daemon.eviction.taking import find_closed_roots
from audio_cache_daemon.ids import stray_id
from audio_cache_daemon.manifest import MANIFEST_NAME, ManifestEntry
from audio_cache_daemon.model import (
    BROKEN,
    Bools,
    DecodingState,
    FileIdentity,
    Ints,
    ItemState,
    Outcome,
    OutcomeKind,
    Plan,
    Rows,
)
from audio_cache_daemon.paths import Folder, Folders, PathResolver
from audio_cache_daemon.readback import ReadRow, RowReader


class _Planned(NamedTuple):
    """What a plan knows of the file of a row that it evicts.

    `keeper` is the row that has to be there still, with the same bytes if it `has_same_bytes`; -1: none has to. What
    `is_broken` has to decode as it did.
    """

    expected: FileIdentity
    there: bool
    file: int
    used_elsewhere: bool
    keeper: int
    has_same_bytes: bool
    is_broken: bool


class SecondLook:
    """Tells for each eviction of a plan whether it still stands. A context manager: it closes what it opened.

    `closed` are the roots from which no file can be removed, and why.
    """

    def __init__(self, plan: Plan, closed: Mapping[int, str]) -> None:
        self._plan = plan
        self._closed = closed
        self._rows = plan.inventory.rows
        self._resolver = PathResolver(plan.inventory.location)
        # A row that was added since may name a file that none did.
        self._reader = RowReader(plan.inventory, may_have_grown=not len(plan.strays))
        self._folders = Folders(plan.inventory.location)
        self._decoder = Decoder()
        self._namings = _count_namings(self._rows, plan.rows.subject)
        self._stood: Counter[int] = Counter()
        self._checked_folder: tuple[int, tuple[str, ...]] | None = None
        self._is_sticky = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()
        self._folders.close()
        self._reader.__exit__(kind, error, trace)

    def entries(self) -> Iterator[ManifestEntry | Outcome]:
        """For each eviction what to do, or why it doesn't stand: rows first, in order, then the other files."""
        for read, planned in zip(self._reader.read(self._plan.rows.subject), self._planned(), strict=True):
            yield self._look_at_row(read, planned)
        for stray in self._plan.strays.subject.tolist():
            yield self._look_at_stray(stray)

    def _planned(self) -> Iterator[_Planned]:
        """What is planned for each row, in order."""
        rows, evictions = self._rows, self._plan.rows
        criteria = [rule.criterion for rule in self._plan.rules]
        columns = (rows.inode, rows.size, rows.mtime_ns, rows.state, rows.file, rows.used_elsewhere)
        files, reasons = iter_rows(*columns, at=evictions.subject), iter_rows(evictions.rule, evictions.keeper)
        for (inode, size, mtime_ns, state, file, used_elsewhere), (rule, keeper) in zip(files, reasons, strict=True):
            by_content = criteria[rule] == "dedupe:content"
            yield _Planned(
                FileIdentity(0, inode, size, mtime_ns),
                there=state == ItemState.OK,
                file=file,
                used_elsewhere=used_elsewhere,
                keeper=keeper if by_content or criteria[rule] == "dedupe:sound" else -1,
                has_same_bytes=by_content,
                is_broken=criteria[rule] == BROKEN,
            )

    def _look_at_row(self, read: ReadRow, planned: _Planned) -> ManifestEntry | Outcome:
        """A row stands if its file is as it was, and, as a copy of another, that other is still there."""
        number, expected = read.number, planned.expected
        folder, name = self._resolver.split(read.path)
        goes = False
        try:
            changed = self._look_at_file(folder, name, expected, there=planned.there)
            if changed is None and planned.keeper >= 0 and not self._has_keeper(folder, name, planned):
                changed = OutcomeKind.CHANGED
            if changed is None and planned.is_broken and not self._decodes_as_before(folder, name, number):
                changed = OutcomeKind.CHANGED
            if changed == OutcomeKind.CHANGED:
                return Outcome(OutcomeKind.CHANGED, read.id, number, None)
            goes = planned.there and self._file_goes(planned)
            if changed is None and goes:
                self._check_removable(folder.root, folder.parts, name)
        except OSError as error:
            return Outcome(OutcomeKind.FAILED, read.id, number, None, **_describe(read.path, error))
        file = "/".join((*folder.parts, name)) if goes else ""
        trash_name = f"{number}{name[-4:]}"
        return ManifestEntry(
            read.id, folder.root, file, trash_name, expected.size, expected.inode, expected.mtime_ns, row=number
        )

    def _look_at_file(self, folder: Folder, name: str, expected: FileIdentity, *, there: bool) -> OutcomeKind | None:
        """None: it is there as expected, GONE: it isn't there, CHANGED: it is not what was planned for."""
        try:
            descriptor = self._folders.descriptor(folder.root, folder.parts)
        except FileNotFoundError:
            return OutcomeKind.GONE
        found = look_again(descriptor, name, expected)
        return found if there or found == OutcomeKind.GONE else OutcomeKind.CHANGED

    def _check_removable(self, root: int, parts: tuple[str, ...], name: str) -> None:
        if root in self._closed:
            raise PermissionError(self._closed[root])
        directory = self._folders.descriptor(root, parts)
        if self._checked_folder != (root, parts):
            self._is_sticky = check_writable(directory)
            self._checked_folder = (root, parts)
        if self._is_sticky:
            check_owner(directory, name)

    def _has_keeper(self, folder: Folder, name: str, planned: _Planned) -> bool:
        """Whether the file that stays for one is as it was, or, as its copy, equals it byte by byte."""
        keeper, rows = planned.keeper, self._rows
        kept_folder, kept_name = self._resolver.split(self._reader.read_path(keeper))
        if (kept_folder, kept_name) == (folder, name):
            return True
        if not planned.has_same_bytes:
            expected = FileIdentity(0, int(rows.inode[keeper]), int(rows.size[keeper]), int(rows.mtime_ns[keeper]))
            return self._look_at_file(kept_folder, kept_name, expected, there=True) is None
        with ExitStack() as stack:
            one = stack.enter_context(open_file(self._folders.descriptor(folder.root, folder.parts), name))
            kept_directory = self._folders.descriptor(kept_folder.root, kept_folder.parts)
            return same_bytes(one, stack.enter_context(open_file(kept_directory, kept_name)))

    def _decodes_as_before(self, folder: Folder, name: str, row: int) -> bool:
        """Whether decoding a file tells now what the plan goes by."""
        decoded = self._rows.decoded
        assert decoded is not None
        if self._rows.size[row] == 0:
            return True
        with open_file(self._folders.descriptor(folder.root, folder.parts), name) as file:
            found = self._decoder.decode(file.fileno(), name[-4:])
        if found is None or found.state != decoded.state[row]:
            return False
        measured = (decoded.seconds[row], decoded.peak[row], decoded.clipped[row])
        return found.state == DecodingState.UNDECODABLE or (found.seconds, found.peak, found.clipped) == measured

    def _file_goes(self, planned: _Planned) -> bool:
        """Whether a file that was there goes with this row: this is the last row that names it, anywhere."""
        namings = self._namings[planned.file]
        if namings > 1:
            self._stood[planned.file] += 1
            if self._stood[planned.file] < namings:
                return False
        return not planned.used_elsewhere

    def _look_at_stray(self, number: int) -> ManifestEntry | Outcome:
        strays = self._plan.inventory.strays
        root, path = int(strays.root[number]), strays.path[number]
        *parts, name = path.split("/")
        identifier = stray_id(str(self._folders.roots[root].path / path))
        expected = FileIdentity(0, int(strays.inode[number]), int(strays.size[number]), int(strays.mtime_ns[number]))
        try:
            changed = look_again(self._folders.descriptor(root, tuple(parts)), name, expected)
            if changed is None:
                self._check_removable(root, tuple(parts), name)
        except FileNotFoundError:
            changed = OutcomeKind.GONE
        except OSError as error:
            return Outcome(OutcomeKind.FAILED, identifier, None, number, **_describe(path, error))
        if changed is not None:
            return Outcome(changed, identifier, None, number)
        trash_name = f"stray{number}{name[-4:]}"
        return ManifestEntry(
            identifier, root, path, trash_name, expected.size, expected.inode, expected.mtime_ns, stray=number
        )


def _count_namings(rows: Rows, evicted: Ints) -> Ints:
    """How many items name each of the files, by their numbers, that evicted rows name."""
    asked = np.zeros(rows.file_count() + 1, np.bool_)
    asked[rows.file[evicted]] = True
    # The place of rows of which it can't be decided which file they name.
    asked[-1] = False
    # A retired row holds no file back: it was given up before.
    return np.bincount(rows.file[rows.items_among(np.flatnonzero(look_up(asked, rows.file)))])


class _Failure(TypedDict):
    """What an outcome says of what went wrong."""

    error: str
    denied: bool


def _describe(path: str, error: OSError) -> _Failure:
    return {"error": f"{path}: {error.strerror or error}", "denied": isinstance(error, PermissionError)}


def write_manifest(plan: Plan, directory: Path, execution: Execution) -> Generator[Outcome, None, Bools]:
    """Look at each planned eviction once more, and write down those that stand; the outcomes of the others.

    Returns which rows stay.
    """
    kept = np.ones(len(plan.inventory.rows), np.bool_)
    rows, strays = plan.inventory.rows.root[plan.rows.subject], plan.inventory.strays.root[plan.strays.subject]
    roots = distinct(np.concatenate([rows, strays]))
    closed = find_closed_roots(plan.inventory.location, roots[roots >= 0].tolist()) if execution.to_trash else {}
    with SecondLook(plan, closed) as look, create_file(directory / MANIFEST_NAME) as manifest:
        for result in look.entries():
            if isinstance(result, Outcome):
                yield result
                continue
            append_entry(manifest, result)
            if result.row >= 0:
                kept[result.row] = False
        manifest.flush()
        os.fsync(manifest.fileno())
    return kept
