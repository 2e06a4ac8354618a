"""Faults of the arrays: of each file by itself, and of lines and vectors together."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import numpy as np

from audio_cache_daemon.cache.verify_lines import LineKind
from audio_cache_daemon.cache.verify_match import Match, NoMatch, claimants
from audio_cache_daemon.cache.verify_plan import UNPROVEN, Evidence, bge_companion, list_numbers, name_lines
from audio_cache_daemon.findings import Finding, Mend, RepairPlan, Severity, counted
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME
from audio_cache_daemon.model import Inventory, ItemState
from audio_cache_daemon.paths import open_regular


def _save_empty(dtype: str) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.empty(0, dtype))
    return stream.getvalue()


_EMPTY_ARRAYS = frozenset(map(_save_empty, ("<f2", "<f4", "<f8")))
"""Files that hold an array of shape (0,), as numpy makes them of an empty list."""


def find_empty_arrays(inventory: Inventory) -> tuple[str, ...]:
    """The arrays of shape (0,)."""
    return tuple(
        name
        for name in ARRAY_NAMES
        if name not in inventory.index.arrays and _read_start(inventory, name) in _EMPTY_ARRAYS
    )


def _read_start(inventory: Inventory, name: str) -> bytes:
    try:
        descriptor = open_regular(inventory.location.path / name)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, 4096, 0)
    finally:
        os.close(descriptor)


def describe_arrays(evidence: Evidence, plan: RepairPlan) -> Iterator[Finding]:
    """What is wrong with single arrays: missing, no array of the generator's, longer or shorter than the lines."""
    inventory = evidence.inventory
    messages = {p.where: p.message for p in inventory.problems if p.kind == "unreadable_array"}
    for name in ARRAY_NAMES:
        if name in evidence.empty:
            message = "its shape is (0,) instead of (0, D): the generator's next addition fails"
            yield _of_array("empty_array", name, message, plan, "repair takes it away: the generator makes a new one")
        elif name in messages:
            way = "move it away, it is optional" if name == BGE_TEXT_NAME else "begin a new cache"
            remedy = f"bring it back from a backup, or {way}"
            message = f"no array of the generator's: {messages[name]}"
            yield Finding("unreadable_array", Severity.ERROR, name, message, mend=Mend.PERSON, remedy=remedy)
        elif name not in inventory.index.arrays:
            yield from _describe_missing(evidence, name)
    yield from _describe_lengths(evidence, plan)


def _describe_missing(evidence: Evidence, name: str) -> Iterator[Finding]:
    count = int(claimants(evidence.lines).sum())
    if name == BGE_TEXT_NAME or not count:
        return
    # Of a single line the crash may have come before its first vector.
    crashed = count == 1 and isinstance(evidence.match, Match)
    mend, remedy = (
        (Mend.REPAIR, "repair cuts the line, and saves it")
        if crashed
        else (Mend.PERSON, "bring it back from a backup, or begin a new cache")
    )
    message = f"not there, though meta.jsonl has {counted(count, 'line')}: the generator can't find the sounds"
    yield Finding("missing_array", Severity.ERROR, name, message, mend=mend, remedy=remedy)


def _describe_lengths(evidence: Evidence, plan: RepairPlan) -> Iterator[Finding]:
    arrays = evidence.inventory.index.arrays
    count = _count_rows(evidence)
    for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME):
        if name in arrays and arrays[name].rows != count:
            kind = "long_array" if arrays[name].rows > count else "short_array"
            yield _of_array(kind, name, _say_length(arrays[name].rows, count), plan, _say_partners(evidence))
    bge = arrays.get(BGE_TEXT_NAME)
    if bge is None or bge.rows == count:
        return
    companion = bge_companion(evidence)
    message = _say_length(bge.rows, count)
    if companion is not None:
        kind = "long_array" if bge.rows > count else "short_array"
        yield _of_array(kind, BGE_TEXT_NAME, message, plan, f"repair treats it as {companion}, which is as long")
        return
    severity = Severity.ERROR if bge.rows > count else Severity.WARNING
    known = evidence.inventory.index.aligned
    which = f"from row {known} on can't be told whose they are" if known else "which rows it describes can't be told"
    remedy = f"{which}: repair puts zeros there, and keeps the old rows"
    found = _of_array("bge_length", BGE_TEXT_NAME, message, plan, remedy)
    yield Finding(found.kind, severity, found.file, message, mend=found.mend, remedy=found.remedy)


def _count_rows(evidence: Evidence) -> int:
    """How many rows each array should have: one for each line that is a row, or may have been one."""
    match, lines = evidence.match, evidence.lines
    if isinstance(match, NoMatch):
        return int(claimants(lines).sum())
    return int((lines.of(LineKind.ROW, LineKind.FOREIGN, LineKind.MISTYPED) | match.lines & claimants(lines)).sum())


def _say_length(rows: int, count: int) -> str:
    way = "more" if rows > count else "fewer"
    return f"{counted(rows, 'row')} for {counted(count, 'line')} of meta.jsonl, {abs(rows - count):,} {way}"


def _of_array(kind: str, name: str, message: str, plan: RepairPlan, remedy: str) -> Finding:
    mend = Mend.REPAIR
    if plan.obstacle is not None:
        mend, remedy = Mend.PERSON, "not before it can be told which vectors belong to which line"
    return Finding(kind, Severity.ERROR, name, message, mend=mend, remedy=remedy)


def _say_partners(evidence: Evidence) -> str:
    """What has no partner, and so what a repair takes out."""
    match = evidence.match
    if isinstance(match, NoMatch):
        return ""
    alone = claimants(evidence.lines) & ~match.lines
    parts = [f"{name_lines(alone)} of meta.jsonl"] if alone.any() else []
    for name, mask in ((CLAP_TEXT_NAME, match.text), (CLAP_AUDIO_NAME, match.audio)):
        if not mask.all():
            parts.append(f"row {list_numbers(np.flatnonzero(~mask))} of {name}")
    return f"by the scores {' and '.join(parts)} lack their other half: repair takes that out, and saves it"


def describe_match(evidence: Evidence, plan: RepairPlan) -> Iterator[Finding]:
    """What is wrong with lines and vectors together, and how many vectors say nothing."""
    match = evidence.match
    if isinstance(match, NoMatch) and len(match.wrong):
        for line in match.wrong.tolist():
            remedy = f"bring the arrays back from a backup, or repair --drop-line {line + 1} takes line and vectors out"
            message = "its vectors don't give its score, so they belong to another sound"
            yield Finding(
                "wrong_vectors", Severity.ERROR, META_NAME, message, line + 1, line, mend=Mend.OPTION, remedy=remedy
            )
    elif plan.obstacle is not None:
        mend, remedy = Mend.PERSON, "bring the arrays back from a backup"
        if "--drop-unmatched" in plan.obstacle:
            mend, remedy = Mend.OPTION, "repair --drop-unmatched takes out what has no partner, and saves it"
        elif isinstance(match, NoMatch) and match.any_line:
            mend, remedy = Mend.OPTION, "if you know which line it is: repair --drop-line N takes it out, and saves it"
        yield Finding("unmatched", Severity.ERROR, "", plan.obstacle, mend=mend, remedy=remedy)
    if isinstance(match, Match):
        yield from _describe_proof(evidence, match)


def _describe_proof(evidence: Evidence, match: Match) -> Iterator[Finding]:
    if not match.proven and match.lines.any():
        remedy = "nothing can be evicted from it while the generator's own score is missing in every row"
        yield Finding("unproven", Severity.WARNING, "", UNPROVEN, mend=Mend.PERSON, remedy=remedy)
    retired = int((evidence.inventory.rows.state == ItemState.RETIRED).sum())
    zero = match.zero - retired
    if zero > 0:
        message = f"{counted(zero, 'zero vector')}, the generator's mark for audio that it couldn't read"
        yield Finding("zero_vector", Severity.INFO, CLAP_AUDIO_NAME, message, count=zero)
