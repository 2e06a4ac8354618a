"""What the comparison of all sounds settled, for the next one to build on."""

from __future__ import annotations

import numpy as np

from audio_cache_daemon.model import Plan, Settled
from audio_cache_daemon.retention.judgement import row_age
from audio_cache_daemon.retention.policy import Dedupe, Policy, Rule


def settle(plan: Plan, policy: Policy) -> Settled | None:
    """What a whole plan of this policy settled; None where no rule compares the whole cache.

    A row that lacks any value isn't counted on: it may not have been compared.
    """
    rows, sounds = plan.inventory.rows, plan.inventory.rows.sounds
    number = next((number for number, rule in enumerate(policy.rules) if _compares_all(rule)), None)
    if number is None or sounds is None or sounds.fault is not None:
        return None
    criterion = policy.rules[number].criterion
    assert isinstance(criterion, Dedupe)
    left = np.ones(len(rows), np.bool_)
    left[plan.rows.subject[plan.rows.rule <= number]] = False
    lacks = np.isnan(row_age(rows, plan.now)) | np.isnan(rows.quality) | ~(rows.duration > 0)
    compared = left & rows.present() & (sounds.place >= 0) & ~lacks
    protected = plan.protected >= 0
    return Settled(criterion.similarity, np.flatnonzero(compared & ~protected), np.flatnonzero(compared & protected))


def _compares_all(rule: Rule) -> bool:
    """Whether what the rule leaves is unlike: what narrows it leaves copies, too."""
    criterion = rule.criterion
    by_sound = isinstance(criterion, Dedupe) and criterion.by == "sound" and criterion.within == "cache"
    return by_sound and rule.min_age is None and rule.pattern is None
