"""Everything that is wrong with a cache, each fault with its place, and what can be done about it. Never writes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from audio_cache_daemon.cache.verify_arrays import describe_arrays, describe_match, find_empty_arrays
from audio_cache_daemon.cache.verify_files import describe_files
from audio_cache_daemon.cache.verify_lines import Lines, describe_lines, examine_lines
from audio_cache_daemon.cache.verify_match import Match, NoMatch, match_rows, match_without
from audio_cache_daemon.cache.verify_plan import Evidence, plan_repair
from audio_cache_daemon.cache.verify_vectors import Vectors
from audio_cache_daemon.findings import Examination, Finding, Mend, RepairChoice, RepairPlan, Severity, gather
from audio_cache_daemon.location import ARRAY_NAMES, BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME
from audio_cache_daemon.model import Bools, Inventory, ItemState

_NO_CHOICE = RepairChoice()


def examine_index(inventory: Inventory, choice: RepairChoice = _NO_CHOICE) -> Examination:
    """What is wrong with a scanned cache, and what a repair would do about it.

    InconsistentIndexError when the index changed since it was scanned: scan it again. ConfigError when the choice
    asks for what is not to be done.
    """
    evidence = _examine(inventory, choice)
    plan = plan_repair(evidence, choice)
    findings = gather(_describe(evidence, plan))
    return Examination(findings, plan)


def _examine(inventory: Inventory, choice: RepairChoice) -> Evidence:
    lines = examine_lines(inventory)
    empty = find_empty_arrays(inventory)
    unreadable = [name for name in _unreadable(inventory) if name not in empty]
    with Vectors(inventory) as vectors:
        if unreadable:
            match: Match | NoMatch = NoMatch(f"{' and '.join(unreadable)} can't be read as the generator's")
        elif not vectors.fit:
            match = NoMatch(f"{CLAP_TEXT_NAME} and {CLAP_AUDIO_NAME} have rows of different widths or types")
        else:
            match = match_rows(lines, inventory.rows.quality, vectors)
        suspects = _find_suspects(lines, match)
        told = np.zeros(len(lines), np.bool_)
        told[[number - 1 for number in choice.drop_lines if 1 <= number <= len(lines)]] = True
        if isinstance(match, NoMatch) and told.any() and vectors.fit and not unreadable:
            match = match_without(lines, inventory.rows.quality, vectors, told)
        repeated = _find_repeated(inventory, lines, match, vectors)
    return Evidence(inventory, lines, match, suspects, repeated, empty)


def _unreadable(inventory: Inventory) -> Iterator[str]:
    """The arrays that are there in some form, but not as the writer's."""
    for name in ARRAY_NAMES:
        if name not in inventory.index.arrays and os.path.lexists(inventory.location.path / name):
            yield name


def _find_suspects(lines: Lines, match: Match | NoMatch) -> Bools:
    """The lines with something wrong: any, when it can't be told where the fault is."""
    faulty = lines.kind > 0
    if isinstance(match, Match):
        return faulty | ~match.lines
    if match.any_line:
        return np.ones(len(lines), np.bool_)
    faulty[match.wrong] = True
    return faulty


def _find_repeated(inventory: Inventory, lines: Lines, match: Match | NoMatch, vectors: Vectors) -> Bools:
    """The lines that repeat an earlier one to the letter, and whose vectors do too; they name the same file."""
    repeated = np.zeros(len(lines), np.bool_)
    if isinstance(match, NoMatch):
        return repeated
    known = match.lines & (inventory.rows.state != ItemState.RETIRED) & inventory.rows.readable
    numbers = np.flatnonzero((lines.first != np.arange(len(lines))) & known & known[lines.first])
    place = np.cumsum(match.lines) - 1
    rows = {CLAP_TEXT_NAME: np.flatnonzero(match.text), CLAP_AUDIO_NAME: np.flatnonzero(match.audio)}
    bge = inventory.index.arrays.get(BGE_TEXT_NAME)
    for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME):
        if bge is not None and name in vectors.arrays and bge.rows == vectors.arrays[name].rows:
            rows.setdefault(BGE_TEXT_NAME, rows[name])
    for number in numbers.tolist():
        pair = int(place[number]), int(place[lines.first[number]])
        repeated[number] = all(vectors.are_equal(name, int(of[pair[0]]), int(of[pair[1]])) for name, of in rows.items())
    return repeated


def _describe(evidence: Evidence, plan: RepairPlan) -> Iterator[Finding]:
    for finding in describe_lines(evidence.inventory):
        yield _as_decided(finding, evidence, plan)
    yield from _describe_repeated(evidence)
    yield from describe_arrays(evidence, plan)
    yield from describe_match(evidence, plan)
    yield from describe_files(evidence)


def _as_decided(finding: Finding, evidence: Evidence, plan: RepairPlan) -> Finding:
    """A fault of a line, with what a repair can do given which vectors are whose."""
    assert finding.line is not None
    match = evidence.match
    if isinstance(match, Match) and finding.kind == "unreadable_line" and not match.lines[finding.line - 1]:
        return replace(finding, mend=Mend.REPAIR, remedy="it has no vectors: repair drops it, and saves it")
    if plan.obstacle is not None and finding.mend == Mend.REPAIR:
        return replace(finding, mend=Mend.PERSON, remedy="not before it can be told which vectors belong to which line")
    return finding


def _describe_repeated(evidence: Evidence) -> Iterator[Finding]:
    lines = evidence.lines
    for number in np.flatnonzero((lines.first != np.arange(len(lines))) & evidence.inventory.rows.readable).tolist():
        message = f"repeats line {int(lines.first[number]) + 1} to the letter"
        mend, remedy = Mend.PERSON, "not while it can't be told which vectors are its own"
        if evidence.repeated[number]:
            mend, remedy = Mend.REPAIR, "repair drops it, with its vectors, and saves both"
        elif isinstance(evidence.match, Match):
            remedy = "its vectors are others than those of that line, so both stay; a dedupe rule can take one"
        yield Finding(
            "repeated_row", Severity.WARNING, META_NAME, message, line=number + 1, row=number, mend=mend, remedy=remedy
        )
