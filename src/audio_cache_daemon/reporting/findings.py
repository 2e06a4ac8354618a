"""What is wrong with a cache and what a repair does about it, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from audio_cache_daemon.findings import Examination, Finding, Mend, RepairPlan, Severity, counted
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.reporting.terminal import Screen, Symbol

_SHOWN = 10
"""Findings of one kind that a person is shown."""

_SYMBOLS = {Severity.ERROR: Symbol.ERROR, Severity.WARNING: Symbol.WARNING, Severity.INFO: None}


def examination_as_json(examination: Examination) -> dict[str, object]:
    """An examination as one object; `result` is the worst that was found."""
    location = examination.plan.inventory.location
    counts = {severity: examination.count(severity) for severity in Severity}
    return {
        "cache": location.name,
        "path": location.path,
        "result": _result(counts),
        "errors": counts[Severity.ERROR],
        "warnings": counts[Severity.WARNING],
        "infos": counts[Severity.INFO],
        "findings": [_finding_as_json(finding) for finding in examination.findings],
    }


def plan_as_json(plan: RepairPlan) -> dict[str, object]:
    """What a repair does, and what is in its way."""
    repairs = [{"kind": repair.kind, "message": repair.message, "count": repair.count} for repair in plan.repairs]
    return {"repairs": repairs, "obstacle": plan.obstacle}


def print_examination(screen: Screen, examination: Examination) -> None:
    """All faults in words, those of one kind cut short."""
    name = examination.plan.inventory.location.name
    counts = {severity: examination.count(severity) for severity in Severity}
    if not any(counts.values()):
        screen.line(f"{name}: nothing is wrong", Symbol.SUCCESS)
        return
    screen.heading(f"{name}: {_say_counts(counts)}", Symbol.ANALYSIS)
    _print_findings(screen, list(_cut_short(examination.findings)))
    if not counts[Severity.ERROR]:
        screen.line(f"{name}: the index is sound", Symbol.SUCCESS)


def print_repair(screen: Screen, examination: Examination) -> None:
    """What a repair would do, why it can't, and which errors are left to a person."""
    plan = examination.plan
    name = plan.inventory.location.name
    if plan.repairs:
        screen.heading(f"{name}: repair would", Symbol.ANALYSIS)
        for repair in plan.repairs:
            screen.line(f"  - {repair.message}")
        screen.line(
            "  What goes is saved beside the index, so that nothing is lost. Audio files stay where they are.",
            style="dim",
        )
    elif plan.obstacle is None:
        screen.line(f"{name}: there is nothing that repair can mend", Symbol.SUCCESS)
    left = [finding for finding in examination.findings if _is_left(finding, plan)]
    if left:
        screen.heading(f"{name}: left to you")
        _print_findings(screen, list(_cut_short(left)))


def _is_left(finding: Finding, plan: RepairPlan) -> bool:
    """Whether an error stays after the repair."""
    if finding.line is not None and META_NAME in plan.kept and not plan.kept[META_NAME][finding.line - 1]:
        return False
    return finding.severity == Severity.ERROR and finding.mend != Mend.REPAIR


def _result(counts: dict[Severity, int]) -> str:
    if counts[Severity.ERROR]:
        return "errors"
    return "warnings" if counts[Severity.WARNING] else "clean"


def _say_counts(counts: dict[Severity, int]) -> str:
    words = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}
    return ", ".join(counted(count, words[severity]) for severity, count in counts.items() if count)


def _cut_short(findings: tuple[Finding, ...] | list[Finding]) -> Iterator[Finding]:
    """The first few of each kind, and then how many more there are."""
    shown: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for finding in findings:
        shown[finding.kind] += 1
        if shown[finding.kind] > _SHOWN:
            rest[finding.kind] += finding.count
    passed: Counter[str] = Counter()
    for finding in findings:
        passed[finding.kind] += 1
        if passed[finding.kind] <= _SHOWN:
            yield finding
        elif passed[finding.kind] == _SHOWN + 1:
            message = f"and {rest[finding.kind]:,} more of this kind; --format json tells more of them"
            yield Finding(finding.kind, finding.severity, "", message)


def _print_findings(screen: Screen, findings: list[Finding]) -> None:
    for number, finding in enumerate(findings):
        where = f"{finding.file}, line {finding.line}" if finding.line is not None else finding.file
        screen.line(f"{where}: {finding.message}" if where else finding.message, _SYMBOLS[finding.severity])
        following = findings[number + 1] if number + 1 < len(findings) else None
        is_last = following is None or (following.kind, following.remedy) != (finding.kind, finding.remedy)
        if finding.remedy and is_last:
            screen.line(f"     {finding.remedy}", style="dim")


def _finding_as_json(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "severity": finding.severity.value,
        "file": finding.file,
        "line": finding.line,
        "row": finding.row,
        "message": finding.message,
        "count": finding.count,
        "mend": finding.mend.value,
        "remedy": finding.remedy,
    }
