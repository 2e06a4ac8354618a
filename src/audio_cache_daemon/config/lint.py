"""What is valid and yet can't work, or surprises, as far as the settings alone can tell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from audio_cache_daemon.config.settings import CacheSettings, Settings, WriterSettings
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.patterns import PatternTimeoutError, compile_pattern
from audio_cache_daemon.retention.policy import (
    Compared,
    Dedupe,
    DiskMarks,
    InState,
    KeepBest,
    KeepNewest,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Rule,
)

_PROMPTS = (
    "Heavy rain on a tin roof, distant thunder",
    "1950s jazz trio in a small club",
    "showreel: sky, myth & rhythm",
    "птицы в утреннем лесу",
    "静かな森の小川",
    "ضجيج السوق",
)
"""Ordinary prompts in several scripts: an expression that finds something in all of them tells nothing apart."""

_PLAUSIBLE_SIMILARITY = (0.8, 0.9999)
"""Cosines of CLAP audio vectors: other sounds of one kind reach 0.8, and vectors of one sound differ by rounding."""

_NESTED_REPEAT = re.compile(r"\((?:[^()\\]|\\.)*[*+](?:[^()\\]|\\.)*\)[*+{]")


Level: TypeAlias = Literal["error", "warning"]


class LintFinding(msgspec.Struct, frozen=True):
    """An `error` must be mended before the configuration is used; a `warning` should be looked at."""

    level: Level
    key: str
    message: str


def lint(settings: Settings) -> list[LintFinding]:
    """What in these settings can't work or is likely not meant, without a look at the disk."""
    return [
        *_lint_daemon(settings),
        *(finding for policy in settings.policies.values() for finding in _lint_policy(policy)),
        *(finding for cache in settings.caches.values() for finding in _lint_cache(cache)),
        *_lint_shared_roots(settings),
    ]


def refuse_errors(settings: Settings) -> None:
    """ConfigError, with everything that must be mended, when these settings can't work."""
    errors = [finding for finding in lint(settings) if finding.level == "error"]
    if errors:
        raise ConfigError("\n".join(f"{settings.source}: {finding.key}: {finding.message}" for finding in errors))


def _error(key: str, message: str) -> LintFinding:
    return LintFinding("error", key, message)


def _warning(key: str, message: str) -> LintFinding:
    return LintFinding("warning", key, message)


def _lint_daemon(settings: Settings) -> Iterator[LintFinding]:
    if settings.http is not None and not settings.http.is_loopback:
        yield _warning("http.listen", "anyone who reaches this address can read metrics and status, without a password")
    used = {cache.policy.name for cache in settings.caches.values()}
    for name in (name for name in settings.policies if name not in used):
        yield _warning(f"policies.{name}", "no cache has this policy")


def _lint_policy(policy: Policy) -> Iterator[LintFinding]:
    key = f"policies.{policy.name}"
    budget = policy.budget
    if not policy.rules and not (budget.size or budget.items or budget.disk):
        yield _warning(key, "without rules and without a budget nothing ever goes")
    for number, protection in enumerate(policy.protect):
        if isinstance(protection.criterion, Pattern):
            yield from _lint_pattern(f"{key}.protect[{number}].pattern", protection.criterion.expression)
    for number, rule in enumerate(policy.rules):
        yield from _lint_rule(f"{key}.rules[{number}]", rule, policy)
    if budget.size:
        yield from _lint_marks(f"{key}.budget.size", budget.size, None, policy.limits.max_percent)
    if budget.items:
        yield from _lint_marks(f"{key}.budget.items", budget.items, policy.limits.max_items, policy.limits.max_percent)
    if budget.disk:
        yield from _lint_disk(f"{key}.budget.disk", budget.disk)


def _lint_marks(key: str, marks: Marks, most: int | None, most_percent: float | None) -> Iterator[LintFinding]:
    gap = marks.high - marks.low
    if gap < 0:
        yield _error(key, "low is above high, so there is nothing to evict down to; low has to be the smaller one")
    if most is not None and gap > most:
        yield _warning(
            key, f"high to low is {gap} items, limits.max_items is {most}: runs would be cut short each time"
        )
    if most_percent is not None and gap * 100 > marks.high * most_percent:
        share = f"{gap / marks.high:.0%}"
        yield _warning(
            key, f"high to low is {share}, limits.max_percent {most_percent:g}: runs would be cut short each time"
        )


def _lint_disk(key: str, disk: DiskMarks) -> Iterator[LintFinding]:
    low, high = disk.min_free, disk.resume_free
    if isinstance(low, int) and isinstance(high, int):
        reversed_marks = high < low
    else:
        reversed_marks = not isinstance(low, int) and not isinstance(high, int) and high.percent < low.percent
    if reversed_marks:
        yield _error(key, "resume_free is below min_free; evicting begins below min_free and ends at resume_free")


def _lint_rule(key: str, rule: Rule, policy: Policy) -> Iterator[LintFinding]:
    if isinstance(rule.criterion, Pattern):
        yield from _lint_pattern(f"{key}.pattern", rule.criterion.expression)
    if rule.pattern is not None:
        yield from _lint_pattern(f"{key}.pattern", rule.pattern)
    if isinstance(rule.criterion, InState) and rule.criterion.state != "missing" and rule.pattern is not None:
        state = rule.criterion.state
        yield _error(key, f"can never match: no row names {_article(state)}, so it has no prompt for the pattern")
    if isinstance(rule.criterion, Dedupe) and rule.criterion.is_by_ear:
        yield from _lint_by_ear(f"{key}.dedupe", rule.criterion)
    if isinstance(rule.criterion, Compared):
        yield from _lint_comparison(key, rule.criterion)
    for earlier in policy.rules[: policy.rules.index(rule)]:
        if _covers(earlier, rule):
            yield _warning(key, f"can never match: the rule {earlier.name} before it selects the same already")
            break
    for protection in policy.protect:
        if isinstance(protection.criterion, Pattern) and protection.criterion in (rule.criterion, _narrowing(rule)):
            yield _warning(key, f"can never match: {protection.name} protects all that its pattern finds")


def _lint_by_ear(key: str, takes: Dedupe) -> Iterator[LintFinding]:
    if takes.by == "sound":
        if takes.keep > 1:
            yield _error(f"{key}.keep", "of items that sound alike one stays: keep can only be 1")
        if not _PLAUSIBLE_SIMILARITY[0] <= takes.similarity <= _PLAUSIBLE_SIMILARITY[1]:
            message = "is no likeness to go by: below 0.8 sounds differ plainly, above 0.9999 say by: content"
            yield _error(f"{key}.similarity", message)
    if "diverse" not in takes.prefer:
        return
    if takes.by != "prompt":
        yield _error(f"{key}.prefer", "diverse chooses among the takes of a prompt, so it goes with by: prompt")
    if len(takes.prefer) > 1:
        yield _error(f"{key}.prefer", "diverse stands alone: it weighs quality itself, by diversity")


def _lint_comparison(key: str, compared: Compared) -> Iterator[LintFinding]:
    least, most = (-1.0, 1.0) if compared.measure == "quality" else (0.0, math.inf)
    where = f"{key}.{compared.measure}"
    if (compared.sign, compared.limit) in (("<", least), (">", most)):
        yield _error(where, f"can never match: no {compared.measure} is {compared.sign} {compared.limit:g}")
    elif (compared.sign, compared.limit) in ((">=", least), ("<=", most)):
        yield _error(where, f"matches every item whose {compared.measure} is known")


def _article(state: str) -> str:
    return f"an {state}" if state == "orphan" else f"a {state}"


def _narrowing(rule: Rule) -> Pattern | None:
    return None if rule.pattern is None else Pattern(rule.pattern)


def _covers(earlier: Rule, later: Rule) -> bool:
    """Whether `earlier` selects all that `later` could."""
    if earlier.min_age is not None and (later.min_age is None or later.min_age < earlier.min_age):
        return False
    if earlier.pattern is not None and earlier.pattern != later.pattern:
        return False
    if isinstance(earlier.criterion, MaxAge) and isinstance(later.criterion, MaxAge):
        return earlier.criterion.seconds <= later.criterion.seconds
    return earlier.criterion == later.criterion


def _lint_pattern(key: str, expression: str) -> Iterator[LintFinding]:
    compiled = compile_pattern(expression)
    try:
        if compiled.matches(""):
            yield _error(key, "matches the empty string, and so every prompt")
        elif all(compiled.matches(prompt) for prompt in _PROMPTS):
            yield _error(key, "matches every prompt")
    except PatternTimeoutError:
        yield _warning(key, "takes too long even on an ordinary prompt; items that can't be decided in time stay")
        return
    if _NESTED_REPEAT.search(expression):
        yield _warning(key, "repeats a group that repeats within itself; on some prompts that may take too long")


def _lint_cache(cache: CacheSettings) -> Iterator[LintFinding]:
    key = f"caches.{cache.location.name}"
    if cache.writer.mode == "live" and not _can_release(cache.writer):
        message = (
            "the files of retired items could never go: name the generator's unit or a started_file, give stop and "
            "start, or set max_wait; or say mode: stopped, if the generator doesn't run while the cache is maintained"
        )
        level: Level = "error" if cache.policy.mode == "enforce" else "warning"
        yield LintFinding(level, f"{key}.writer", message)
    yield from _lint_thrash(key, cache)
    for number, root in enumerate(cache.location.audio_roots):
        yield from _lint_root(f"{key}.audio_roots[{number}]", root)
    yield from _lint_mappings(key, cache)


def _can_release(writer: WriterSettings) -> bool:
    restart_is_seen = writer.unit or writer.started_file or (writer.stop and writer.start)
    return bool(writer.release_on == "addition" or restart_is_seen or writer.max_wait is not None)


def _lint_thrash(key: str, cache: CacheSettings) -> Iterator[LintFinding]:
    protecting = (KeepBest, KeepNewest)
    kept = [one.criterion.count for one in cache.policy.protect if isinstance(one.criterion, protecting)]
    for rule in cache.policy.rules:
        is_by_sound = isinstance(rule.criterion, Dedupe) and rule.criterion.by == "sound"
        if is_by_sound and max([1, *kept]) < cache.writer.target_per_prompt:
            yield _warning(
                f"{key}.writer.target_per_prompt",
                f"the generator wants {cache.writer.target_per_prompt} takes of a prompt, and the rule {rule.name} of "
                f"policy {cache.policy.name} leaves fewer where they sound alike, so that it generates others again; "
                "protect as many with keep_best",
            )
        if isinstance(rule.criterion, Dedupe) and rule.criterion.by == "prompt":
            keep = max([rule.criterion.keep, *kept])
            if keep < cache.writer.target_per_prompt:
                yield _error(
                    f"{key}.writer.target_per_prompt",
                    f"the generator wants {cache.writer.target_per_prompt} takes of a prompt, but the rule {rule.name} "
                    f"of policy {cache.policy.name} keeps {keep}: it would generate the others again for ever",
                )


def _lint_root(key: str, root: Path) -> Iterator[LintFinding]:
    if root == Path("/"):
        yield _warning(key, "is the root of the file system; name the directories that hold the audio")
    elif root in (Path("/home"), Path("/root")) or root.parent == Path("/home"):
        yield _warning(key, "is a home directory; name the directory in it that holds the audio")


def _lint_mappings(key: str, cache: CacheSettings) -> Iterator[LintFinding]:
    location = cache.location
    targets = [(f"{key}.path_map", Path(ours)) for _, ours in location.path_map]
    if location.path_base is not None:
        targets.append((f"{key}.path_base", location.path_base))
    for where, target in targets:
        if not any(_overlap(target, root) for root in location.audio_roots):
            yield _warning(where, f"no audio root is in {target}, nor it in one: its files would never be touched")


def _lint_shared_roots(settings: Settings) -> Iterator[LintFinding]:
    for one, other in combinations([cache.location for cache in settings.caches.values()], 2):
        if any(_overlap(mine, theirs) for mine in one.audio_roots for theirs in other.audio_roots):
            yield _warning(
                f"caches.{other.name}.audio_roots",
                f"shares files with {one.name}: a file is an orphan only if neither names it, and when one of the two "
                "can't be read, there are no orphans in the other either",
            )


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)
