"""What a policy asks a scan for."""

from __future__ import annotations

from audio_cache_daemon.model import ScanNeeds
from audio_cache_daemon.retention.policy import Dedupe, Pattern, Policy


def columns_needed(policy: Policy) -> ScanNeeds:
    """The patterns to search for, whether contents are compared, and whether bytes to be freed are counted."""
    criteria = [rule.criterion for rule in policy.rules] + [protection.criterion for protection in policy.protect]
    patterns = {criterion.expression for criterion in criteria if isinstance(criterion, Pattern)}
    patterns |= {rule.pattern for rule in policy.rules if rule.pattern is not None}
    content = any(isinstance(criterion, Dedupe) and criterion.by == "content" for criterion in criteria)
    return ScanNeeds(frozenset(patterns), content, policy.budget.disk is not None)
