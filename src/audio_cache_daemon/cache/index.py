"""`meta.jsonl` read as a stream into columns: one entry a line, whatever the line holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.files import FIELDS, FileLookup
from audio_cache_daemon.formats import Row, decode_row, decode_rows, iter_blocks
from audio_cache_daemon.model import Ints, Problem, Truth, Truths
from audio_cache_daemon.patterns import CompiledPattern, PatternTimeoutError

Column: TypeAlias = NDArray[np.generic]
T = TypeVar("T", bound=np.generic)

_EXAMPLES = 5
"""Problems of one kind that are kept with their place; the rest is counted."""


class ProblemLog:
    """Collects problems: a few examples of each kind and how many there were."""

    def __init__(self) -> None:
        self._examples: dict[str, list[Problem]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, where: str, message: str, count: int = 1) -> None:
        """Note one problem, or `count` alike."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(Problem(kind, where, message, count))

    def count(self, *kinds: str) -> int:
        """How many problems of these kinds there were."""
        return sum(self._counts.get(kind, 0) for kind in kinds)

    def problems(self) -> tuple[Problem, ...]:
        """The examples, and for each kind with more of them a problem that counts the rest."""
        result: list[Problem] = []
        for kind, examples in self._examples.items():
            result += examples
            rest = self._counts[kind] - sum(example.count for example in examples)
            if rest > 0:
                result.append(Problem(kind, "", f"and {rest} more of this kind", rest))
        return tuple(result)


class Columns:
    """Columns that grow by parts, and are joined when they are taken."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Column]] = {}

    def add(self, name: str, part: Column) -> None:
        """Append to a column."""
        self._parts.setdefault(name, []).append(part)

    def take(self, name: str, dtype: type[T]) -> NDArray[T]:
        """The whole column; its parts are let go."""
        parts = self._parts.pop(name, [])
        return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)


class IndexReader:
    """Reads the lines of an index into columns, block by block; the texts are let go with their block."""

    def __init__(self, lookup: FileLookup, patterns: Sequence[CompiledPattern], problems: ProblemLog) -> None:
        self._lookup = lookup
        self._patterns = patterns
        self.patterns = tuple(pattern.expression for pattern in patterns)
        self._problems = problems
        self._lines = 0
        self.columns = Columns()
        self.matches = Columns()
        self.torn_tail = False

    def read(self, file: BinaryIO) -> None:
        """Take in all lines of `file`."""
        size = 0
        for start, block in iter_blocks(file):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
            if not block.endswith(b"\n"):
                self.torn_tail = True
                self._problems.add("torn_tail", f"line {self._lines + len(ends) + 1}", "the last line has no end")
                ends = np.append(ends, len(block))
            self.columns.add("offset", start + np.concatenate(([0], ends[:-1])))
            rows = self._decode(block, ends)
            self._lines += len(rows)
            self._read_rows(rows)
            size = start + len(block)
        self.columns.add("offset", np.array([size]))

    def _decode(self, block: bytes, ends: Ints) -> Sequence[Row | None]:
        try:
            rows = decode_rows(block)
            if len(rows) == len(ends):
                return rows
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        starts = [0, *ends[:-1].tolist()]
        lines = (block[start:end] for start, end in zip(starts, ends.tolist(), strict=True))
        return [self._decode_line(line, self._lines + number) for number, line in enumerate(lines, start=1)]

    def _decode_line(self, line: bytes, number: int) -> Row | None:
        row, problems = decode_row(line)
        for problem in problems:
            self._problems.add(problem.kind, f"line {number}", problem.message)
        return row

    def _read_rows(self, rows: Sequence[Row | None]) -> None:
        add = self.columns.add
        empty = Row()
        sound = [row or empty for row in rows]
        add("readable", np.array([row is not None for row in rows]))
        add("timestamp", np.array([row.created for row in sound]))
        add("duration", np.array([row.length for row in sound], np.float32))
        add("quality", np.array([row.quality for row in sound]))
        # The hash is salted anew in each process, so that no prompt can be made to collide with another.
        add("prompt", np.array([hash(row.prompt_norm) if row.prompt_norm else 0 for row in sound]))
        found = self._lookup.look_up(rows)
        for position, (name, dtype) in enumerate(FIELDS.items()):
            add(name, found[:, position].astype(dtype))
        for pattern in self._patterns:
            self.matches.add(pattern.expression, self._match(pattern, sound))

    def _match(self, pattern: CompiledPattern, rows: Sequence[Row]) -> Truths:
        # Takes of a prompt are mostly added together, so that a block holds few different prompts.
        truth = {prompt: self._judge(pattern, prompt) for prompt in {row.prompt for row in rows}}
        return np.array([truth[row.prompt] for row in rows], np.uint8)

    def _judge(self, pattern: CompiledPattern, prompt: str | None) -> Truth:
        if prompt is None:
            return Truth.UNDECIDABLE
        try:
            return Truth.TRUE if pattern.matches(prompt) else Truth.FALSE
        except PatternTimeoutError:
            self._problems.add("slow_pattern", pattern.expression, f"gave no answer in time on {prompt[:80]!r}")
            return Truth.UNDECIDABLE
