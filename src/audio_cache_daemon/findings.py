"""What is wrong with a cache, and what can be done about it: the values that `verify` and `repair` hand on.

Lines of `meta.jsonl` are counted from 1, as editors do; rows of the arrays from 0, as arrays do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from audio_cache_daemon.model import Bools, Inventory

MOST_FINDINGS = 1000
"""Findings of one kind that are told one by one; the rest is counted."""


class Severity(StrEnum):
    """What a fault does to the generator."""

    ERROR = "error"
    """It can't start, or serves wrong sounds."""
    WARNING = "warning"
    """It serves less, or worse, than it could."""
    INFO = "info"
    """Nothing."""


class Mend(StrEnum):
    """Who can put a fault right."""

    REPAIR = "repair"
    """`repair`, by itself: what it does is proven."""
    OPTION = "option"
    """`repair`, when it is told how."""
    PERSON = "person"
    """A person, or another command."""
    NOTHING = "nothing"
    """There is nothing to do."""


class Finding(msgspec.Struct, frozen=True):
    """One fault, or `count` alike: where it is, what it means, who can mend it and how (`remedy`).

    `file` is an index file or a path, "" for the cache as a whole.
    """

    kind: str
    severity: Severity
    file: str
    message: str
    line: int | None = None
    row: int | None = None
    count: int = 1
    mend: Mend = Mend.NOTHING
    remedy: str = ""


class RepairChoice(msgspec.Struct, frozen=True):
    """What a person decided of what can't be proven: lines to drop, and whether more than one row may go unmatched."""

    drop_lines: frozenset[int] = frozenset()
    drop_unmatched: bool = False


class Repair(msgspec.Struct, frozen=True):
    """One thing that a repair does, in words, to so many lines or rows."""

    kind: str
    message: str
    count: int = 1


class RepairPlan(msgspec.Struct, frozen=True):
    """What a repair does to the index of an inventory, as one change.

    `kept` says of `meta.jsonl` and of each array which lines and rows stay. An array in `blanked` gets zeros for the
    last of the lines that stay, which have no row in it; one in `removed` is moved away. With `end_last_line` the last
    line gets the end that it lacks. `obstacle` says why nothing can be done about the index, or is None.
    """

    inventory: Inventory
    kept: Mapping[str, Bools]
    repairs: tuple[Repair, ...] = ()
    blanked: frozenset[str] = frozenset()
    removed: tuple[str, ...] = ()
    end_last_line: bool = False
    obstacle: str | None = None


class Examination(msgspec.Struct, frozen=True):
    """A cache as it was examined: what is wrong with it, the worst first, and what a repair would do."""

    findings: tuple[Finding, ...]
    plan: RepairPlan

    def count(self, severity: Severity) -> int:
        """How many faults of this severity there are."""
        return sum(finding.count for finding in self.findings if finding.severity == severity)


def gather(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, the worst first, but no more of one kind than MOST_FINDINGS: the rest is counted in one."""
    order = list(Severity)
    told: list[Finding] = []
    rest: dict[str, Finding] = {}
    counts: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for finding in findings:
        counts[finding.kind] += 1
        if counts[finding.kind] <= MOST_FINDINGS:
            told.append(finding)
        else:
            left[finding.kind] += finding.count
            rest.setdefault(finding.kind, finding)
    more = [
        Finding(kind, first.severity, first.file, f"and {left[kind]:,} more of this kind", count=left[kind])
        for kind, first in rest.items()
    ]
    return tuple(sorted([*told, *more], key=lambda finding: order.index(finding.severity)))


def counted(number: int, noun: str) -> str:
    """A number of things in words."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"
