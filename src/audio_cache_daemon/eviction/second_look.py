"""Each planned eviction looked at once more, right before anything is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np

from audio_cache_daemon.eviction.manifest import ManifestEntry
from audio_cache_daemon.eviction.removal import check_removable, look_again, open_file, same_bytes
from audio_cache_daemon.formats import stray_id
from audio_cache_daemon.model import FileIdentity, ItemState, Outcome, OutcomeKind, Plan
from audio_cache_daemon.paths import Folder, Folders, PathResolver
from audio_cache_daemon.readback import ReadRow, RowReader


class SecondLook:
    """Tells for each eviction of a plan whether it still stands. A context manager: it closes what it opened.

    `closed` are the roots from which no file can be removed, and why.
    """

    def __init__(self, plan: Plan, closed: Mapping[int, str]) -> None:
        self._plan = plan
        self._closed = closed
        self._rows = plan.inventory.rows
        self._resolver = PathResolver(plan.inventory.location)
        self._reader = RowReader(plan.inventory)
        self._folders = Folders(plan.inventory.location)
        self._namings = np.bincount(self._rows.file[self._rows.file >= 0])
        self._stood: Counter[int] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folders.close()
        self._reader.__exit__(kind, error, trace)

    def entries(self) -> Iterator[ManifestEntry | Outcome]:
        """For each eviction what to do, or why it doesn't stand: rows first, in order, then the other files."""
        keepers = self._plan.rows.keeper.tolist()
        contents = [rule.criterion == "dedupe:content" for rule in self._plan.rules]
        rules = self._plan.rows.rule.tolist()
        for place, read in enumerate(self._reader.read(self._plan.rows.subject)):
            yield self._look_at_row(read, keepers[place] if contents[rules[place]] else None)
        for stray in self._plan.strays.subject.tolist():
            yield self._look_at_stray(stray)

    def _look_at_row(self, read: ReadRow, keeper: int | None) -> ManifestEntry | Outcome:
        """A row stands if its file is as it was, and, as a copy of another, still equals that byte by byte."""
        number = read.number
        folder, name = self._resolver.split(read.path)
        expected = FileIdentity(
            0, int(self._rows.inode[number]), int(self._rows.size[number]), int(self._rows.mtime_ns[number])
        )
        goes = False
        try:
            changed = self._look_at_file(folder, name, expected, there=self._rows.state[number] == ItemState.OK)
            if changed is None and keeper is not None and not self._equals_keeper(folder, name, keeper):
                changed = OutcomeKind.CHANGED
            if changed != OutcomeKind.CHANGED:
                goes = self._file_goes(number)
            if changed is None and goes:
                self._check_removable(folder.root, folder.parts, name)
        except OSError as error:
            return Outcome(OutcomeKind.FAILED, read.id, number, None, error=f"{read.path}: {error.strerror or error}")
        if changed == OutcomeKind.CHANGED:
            return Outcome(OutcomeKind.CHANGED, read.id, number, None)
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
        check_removable(self._folders.descriptor(root, parts), name)

    def _equals_keeper(self, folder: Folder, name: str, keeper: int) -> bool:
        kept = next(self._reader.read(np.array([keeper])))
        kept_folder, kept_name = self._resolver.split(kept.path)
        if (kept_folder, kept_name) == (folder, name):
            return True
        with ExitStack() as stack:
            one = stack.enter_context(open_file(self._folders.descriptor(folder.root, folder.parts), name))
            kept_directory = self._folders.descriptor(kept_folder.root, kept_folder.parts)
            return same_bytes(one, stack.enter_context(open_file(kept_directory, kept_name)))

    def _file_goes(self, number: int) -> bool:
        """Whether a file goes with this row: it was there, and this is the last row that names it, anywhere."""
        if self._rows.state[number] != ItemState.OK:
            return False
        file = int(self._rows.file[number])
        self._stood[file] += 1
        if self._namings[file] == 1:
            del self._stood[file]
            return not self._rows.used_elsewhere[number]
        return self._stood[file] == self._namings[file] and not self._rows.used_elsewhere[number]

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
            return Outcome(OutcomeKind.FAILED, identifier, None, number, error=f"{path}: {error.strerror or error}")
        if changed is not None:
            return Outcome(changed, identifier, None, number)
        trash_name = f"stray{number}{name[-4:]}"
        return ManifestEntry(
            identifier, root, path, trash_name, expected.size, expected.inode, expected.mtime_ns, stray=number
        )
