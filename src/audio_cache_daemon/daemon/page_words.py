"""The state of a cache in plain words, for the status page: one sentence, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from audio_cache_daemon.daemon.look import Look, MarkReading
from audio_cache_daemon.daemon.overview import Overview
from audio_cache_daemon.daemon.words import AGAIN_AND_AGAIN
from audio_cache_daemon.reporting.page_facts import Level, Trouble
from audio_cache_daemon.retention.policy import (
    Broken,
    Compared,
    Criterion,
    Dedupe,
    Everything,
    InState,
    MaxAge,
    Pattern,
    Policy,
)
from audio_cache_daemon.units import format_duration, format_size, format_time

RESULT_LEVELS: dict[str, Level] = {
    "success": "good",
    "noop": "good",
    "partial": "warn",
    "deferred": "warn",
    "locked": "warn",
    "refused": "bad",
    "failed": "bad",
}
_MARK_NAMES = {"size": "size", "items": "number of items", "disk": "free disk space"}
_STATES = {
    "missing": "rows whose file is missing",
    "orphan": "audio that no row names",
    "leftover": "left over from making a sound",
}
_COMMAND = "audio-cache-daemon"


def judge(overview: Overview, now: float) -> tuple[Level, str]:
    """How a cache is, and that in one sentence."""
    return next(_judge(overview, now))


def _judge(overview: Overview, now: float) -> Iterator[tuple[Level, str]]:
    """What there is to say of a cache, what matters most first."""
    look, standing = overview.look, overview.standing
    if look is None:
        yield ("bad", "It can't be seen.") if overview.problems else ("warn", "It was not looked at yet.")
        return
    result = standing.last_run.result if standing is not None and standing.last_run is not None else ""
    if result == "refused":
        yield "bad", "Its last run was refused, and nothing goes until somebody has looked at why."
    if result == "failed":
        yield "bad", "Its last run failed."
    if overview.sight_problems:
        yield "bad", "Something is wrong with the cache itself, and that comes first."
    if overview.awaiting is not None:
        yield "warn", "Its new policy would take much, and waits for a word from you."
    crossed = look.crossed().values()
    if crossed:
        yield "warn", f"It is beyond its mark: {' and '.join(map(str, crossed))}."
    if overview.pause.holds(now):
        yield "warn", f"It is paused, and nothing is removed. {_holds(look)}"
    if standing is not None and standing.vanishings >= AGAIN_AND_AGAIN:
        yield "warn", "Files vanish from it, and it isn't this service that takes them."
    if not look.statistics.items and not look.size:
        yield "good", "It is empty."
    yield "good", f"It is within its limits. {_holds(look)}" if look.marks else _holds(look)


def _holds(look: Look) -> str:
    return f"It holds {look.statistics.items:,} items, {format_size(look.size)}."


def find_troubles(overview: Overview, now: float) -> Iterator[Trouble]:
    """What is wrong, and what to do about each."""
    name, look, standing = overview.name, overview.look, overview.standing
    for problem in overview.sight_problems:
        is_of_index = look is not None and not look.is_consistent
        advice = "These tell where, and mend it:" if is_of_index else ""
        commands: tuple[str, ...] = (
            (f"{_COMMAND} --cache {name} verify", f"{_COMMAND} --cache {name} repair") if is_of_index else ()
        )
        yield Trouble(_sentence(problem), advice, commands)
    last = standing.last_run if standing is not None else None
    if last is not None and RESULT_LEVELS.get(last.result) == "bad":
        what = "The last run was refused" if last.result == "refused" else "The last run failed"
        advice = "This shows what it wants to do, and takes nothing:" if last.result == "refused" else ""
        commands = (f"{_COMMAND} --cache {name} run-once --dry-run",) if last.result == "refused" else ()
        yield Trouble(f"{what}: {shorten(last.words, last.result, overview)}.", advice, commands)
    awaiting = overview.awaiting
    if awaiting is not None:
        words = f"The policy is new, and its first run would evict {awaiting.words}."
        yield Trouble(words, "If that is right:", (f"{_COMMAND} accept-policy {awaiting.hash}",))
    for mark in look.crossed().values() if look is not None else ():
        yield _describe_crossed(mark, overview)
    if overview.pause.holds(now):
        until = (
            f"until {format_time(overview.pause.until)}" if overview.pause.until is not None else "until it is resumed"
        )
        yield Trouble(f"It is paused {until}, by {overview.pause.by}.", "To end that:", (f"{_COMMAND} resume",))
    if standing is not None and standing.vanishings >= AGAIN_AND_AGAIN:
        words = f"{standing.vanished:,} files of items vanished, seen in {standing.vanishings} looks."
        yield Trouble(words, "Is another cleaner at work on these files, or a person? Two of them end badly: stop one.")
    if look is not None and overview.is_deaf:
        yield Trouble(
            "Not all changes in this cache are heard of at once.",
            "They show in the periodic look, some minutes later. The log says why it can't be watched.",
        )


def _describe_crossed(mark: MarkReading, overview: Overview) -> Trouble:
    name = _MARK_NAMES[mark.name]
    what = f"Its {name} is beyond the mark: {mark}."
    if overview.target.settings.policy.mode == "audit":
        return Trouble(
            what, "Its policy only reports (mode: audit). With mode: enforce it is brought within its marks."
        )
    last = overview.standing.last_run if overview.standing is not None else None
    if last is not None and last.result == "refused":
        return Trouble(what, "It stays so until the refusal is dealt with.")
    goal = f"{mark.goal:,}" if mark.name == "items" else format_size(mark.goal)
    advice = f"The next run brings it to {goal}, as far as its limits and what is protected allow."
    return Trouble(what, advice)


def shorten(words: str, result: str, overview: Overview) -> str:
    """How a run ended, without the result and the directory, which stand beside it."""
    return words.removeprefix(f"{result}: ").removeprefix(f"{overview.target.settings.location.path}: ")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")


def describe_rules(policy: Policy) -> dict[str, str]:
    """What each rule takes, in plain words, those of the budget included."""
    rules = {rule.name: _describe(rule.criterion) for rule in policy.rules}
    for rule in policy.rules:
        if rule.min_age is not None:
            rules[rule.name] += f", older than {format_duration(rule.min_age)}"
        if rule.pattern is not None:
            rules[rule.name] += f", and whose prompt matches {rule.pattern}"
    order = {"oldest": "the oldest", "lowest_quality": "the worst", "largest": "the largest"}[policy.budget.evict]
    budget = {f"budget:{name}": f"{order} of what is too much: {words}" for name, words in _MARK_NAMES.items()}
    return {**rules, **budget}


def _describe(criterion: Criterion) -> str:
    match criterion:
        case MaxAge(seconds):
            words = f"older than {format_duration(seconds)}"
        case Pattern(expression):
            words = f"prompt matches {expression}"
        case Dedupe("prompt", keep):
            words = f"more than {keep} of one prompt"
        case Dedupe():
            words = "copies of the same sound"
        case InState(state):
            words = _STATES[state]
        case Broken():
            words = "audio that is empty, can't be decoded, or is cut short, silent or clipped through"
        case Compared(measure, sign, limit):
            words = f"{measure} {sign} {limit:g}"
        case Everything():
            words = "everything"
    return words
