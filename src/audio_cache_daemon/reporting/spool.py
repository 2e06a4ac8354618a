"""A long list inside a JSON document, made bit by bit: what many items say isn't all in memory at once."""

from __future__ import annotations

import io
import os
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import islice
from uuid import uuid4

from audio_cache_daemon.reporting.encoding import as_plain, encode_json

_BATCH = 250
"""Entries encoded at once: so few stay in the processor's second-level cache, which makes a plan a tenth faster."""

_HELD_BYTES = 4 * 2**20
_COPIED_BYTES = 2**20


class Spool:
    """A JSON list in an unnamed temporary file; in memory as far as it is short, or there is no room for the file."""

    def __init__(self, entries: Iterable[object] = ()) -> None:
        self._file: io.FileIO | None = None
        self.mark = f"spool-{uuid4()}"
        """The text that stands for the list while the document around it is encoded; no other has it."""
        self._filed = self._held_bytes = 0
        self._held: list[bytes] = []
        self._may_file = True
        waiting = iter(entries)
        while batch := list(islice(waiting, _BATCH)):
            self._add(encode_json(batch)[1:-1])

    def _add(self, encoded: bytes) -> None:
        if self._filed + self._held_bytes:
            encoded = b"," + encoded
        self._held.append(encoded)
        self._held_bytes += len(encoded)
        if self._held_bytes > _HELD_BYTES and self._may_file:
            self._move_to_file()

    def _move_to_file(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- it lives as long as the spool
                weakref.finalize(self, self._file.close)
            content = memoryview(b"".join(self._held))
            while content:
                content = content[self._file.write(content) :]
        except OSError:
            # A disk that is full, or none to write on: of the file only what was complete before counts.
            self._may_file = False
            return
        self._filed += self._held_bytes
        self._held, self._held_bytes = [], 0

    def __iter__(self) -> Iterator[bytes]:
        """The list as JSON, in pieces."""
        yield b"["
        for start in range(0, self._filed, _COPIED_BYTES):
            assert self._file is not None
            yield os.pread(self._file.fileno(), min(_COPIED_BYTES, self._filed - start), start)
        yield from self._held
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
