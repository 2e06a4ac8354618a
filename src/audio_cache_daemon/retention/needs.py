"""What a policy asks a scan for."""

from __future__ import annotations

from audio_cache_daemon.model import ScanNeeds
from audio_cache_daemon.retention.policy import Broken, Dedupe, Pattern, Policy


def columns_needed(policy: Policy) -> ScanNeeds:
    """The patterns to search for, whether contents or sounds are compared, audio is decoded, coming bytes count."""
    criteria = [rule.criterion for rule in policy.rules] + [protection.criterion for protection in policy.protect]
    patterns = {criterion.expression for criterion in criteria if isinstance(criterion, Pattern)}
    patterns |= {rule.pattern for rule in policy.rules if rule.pattern is not None}
    content = any(isinstance(criterion, Dedupe) and criterion.by == "content" for criterion in criteria)
    decoded = any(isinstance(criterion, Broken) for criterion in criteria)
    over = [_sounds_over(criterion) for criterion in criteria if isinstance(criterion, Dedupe) and criterion.is_by_ear]
    return ScanNeeds(frozenset(patterns), content, policy.budget.disk is not None, min(over, default=None), decoded)


def _sounds_over(criterion: Dedupe) -> int:
    """Of a prompt with no more takes than that nobody asks how they sound; 0: of all items it is asked."""
    if criterion.by == "sound" and criterion.within == "cache":
        return 0
    return criterion.keep
