"""A policy's first run: one that would take more of the cache than goes without saying waits for a person."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from audio_cache_daemon.model import Plan
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.limits import planned_bytes
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.units import format_size

_HASH_LENGTH = 12


def policy_hash(target: Target) -> str:
    """Identifies what decides over a cache: its policy, but not when that runs, and where its files are."""
    policy = replace(target.settings.policy, name="", schedule=None, mode="enforce")
    location = target.settings.location
    return _hash((policy, location.audio_roots, location.path_base, location.path_map))


def whole_hash(policy: Policy) -> str:
    """Identifies all of a policy, its schedule included."""
    return _hash(policy)


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:_HASH_LENGTH]


def evicted_percent(plan: Plan) -> float:
    """How much of the cache a plan takes, in percent: of its items and files, or of their bytes, whichever is more."""
    inventory = plan.inventory
    taken = len(plan.rows) + len(plan.strays)
    whole = int(inventory.rows.items().sum()) + len(inventory.strays)
    whole_bytes = inventory.rows.audio_bytes(inventory.rows.items()) + int(inventory.strays.size.sum())
    return 100 * max(taken / max(whole, 1), planned_bytes(plan) / max(whole_bytes, 1))


def describe_first_run(plan: Plan) -> str:
    """What a first run would take, in words."""
    taken = len(plan.rows) + len(plan.strays)
    whole = int(plan.inventory.rows.items().sum()) + len(plan.inventory.strays)
    share = f"{evicted_percent(plan):.0f} % of the cache"
    return f"{taken:,} of {whole:,} items and files, {format_size(planned_bytes(plan))}, {share}"
