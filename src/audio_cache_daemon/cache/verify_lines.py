"""The lines of an index one by one: what kind each is, what is wrong with it, and which repeats which."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.cache.index import Columns
from audio_cache_daemon.cache.scan import open_index
from audio_cache_daemon.errors import InconsistentIndexError
from audio_cache_daemon.findings import Finding, Mend, Severity
from audio_cache_daemon.formats import decode_row, decode_rows, identify, iter_blocks, line_ends
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import Bools, Ints, Inventory


class LineKind(IntEnum):
    """What a line is to the generator."""

    ROW = 0
    FOREIGN = 1
    """A row with a key that it fails on."""
    MISTYPED = 2
    """A row with a value of the wrong type."""
    BLANK = 3
    UNREADABLE = 4
    TORN = 5
    """The last line, cut off in its middle."""


_DIGEST = np.dtype([("high", np.int64), ("low", np.int64)])
_OF_PROBLEMS = {
    "foreign_key": LineKind.FOREIGN,
    "mistyped_value": LineKind.MISTYPED,
    "blank_line": LineKind.BLANK,
    "unreadable_line": LineKind.UNREADABLE,
}


class Lines(msgspec.Struct, frozen=True):
    """The lines of an index. `first` is, for each, the first one that is equal to it to the letter: mostly itself.

    `unended` is true when the last line lacks its end.
    """

    kind: NDArray[np.uint8]
    first: Ints
    unended: bool

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, *kinds: LineKind) -> Bools:
        """The lines of some kinds."""
        return np.isin(self.kind, [int(kind) for kind in kinds])


def examine_lines(inventory: Inventory) -> Lines:
    """The lines of the inventory's index; InconsistentIndexError when it changed since it was scanned."""
    columns = Columns()
    unended = False
    for block in _read_blocks(inventory):
        unended = not block.endswith(b"\n")
        ends = line_ends(block)
        if unended:
            ends = np.append(ends, len(block))
        columns.add("kind", _classify(block, ends))
        digests = b"".join(hashlib.blake2b(line, digest_size=16).digest() for line in _split(block, ends))
        columns.add("digest", np.frombuffer(digests, _DIGEST))
    return Lines(columns.take("kind", np.uint8), _find_first(columns.take("digest", np.void)), unended)


def describe_lines(inventory: Inventory) -> Iterator[Finding]:
    """What is wrong with single lines, in their order."""
    number = 0
    for block in _read_blocks(inventory):
        ends = line_ends(block)
        if decode_rows(block, ends) is not None:
            number += len(ends)
            continue
        if not block.endswith(b"\n"):
            ends = np.append(ends, len(block))
        for line in _split(block, ends):
            number += 1
            if not line.endswith(b"\n"):
                yield _describe_unended(line, number)
                continue
            for problem in decode_row(line)[1]:
                yield _describe(problem.kind, number, problem.message)


def _read_blocks(inventory: Inventory) -> Iterator[bytes]:
    with open_index(inventory.location) as meta:
        if identify(os.fstat(meta.fileno())) != inventory.index.identity:
            raise InconsistentIndexError(f"{inventory.location.path / META_NAME} changed while it was read; try again")
        for _, block in iter_blocks(meta):
            yield block


def _split(block: bytes, ends: Ints) -> Sequence[bytes]:
    return [block[start:end] for start, end in pairwise([0, *ends.tolist()])]


def _classify(block: bytes, ends: Ints) -> NDArray[np.uint8]:
    kinds = np.zeros(len(ends), np.uint8)
    if decode_rows(block, ends) is not None:
        return kinds
    for number, line in enumerate(_split(block, ends)):
        row, problems = decode_row(line)
        if row is None and not line.endswith(b"\n"):
            kinds[number] = LineKind.TORN
        elif problems:
            kinds[number] = min(_OF_PROBLEMS[problem.kind] for problem in problems)
    return kinds


def _find_first(digests: NDArray[np.void]) -> Ints:
    order = np.lexsort((digests["low"], digests["high"])) if len(digests) else np.empty(0, np.int64)
    ordered = digests[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    first = np.empty(len(order), np.int64)
    # The sort is stable, so that the first of equal lines is the one of the lowest number.
    first[order] = order[new][np.cumsum(new, dtype=np.int32) - 1]
    return first


def _describe_unended(line: bytes, number: int) -> Finding:
    if decode_row(line)[0] is None:
        message = "the last line is torn: the generator crashed while it wrote it, and won't start on it"
        remedy = "repair cuts it, and saves what there is of it"
    else:
        message = "the last line has no end: the generator would write its next line onto it"
        remedy = "repair ends it"
    return Finding("torn_tail", Severity.ERROR, META_NAME, message, line=number, mend=Mend.REPAIR, remedy=remedy)


def _describe(kind: str, number: int, message: str) -> Finding:
    drop = f"repair --drop-line {number} takes it out with its vectors"
    if kind == "blank_line":
        message, mend, remedy = "a blank line; the generator won't start on it", Mend.REPAIR, "repair drops it"
    elif kind == "foreign_key":
        mend, remedy = Mend.OPTION, f"take the key out with an editor, or {drop}"
    elif kind == "mistyped_value":
        mend, remedy = Mend.OPTION, f"correct the value with an editor, or {drop}"
    else:
        message, mend, remedy = f"{message}; the generator won't start on it", Mend.OPTION, drop
    severity = Severity.WARNING if kind == "mistyped_value" else Severity.ERROR
    return Finding(kind, severity, META_NAME, message, line=number, mend=mend, remedy=remedy)
