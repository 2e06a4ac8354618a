"""`meta.jsonl` read as a stream into columns: one entry a line, whatever the line holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.names import NAMED, FileNames
from audio_cache_daemon.formats import (
    Row,
    creation_times,
    decode_row,
    decode_rows,
    durations,
    iter_blocks,
    line_ends,
    qualities,
)
from audio_cache_daemon.model import Ints, Problem, Truth
from audio_cache_daemon.patterns import CompiledPattern, PatternTimeoutError

Column: TypeAlias = NDArray[np.generic]
T = TypeVar("T", bound=np.generic)

_ROOM = 2**14
"""Entries for which a column has room at first."""

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

    def fork(self) -> ProblemLog:
        """One that has noted the same, and can note others."""
        other = ProblemLog()
        other._counts = dict(self._counts)
        other._examples = {kind: [*examples] for kind, examples in self._examples.items()}
        return other

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
    """Columns that grow at their ends, in room that is made ahead: what isn't used of it takes no memory.

    Parts that are joined in the end would: their places in the heap are too small for anything that follows.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, Column] = {}
        self._lengths: dict[str, int] = {}

    def add(self, name: str, part: Column, at: int | None = None) -> None:
        """Append to a column; `at` a place in it, what was there before goes."""
        length = self._lengths.get(name, 0) if at is None else at
        room = self._rooms.get(name)
        end = length + len(part)
        if room is None or end > len(room) or not room.flags.writeable:
            larger = np.empty(max(_ROOM, 2 * end), part.dtype if room is None else room.dtype)
            if room is not None:
                larger[:length] = room[:length]
            self._rooms[name] = room = larger
        room[length:end] = part
        self._lengths[name] = end

    def fork(self) -> Columns:
        """The same columns, which have the room of these from then on: to grow, these have to make room anew.

        So that a column that is handed on again and again, and grows a little each time, isn't copied for it.
        """
        other = Columns()
        other._lengths, other._rooms = dict(self._lengths), dict(self._rooms)
        for name, room in other._rooms.items():
            self._rooms[name] = whole = room[: self._lengths[name]]
            whole.setflags(write=False)
        return other

    def take(self, name: str, dtype: type[T]) -> NDArray[T]:
        """The whole column, which is let go."""
        length = self._lengths.pop(name, 0)
        room = self._rooms.pop(name, np.empty(0, dtype))
        return room[:length].astype(dtype, copy=False)


class IndexReader:
    """Reads the lines of an index into columns, block by block; the texts are let go with their block."""

    def __init__(self, names: FileNames, patterns: Sequence[CompiledPattern], problems: ProblemLog) -> None:
        self.names = names
        self._patterns = patterns
        self.patterns = tuple(pattern.expression for pattern in patterns)
        self.problems = problems
        self._lines = 0
        self._torn = b""
        self._file_end = 0
        self.end = 0
        self.columns = Columns()
        self.matches = Columns()
        self.keys: Ints = np.empty(0, np.int64)
        self.torn_tail = False

    def read(self, file: BinaryIO) -> None:
        """Take in all lines of `file`; afterwards `keys` are the keys of the files that they name."""
        self.read_on(file)
        self.finish()

    def read_on(self, file: BinaryIO) -> None:
        """Take in what follows `end` in `file`, as far as lines have an end; then `end` is where the last one ends."""
        file.seek(self.end)
        for start, block in iter_blocks(file):
            whole = block.rfind(b"\n") + 1
            if whole:
                self._take(start, block[:whole], line_ends(block))
            if whole < len(block):
                self._torn, self.end = block[whole:], start + whole
        self._file_end = file.tell()
        if not self._torn:
            self.end = self._file_end
        self.columns.add("offset", np.array([self.end]), at=self._lines)

    def fork(self) -> IndexReader:
        """One that has taken in the same lines, and can take in others."""
        other = IndexReader(self.names.fork(), self._patterns, self.problems.fork())
        other.columns, other.matches = self.columns.fork(), self.matches.fork()
        other._lines, other.end = self._lines, self.end
        return other

    def finish(self) -> None:
        """Take in what stands behind the end of the last line; afterwards there are the `keys`."""
        if self._torn:
            self.torn_tail = True
            self.problems.add("torn_tail", f"line {self._lines + 1}", "the last line has no end")
            self._take(self.end, self._torn, np.array([len(self._torn)]))
            self.columns.add("offset", np.array([self._file_end]), at=self._lines)
        self.keys = self.columns.take("key", np.int64)

    def _take(self, start: int, block: bytes, ends: Ints) -> None:
        self.columns.add("offset", start + np.concatenate(([0], ends[:-1])), at=self._lines)
        rows = self._decode(block, ends)
        self._lines += len(rows)
        self._read_rows(rows)

    def _decode(self, block: bytes, ends: Ints) -> Sequence[Row | None]:
        rows = decode_rows(block, ends)
        if rows is not None:
            return rows
        starts = [0, *ends[:-1].tolist()]
        lines = (block[start:end] for start, end in zip(starts, ends.tolist(), strict=True))
        return [self._decode_line(line, self._lines + number) for number, line in enumerate(lines, start=1)]

    def _decode_line(self, line: bytes, number: int) -> Row | None:
        row, problems = decode_row(line)
        for problem in problems:
            self.problems.add(problem.kind, f"line {number}", problem.message)
        if row is None:
            self.names.note_line(line)
        return row

    def _read_rows(self, rows: Sequence[Row | None]) -> None:
        add = self.columns.add
        empty = Row()
        sound = [row or empty for row in rows]
        add("readable", np.array([row is not None for row in rows]))
        add("timestamp", creation_times(sound))
        add("duration", durations(sound))
        add("quality", qualities(sound))
        # The hash is salted anew in each process, so that no prompt can be made to collide with another.
        add("prompt", np.array([hash(row.prompt_norm) if row.prompt_norm else 0 for row in sound], np.int64))
        named = self.names.resolve(rows)
        for name in NAMED.names or ():
            # A copy, since a view of one field would keep all of them in memory.
            add(name, named[name].copy())
        prompts = [row.prompt for row in sound]
        # Takes of a prompt are mostly added together, so that a block holds few different prompts.
        distinct = {prompt for prompt in prompts if prompt is not None}
        for pattern in self._patterns:
            truth = self._judge(pattern, distinct)
            self.matches.add(pattern.expression, np.array([truth[prompt] for prompt in prompts], np.uint8))

    def _judge(self, pattern: CompiledPattern, prompts: Iterable[str]) -> dict[str | None, int]:
        true, false = int(Truth.TRUE), int(Truth.FALSE)
        truth: dict[str | None, int] = {None: int(Truth.UNDECIDABLE)}
        try:
            truth.update({prompt: true if pattern.matches(prompt) else false for prompt in prompts})
        except PatternTimeoutError:
            truth.update({prompt: self._judge_one(pattern, prompt) for prompt in prompts})
        return truth

    def _judge_one(self, pattern: CompiledPattern, prompt: str) -> int:
        try:
            return Truth.TRUE if pattern.matches(prompt) else Truth.FALSE
        except PatternTimeoutError:
            self.problems.add("slow_pattern", pattern.expression, f"gave no answer in time on {prompt[:80]!r}")
            return Truth.UNDECIDABLE
