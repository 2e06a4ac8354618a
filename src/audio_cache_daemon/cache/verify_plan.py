"""From what was found in an index to what a repair does about it: only what is proven, or was told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from audio_cache_daemon.cache.verify_lines import LineKind, Lines
from audio_cache_daemon.cache.verify_match import Match, NoMatch
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.findings import Repair, RepairChoice, RepairPlan
from audio_cache_daemon.location import BGE_TEXT_NAME, CLAP_AUDIO_NAME, CLAP_TEXT_NAME, META_NAME
from audio_cache_daemon.model import Bools, Ints, Inventory

UNPROVEN = "no row has a score, so nothing proves which vectors belong to which row"

_SHOWN = 8
"""Numbers that a message names."""

_LOST = (LineKind.BLANK, LineKind.TORN)
"""Lines that go in any case, with their vectors if they have any: there is nothing to be read from them."""


class Evidence(msgspec.Struct, frozen=True):
    """What is known of an index: its lines, and which vectors are theirs.

    `suspects` are the lines that something is wrong with, `repeated` those that repeat another to the letter, vectors
    included; `empty` are the arrays of shape (0,).
    """

    inventory: Inventory
    lines: Lines
    match: Match | NoMatch
    suspects: Bools
    repeated: Bools
    empty: tuple[str, ...] = ()


def plan_repair(evidence: Evidence, choice: RepairChoice) -> RepairPlan:
    """What a repair does; ConfigError when a line is to be dropped that nothing is wrong with."""
    lines, match = evidence.lines, evidence.match
    told = _lines_told(evidence, choice)
    if isinstance(match, NoMatch):
        return RepairPlan(evidence.inventory, {}, obstacle=match.reason)
    if match.gap > 1 and not choice.drop_unmatched:
        return RepairPlan(evidence.inventory, {}, obstacle=_say_gap(match))
    dropped = match.lines & (told | lines.of(*_LOST))
    if dropped.any() and not match.proven:
        return RepairPlan(evidence.inventory, {}, obstacle=UNPROVEN)
    if match.proven:
        dropped |= match.lines & evidence.repeated
    kept = {META_NAME: match.lines & ~dropped}
    pairs = dropped[match.lines]
    arrays = evidence.inventory.index.arrays
    for name, mask in ((CLAP_TEXT_NAME, match.text), (CLAP_AUDIO_NAME, match.audio)):
        if name in arrays:
            kept[name] = mask.copy()
            kept[name][np.flatnonzero(mask)[pairs]] = False
    blanked = _add_bge(evidence, kept)
    ends_line = bool(lines.unended and len(lines) and kept[META_NAME][-1])
    repairs = tuple(_describe(evidence, match, told, dropped, blanked=blanked))
    if ends_line:
        repairs += (Repair("torn_tail", f"end line {len(lines)}, the last one, which is whole"),)
    blanks = frozenset({BGE_TEXT_NAME}) if blanked else frozenset[str]()
    return RepairPlan(evidence.inventory, kept, repairs, blanks, evidence.empty, ends_line)


def bge_companion(evidence: Evidence) -> str | None:
    """The CLAP array that the rows of the BGE array go with: one of equal length; None if it can't be told."""
    arrays = evidence.inventory.index.arrays
    for name in (CLAP_TEXT_NAME, CLAP_AUDIO_NAME):
        if name in arrays and arrays[name].rows == arrays[BGE_TEXT_NAME].rows:
            return name
    return None


def list_numbers(numbers: Ints) -> str:
    """The first few of some numbers, in words."""
    shown = [str(number) for number in numbers[:_SHOWN].tolist()]
    if len(numbers) > _SHOWN:
        return ", ".join(shown) + f" and {len(numbers) - _SHOWN:,} more"
    return join(shown)


def join(words: Sequence[str]) -> str:
    """An enumeration."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def name_lines(lines: Bools) -> str:
    """Lines by number, from 1."""
    numbers = np.flatnonzero(lines) + 1
    return f"line{'s' if len(numbers) != 1 else ''} {list_numbers(numbers)}"


def _lines_told(evidence: Evidence, choice: RepairChoice) -> Bools:
    told = np.zeros(len(evidence.lines), np.bool_)
    for number in sorted(choice.drop_lines):
        if not 1 <= number <= len(told):
            raise ConfigError(f"meta.jsonl has no line {number}; it has {len(told)}")
        if not evidence.suspects[number - 1]:
            raise ConfigError(f"nothing is wrong with line {number} of meta.jsonl, so repair doesn't drop it")
        told[number - 1] = True
    return told


def _say_gap(match: Match) -> str:
    return (
        f"{match.gap:,} rows in one place lack their lines or vectors, which is more than a crash leaves; "
        "is there a backup of the arrays? Otherwise --drop-unmatched takes them out and saves them"
    )


def _add_bge(evidence: Evidence, kept: dict[str, Bools]) -> bool:
    """Which rows of the BGE array stay; whether the other lines get zeros, as it can't be told whose the rest are."""
    info = evidence.inventory.index.arrays.get(BGE_TEXT_NAME)
    if info is None:
        return False
    companion = bge_companion(evidence)
    if companion is not None:
        kept[BGE_TEXT_NAME] = kept[companion]
        return False
    known = evidence.inventory.index.aligned
    kept[BGE_TEXT_NAME] = np.zeros(info.rows, np.bool_)
    kept[BGE_TEXT_NAME][:known] = kept[META_NAME][:known]
    return info.rows > 0 or bool(kept[META_NAME].any())


def _describe(evidence: Evidence, match: Match, told: Bools, dropped: Bools, *, blanked: bool) -> Iterator[Repair]:
    lines = evidence.lines
    gone = (~match.lines | lines.of(*_LOST)) & ~told
    for kind, name, action in (
        (LineKind.TORN, "torn_tail", "cut the torn {}"),
        (LineKind.BLANK, "blank_line", "drop blank {}"),
        (LineKind.UNREADABLE, "unreadable_line", "drop unreadable {}: no vectors belong to it"),
    ):
        found = gone & lines.of(kind)
        if found.any():
            yield Repair(name, action.format(name_lines(found)), int(found.sum()))
    unmatched = gone & lines.of(LineKind.ROW, LineKind.FOREIGN, LineKind.MISTYPED)
    if unmatched.any():
        yield Repair(
            "line_without_vectors",
            f"take out {name_lines(unmatched)}: not all vectors of it were written",
            int(unmatched.sum()),
        )
    yield from _describe_vectors(evidence, match, gone)
    repeated = dropped & evidence.repeated & ~told
    if repeated.any():
        message = f"drop {name_lines(repeated)}: an earlier line repeated to the letter, vectors included"
        yield Repair("repeated_row", message, int(repeated.sum()))
    if told.any():
        yield Repair("dropped_line", f"take out {name_lines(told)}, as told, with the vectors", int(told.sum()))
    if blanked:
        yield Repair("bge_length", _say_blanked(evidence))
    for name in evidence.empty:
        yield Repair("empty_array", f"take {name} away: its shape is (0,)")


def _say_blanked(evidence: Evidence) -> str:
    info = evidence.inventory.index.arrays[BGE_TEXT_NAME]
    known = evidence.inventory.index.aligned
    if not known:
        return f"fill {BGE_TEXT_NAME} with zeros: which rows its {info.rows:,} describe can't be told"
    return f"fill {BGE_TEXT_NAME} with zeros from row {known} on: before it no row was lacking"


def _describe_vectors(evidence: Evidence, match: Match, gone: Bools) -> Iterator[Repair]:
    """What goes of the arrays because it has no line, or none that can be read."""
    pairs = gone[match.lines]
    with_bge = bge_companion(evidence) if BGE_TEXT_NAME in evidence.inventory.index.arrays else None
    places: dict[bytes, list[str]] = {}
    for name, mask in ((CLAP_TEXT_NAME, match.text), (CLAP_AUDIO_NAME, match.audio)):
        alone = ~mask
        alone[np.flatnonzero(mask)[pairs]] = True
        names = [name, BGE_TEXT_NAME] if name == with_bge else [name]
        if alone.any():
            places.setdefault(np.flatnonzero(alone).tobytes(), []).extend(names)
    for content, names in places.items():
        rows = np.frombuffer(content, np.int64)
        numbers = f"row{'s' if len(rows) != 1 else ''} {list_numbers(rows)}"
        yield Repair("vector_alone", f"take {numbers} out of {join(names)}: no whole item", len(rows))
