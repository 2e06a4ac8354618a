"""What a policy asks a scan for, and of what it finds goes by."""

from __future__ import annotations

from collections.abc import Iterator

from audio_cache_daemon.model import ScanNeeds
from audio_cache_daemon.retention.policy import (
    Broken,
    Compared,
    Criterion,
    Dedupe,
    KeepBest,
    Measure,
    Pattern,
    Policy,
    ProtectionCriterion,
)


def columns_needed(policy: Policy) -> ScanNeeds:
    """The patterns to search for, whether contents or sounds are compared, audio is decoded, coming bytes count."""
    criteria = [rule.criterion for rule in policy.rules] + [protection.criterion for protection in policy.protect]
    patterns = {criterion.expression for criterion in criteria if isinstance(criterion, Pattern)}
    patterns |= {rule.pattern for rule in policy.rules if rule.pattern is not None}
    content = any(isinstance(criterion, Dedupe) and criterion.by == "content" for criterion in criteria)
    decoded = any(isinstance(criterion, Broken) for criterion in criteria)
    over = [_sounds_over(criterion) for criterion in criteria if isinstance(criterion, Dedupe) and criterion.is_by_ear]
    return ScanNeeds(frozenset(patterns), content, policy.budget.disk is not None, min(over, default=None), decoded)


def measures_needed(policy: Policy) -> frozenset[Measure]:
    """Which of the measures of an item, its quality and its duration, decide what the policy takes."""
    criteria = [rule.criterion for rule in policy.rules] + [protection.criterion for protection in policy.protect]
    needed = {measure for criterion in criteria for measure in _measures_of(criterion)}
    if policy.budget.evict == "lowest_quality":
        needed.add("quality")
    return frozenset(needed)


def _measures_of(criterion: Criterion | ProtectionCriterion) -> Iterator[Measure]:
    match criterion:
        case Compared(measure):
            yield measure
        case KeepBest():
            yield "quality"
        case Broken():
            yield "duration"
        case Dedupe(prefer=prefer):
            if "quality" in prefer or "diverse" in prefer:
                yield "quality"
            if "longest" in prefer:
                yield "duration"


def _sounds_over(criterion: Dedupe) -> int:
    """Of a prompt with no more takes than that nobody asks how they sound; 0: of all items it is asked."""
    if criterion.by == "sound" and criterion.within == "cache":
        return 0
    return criterion.keep
