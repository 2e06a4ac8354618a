"""Why an item goes or stays, in words and as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from audio_cache_daemon.model import PlanRule, Truth
from audio_cache_daemon.pins import Pin
from audio_cache_daemon.reporting.audit_record import AuditReason
from audio_cache_daemon.reporting.evictions import make_reason
from audio_cache_daemon.reporting.items import ItemView
from audio_cache_daemon.reporting.run_text import describe_reason
from audio_cache_daemon.reporting.terminal import Column, Screen, Symbol
from audio_cache_daemon.units import format_size, format_time

_SIGN = re.compile(r" (?:[<>]=?|==) ")
_VERDICTS = {Truth.TRUE: "selects it", Truth.FALSE: "leaves it", Truth.UNDECIDABLE: "can't be decided"}


class RuleVerdictView(msgspec.Struct, frozen=True):
    """What one rule says of the item, and after which moment it will select it; None where no time alone does that."""

    rule: PlanRule
    truth: Truth
    reason: AuditReason
    due: float | None = None


class BudgetPlaceView(msgspec.Struct, frozen=True):
    """The item's place in the order of a mark of the budget, and above which reading the mark takes it."""

    mark: str
    place: int
    value: int
    limit: int


class ExplanationView(msgspec.Struct, frozen=True):
    """An item with everything that a policy says of it.

    `owner` takes it, and keeps `keeper` in its place, if the rule goes by another item (which a later rule may take);
    None: it stays, until `next_owner` is due.
    """

    item: ItemView
    policy: str
    protections: tuple[tuple[str, Truth], ...]
    rules: tuple[RuleVerdictView, ...]
    owner: RuleVerdictView | None
    keeper: ItemView | None = None
    undecided_file: bool = False
    next_owner: RuleVerdictView | None = None
    places: tuple[BudgetPlaceView, ...] = ()
    pin: Pin | None = None


def view_verdict(
    rule: PlanRule, truth: Truth, value: float, threshold: float, due: float | None = None
) -> RuleVerdictView:
    """The verdict of a rule as reports show it."""
    return RuleVerdictView(rule, truth, make_reason(rule, value, threshold, None), due)


def explanation_as_json(view: ExplanationView) -> dict[str, object]:
    """An explanation with stable keys."""
    return {
        "item": view.item,
        "policy": view.policy,
        "evicted": view.owner is not None,
        "rule": view.owner.rule.name if view.owner is not None else None,
        "reason": view.owner.reason if view.owner is not None else None,
        "keeper": view.keeper,
        "protections": [{"name": name, "verdict": truth.name.lower()} for name, truth in view.protections],
        "pin": {"reason": view.pin.reason, "by": view.pin.by} if view.pin is not None else None,
        "rules": [
            {
                "rule": verdict.rule.name,
                "verdict": verdict.truth.name.lower(),
                "reason": verdict.reason,
                "due": _due(verdict),
            }
            for verdict in view.rules
        ],
        "next": _next_as_json(view.next_owner),
        "budget": [
            {"mark": place.mark, "place": place.place, "value": place.value, "taken_above": place.limit}
            for place in view.places
        ],
    }


def _next_as_json(rule: RuleVerdictView | None) -> dict[str, str] | None:
    return {"rule": rule.rule.name, "due": format_time(rule.due)} if rule is not None and rule.due is not None else None


def print_explanation(screen: Screen, view: ExplanationView) -> None:
    """An explanation for people: first the answer, then what each rule says."""
    item = view.item
    where = f"row {item.row}" if item.row >= 0 else "a file without a row"
    screen.heading(f"{item.prompt or item.path} ({where}, {item.state})", Symbol.AUDIO)
    screen.line(f"  {item.path}")
    if item.state == "retired":
        # What the policy would say of it is history: an earlier run took it.
        screen.line("a run evicted it: the generator can't find it; `trash list` names what can bring it back")
        return
    if view.owner is not None:
        reason = describe_reason(view.owner.reason)
        screen.line(f"policy {view.policy} takes it: {view.owner.rule.name}, {reason}", Symbol.REMOVAL)
        if view.keeper is not None:
            kept = f"{view.keeper.prompt or 'a sound'} (row {view.keeper.row})"
            screen.line(f"  {view.owner.rule.name} keeps in its place: {kept}, {view.keeper.path}")
    else:
        screen.line(f"policy {view.policy} leaves it{_until(view.next_owner)}", Symbol.SUCCESS)
    if view.undecided_file:
        screen.line("it can't be decided whether its file is there, so nothing selects it", Symbol.WARNING)
    if view.pin is not None:
        until = "" if view.pin.until is None else f" until {format_time(view.pin.until)}"
        screen.line(f"  pinned by {view.pin.by} at {format_time(view.pin.since)}{until}: {view.pin.reason}")
    for name, truth in view.protections:
        sure = "" if truth == Truth.TRUE else ", because a value that it asks for is missing"
        screen.line(f"  protected by {name}{sure}")
    columns = (Column("rule", style="cyan"), Column("verdict"), Column("measured"), Column("will select it after"))
    screen.table(columns, _cells(view.rules))
    for place in view.places if view.owner is None else ():
        screen.line(f"  {_describe_place(place)}")


def _cells(verdicts: Sequence[RuleVerdictView]) -> list[tuple[str, ...]]:
    return [
        (
            verdict.rule.name,
            _VERDICTS[verdict.truth],
            describe_reason(verdict.reason) if verdict.truth == Truth.TRUE else _measured(verdict.reason),
            _due(verdict) or "",
        )
        for verdict in verdicts
    ]


def _measured(reason: AuditReason) -> str:
    if isinstance(reason.threshold, str) or reason.value is None:
        return ""
    return _SIGN.sub(" against ", describe_reason(reason))


def _due(verdict: RuleVerdictView) -> str | None:
    """When the rule will select it; of one that does already there is nothing to say."""
    if verdict.due is None or verdict.truth == Truth.TRUE:
        return None
    return format_time(verdict.due)


def _until(rule: RuleVerdictView | None) -> str:
    if rule is None or rule.due is None:
        return ""
    return f", until {rule.rule.name} takes it after {format_time(rule.due)}"


def _describe_place(place: BudgetPlaceView) -> str:
    show = format_size if place.mark == "budget:size" else "{:,} items".format
    now = f"there are {show(place.value)} now"
    return f"{place.mark} takes it above {show(place.limit)}, as number {place.place:,}; {now}"
