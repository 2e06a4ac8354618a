"""A long list inside a JSON document, made bit by bit: what many items say isn't all in memory at once."""

from __future__ import annotations

import io
import os
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from uuid import uuid4

from audio_cache_daemon.beside import beside
from audio_cache_daemon.reporting.encoding import as_plain, encode_json

_BATCH = 250
"""Entries encoded at once: so few stay in the processor's second-level cache, which makes a plan a tenth faster."""

_HELD_BYTES = 4 * 2**20
_COPIED_BYTES = 2**20


class _Part:
    """Entries as JSON, with commas between them: the first `filed` bytes in a file, as far as there is room in it."""

    def __init__(self) -> None:
        self._file = _unnamed_file()
        if self._file is not None:
            weakref.finalize(self, self._file.close)
        self._filed = 0
        self._held: list[bytes] = []

    def fill(self, entries: Iterable[object]) -> tuple[int, list[bytes]]:
        """Take in these entries; what another process that has the same file has to know of them."""
        self._filed, held_bytes, self._held = 0, 0, []
        waiting, may_file = iter(entries), self._file is not None
        while batch := list(islice(waiting, _BATCH)):
            encoded = encode_json(batch)[1:-1]
            self._held.append(b"," + encoded if self._filed or self._held else encoded)
            held_bytes += len(encoded)
            if held_bytes > _HELD_BYTES and may_file:
                held_bytes, may_file = 0, self._move_to_file()
        return self._filed, self._held

    def adopt(self, filled: tuple[int, list[bytes]]) -> None:
        """Take over what another process filled in."""
        self._filed, self._held = filled

    def _move_to_file(self) -> bool:
        """Move what is held to the file; false, and it stays, where there is no room."""
        assert self._file is not None
        content, place = memoryview(b"".join(self._held)), self._filed
        try:
            while content:
                written = os.pwrite(self._file.fileno(), content, place)
                content, place = content[written:], place + written
        except OSError:
            # A disk that is full, or none to write on: of the file only what was complete before counts.
            return False
        self._filed, self._held = place, []
        return True

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, self._filed, _COPIED_BYTES):
            assert self._file is not None
            yield os.pread(self._file.fileno(), min(_COPIED_BYTES, self._filed - start), start)
        yield from self._held


def _unnamed_file() -> io.FileIO | None:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError:
        return None


class Spool:
    """A JSON list in unnamed temporary files; in memory as far as it is short, or there is no room for them.

    Of several lists of entries, one after the other, each but the first is made by a process of its own.
    """

    def __init__(self, *lists: Iterable[object]) -> None:
        self.mark = f"spool-{uuid4()}"
        """The text that stands for the list while the document around it is encoded; no other has it."""
        self._parts = [_Part() for _ in lists]
        pairs = list(zip(self._parts, lists, strict=True))
        with ExitStack() as stack:
            waits = [(part, stack.enter_context(beside(partial(part.fill, entries)))) for part, entries in pairs[1:]]
            for part, entries in pairs[:1]:
                part.fill(entries)
            for part, wait in waits:
                part.adopt(wait())

    def __iter__(self) -> Iterator[bytes]:
        """The list as JSON, in pieces."""
        yield b"["
        is_first = True
        for part in self._parts:
            for number, piece in enumerate(part):
                if not number and not is_first:
                    yield b","
                is_first = False
                yield piece
        yield b"]"


def iter_json(value: object) -> Iterator[bytes]:
    """`value` as `encode_json` has it, in pieces; what is a Spool in it comes from there."""
    spools: dict[bytes, Spool] = {}

    def as_builtin(part: object) -> object:
        if not isinstance(part, Spool):
            return as_plain(part)
        spools[encode_json(part.mark)] = part
        return part.mark

    encoded = encode_json(value, as_builtin)
    marks = b"|".join(map(re.escape, spools))
    for piece in re.split(b"(" + marks + b")", encoded) if marks else [encoded]:
        yield from spools.get(piece, (piece,))
