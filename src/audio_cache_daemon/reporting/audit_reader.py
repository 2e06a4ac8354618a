"""Reads audit logs: records by run, rule, item and time, and whether the chain of lines is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from audio_cache_daemon.model import Problem
from audio_cache_daemon.reporting.audit_record import (
    EMPTY_HEAD,
    ROTATED_EVENT,
    AuditItem,
    Head,
    Line,
    Record,
    decode_record,
    format_instant,
    hash_line,
    iter_lines,
)


class RecordFilter(msgspec.Struct, frozen=True):
    """Which records are asked for; None asks for nothing. `item` is an id, a path, a file name or a prompt.

    `since` and `until` are seconds since the epoch, both included.
    """

    run: str | None = None
    rule: str | None = None
    item: str | None = None
    event: str | None = None
    since: float | None = None
    until: float | None = None


ALL_RECORDS = RecordFilter()


def read_records(files: Iterable[Path], wanted: RecordFilter = ALL_RECORDS) -> Iterator[Record | Problem]:
    """The wanted records of the files of one log, in order; a line that is no record yields a problem."""
    tests = _tests(wanted)
    for file in files:
        for line in iter_lines(file):
            try:
                record = decode_record(line.content)
            except ValueError as error:
                yield Problem("unreadable_line", f"{file}:{line.number}", f"not an audit record: {error}")
                continue
            if all(test(record) for test in tests):
                yield record


def _tests(wanted: RecordFilter) -> list[Callable[[Record], bool]]:
    """The conditions that are asked for, as predicates; times are compared as the texts that they are."""
    run, rule, item, event = wanted.run, wanted.rule, wanted.item, wanted.event
    since = format_instant(wanted.since) if wanted.since is not None else ""
    until = format_instant(wanted.until) if wanted.until is not None else "~"
    asked: list[tuple[object, Callable[[Record], bool]]] = [
        (run, lambda record: record.run == run),
        (rule, lambda record: record.rule == rule),
        (item, lambda record: item is not None and _is_item(record.item, item)),
        (event, lambda record: record.event == event),
        (wanted.since, lambda record: record.time >= since),
        (wanted.until, lambda record: record.time <= until),
    ]
    return [test for value, test in asked if value is not None]


def _is_item(item: AuditItem | None, name: str) -> bool:
    if item is None:
        return False
    return name in (item.id, item.path, item.prompt) or (item.path or "").endswith(f"/{name}")


FaultKind: TypeAlias = Literal[
    "edited", "missing", "reordered", "wrong_seq", "restarted", "unreadable", "torn_tail", "cut_tail"
]


class ChainFault(msgspec.Struct, frozen=True):
    """What is wrong with a log, at line `line` (from 1) of `file`."""

    file: Path
    line: int
    kind: FaultKind
    message: str


def verify_chain(files: Iterable[Path], published: Head | None = None) -> list[ChainFault]:
    """The faults of the files of one log, in order; AuditError when one can't be read.

    A log may begin at any file (old ones are deleted on purpose), but not in the middle of one. Without the
    head that was published, neither an edited last line nor a cut tail can be told from a sound log.
    """
    verifier = _Verifier(published)
    for file in files:
        for line in iter_lines(file):
            verifier.take(line)
    verifier.finish()
    return verifier.faults


class _Verifier:
    """Walks the lines of a log; `head` is the last one that was in its place, `at` where it lies."""

    def __init__(self, published: Head | None) -> None:
        self.faults: list[ChainFault] = []
        self._published = published
        self._head = EMPTY_HEAD
        self._at = Line(Path(), 0, b"", whole=True)

    def take(self, line: Line) -> None:
        if not line.whole:
            # The next run moves it aside and goes on from the line before.
            self._report(line, "torn_tail", "the last line was not written to its end")
            return
        try:
            record = decode_record(line.content)
        except ValueError as error:
            self._report(line, "unreadable", f"not an audit record: {error}")
            self._advance(line, self._head.seq + 1)
            return
        seq = self._place(line, record)
        if seq is not None:
            self._advance(line, seq)

    def finish(self) -> None:
        published = self._published
        if published is not None and self._head.seq < published.seq:
            message = f"the log ends at record {self._head.seq}, but record {published.seq} was published"
            self.faults.append(ChainFault(self._at.file, self._at.number, "cut_tail", message))

    def _place(self, line: Line, record: Record) -> int | None:
        """Compare a record with the line before; the number it should have, or None when it is out of place."""
        expected, follows = self._head.seq + 1, record.previous == self._head.hash
        if self._head == EMPTY_HEAD:
            if record.seq != 1 and record.event != ROTATED_EVENT:
                self._report(line, "missing", f"the file begins with record {record.seq}, in the middle of a chain")
        elif record.seq == expected:
            if not follows:
                self._report(self._at, "edited", f"not the line that record {record.seq} was chained to")
        elif follows:
            self._report(line, "wrong_seq", f"says it is record {record.seq}, but it follows record {expected - 1}")
            return expected
        elif record.seq == 1 and not record.previous:
            self._report(line, "restarted", f"a new log begins here, after record {expected - 1}")
        elif record.seq > expected:
            self._report(line, "missing", f"{_name_records(expected, record.seq - 1)} missing before this line")
        else:
            self._report(line, "reordered", f"record {record.seq} stands after record {expected - 1}")
            return None
        return record.seq

    def _advance(self, line: Line, seq: int) -> None:
        self._head, self._at = Head(seq, hash_line(line.content)), line
        if self._published is not None and seq == self._published.seq and self._head != self._published:
            self._report(line, "edited", f"not the line that was published as record {seq}")

    def _report(self, line: Line, kind: FaultKind, message: str) -> None:
        """One fault a line: an edited line also breaks what follows from it."""
        last = self.faults[-1] if self.faults else None
        if last is None or (last.file, last.line) != (line.file, line.number):
            self.faults.append(ChainFault(line.file, line.number, kind, message))


def _name_records(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"
