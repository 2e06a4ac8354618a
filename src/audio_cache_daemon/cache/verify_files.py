"""Faults of the files beside the index: audio that is missing, can't be decided, or that no row names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audio_cache_daemon.cache.scan import open_index
from audio_cache_daemon.cache.verify_plan import Evidence
from audio_cache_daemon.findings import MOST_FINDINGS, Finding, Mend, Severity, counted
from audio_cache_daemon.formats import decode_row, read_lines
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.model import Inventory, ItemState, StrayKind
from audio_cache_daemon.units import format_size


def describe_files(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with audio files and their directories, and what is only worth knowing."""
    inventory = evidence.inventory
    for root in inventory.roots:
        if root.inode is None:
            remedy = "is a volume not mounted?"
            yield Finding(
                "missing_root", Severity.WARNING, str(root.path), "not there", mend=Mend.PERSON, remedy=remedy
            )
    for problem in inventory.problems:
        if problem.kind == "unreadable_directory":
            yield Finding(
                problem.kind, Severity.WARNING, problem.where, problem.message, count=problem.count, mend=Mend.PERSON
            )
        elif problem.kind == "undecidable_path":
            message = f"{counted(problem.count, 'row')} whose file can't be decided: {problem.message}"
            remedy = "such items always stay; path_base, path_map and audio_roots say where files are"
            yield Finding(
                problem.kind, Severity.WARNING, "", message, count=problem.count, mend=Mend.PERSON, remedy=remedy
            )
    yield from _describe_missing(inventory)
    yield from _describe_shared(evidence)
    yield from _describe_strays(inventory)
    retired = int((inventory.rows.state == ItemState.RETIRED).sum())
    if retired:
        message = f"retired, and not yet compacted: {counted(retired, 'row')}"
        yield Finding("retired", Severity.INFO, "", message, count=retired)


def _describe_missing(inventory: Inventory) -> Iterator[Finding]:
    numbers = np.flatnonzero(inventory.rows.missing())
    remedy = "a rule with state: missing takes such items"
    told = numbers[:MOST_FINDINGS]
    with open_index(inventory.location) as meta:
        lines = read_lines(meta.fileno(), inventory.rows.offset, told)
        for number, line in zip(told.tolist(), lines, strict=True):
            row, _ = decode_row(line)
            message = f"its audio file isn't there: {row.path if row is not None else 'unknown'}"
            yield Finding(
                "missing_file",
                Severity.WARNING,
                META_NAME,
                message,
                number + 1,
                number,
                mend=Mend.PERSON,
                remedy=remedy,
            )
    rest = len(numbers) - len(told)
    if rest:
        message = f"{counted(rest, 'more row')} whose audio file isn't there"
        yield Finding("missing_file", Severity.WARNING, META_NAME, message, count=rest, mend=Mend.PERSON, remedy=remedy)


def _describe_shared(evidence: Evidence) -> Iterator[Finding]:
    """Files that several rows name; rows repeated to the letter are told by themselves."""
    rows, lines = evidence.inventory.rows, evidence.lines
    named = rows.file[rows.readable & (rows.file >= 0) & (lines.first == np.arange(len(lines)))]
    count = int((np.bincount(named, minlength=1) > 1).sum())
    if count:
        message = f"{counted(count, 'audio file')} named by several rows; each goes with the last of them"
        yield Finding("shared_file", Severity.INFO, "", message, count=count)


def _describe_strays(inventory: Inventory) -> Iterator[Finding]:
    for kind, name, words in (
        (StrayKind.ORPHAN, "orphan", "audio files that no row names"),
        (StrayKind.LEFTOVER, "leftover", "files left over from generation"),
    ):
        which = inventory.strays.kind == kind
        count = int(which.sum())
        if count:
            doubt = inventory.orphans_undecidable if kind == StrayKind.ORPHAN else None
            message = f"{counted(count, name)} ({words}), {format_size(int(inventory.strays.size[which].sum()))}"
            message += f"; not to be relied on: {doubt}" if doubt is not None else ""
            remedy = f"a rule with state: {name} takes such files"
            yield Finding(name, Severity.INFO, "", message, count=count, mend=Mend.PERSON, remedy=remedy)
