"""What happened: to each planned eviction, and in a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.model.plan import Plan, Refusal


class OutcomeKind(StrEnum):
    """What became of a planned eviction."""

    EVICTED = "evicted"
    GONE = "gone"
    CHANGED = "changed"
    FAILED = "failed"


class Outcome(msgspec.Struct, frozen=True):
    """What became of one planned eviction: of row `row`, or of the stray `stray` (the other is None).

    `bytes_freed` left the cache: for good, or into the trash. `pending_bytes` are those of a file that goes later,
    None when there is none. Of a failed one `denied` says whether a permission is missing.
    """

    kind: OutcomeKind
    id: str
    row: int | None
    stray: int | None
    bytes_freed: int = 0
    error: str | None = None
    pending_bytes: int | None = None
    denied: bool = False


class RunResult(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    NOOP = "noop"
    PARTIAL = "partial"
    REFUSED = "refused"
    DEFERRED = "deferred"
    LOCKED = "locked"
    FAILED = "failed"


class OutcomeCounts(msgspec.Struct, frozen=True):
    """What became of a plan, in numbers."""

    evicted: int = 0
    gone: int = 0
    changed: int = 0
    failed: int = 0
    bytes_freed: int = 0
    pending_items: int = 0
    pending_bytes: int = 0


class RuleCount(msgspec.Struct, frozen=True):
    """What one rule evicted; the bytes are those of the files, also where these are still to go."""

    items: int = 0
    bytes: int = 0


class RunReport(msgspec.Struct, frozen=True):
    """What a run over one cache did, or, of a preview (`outcome` is None), would do.

    `evicted` says how much each rule evicted, `denied` how many evictions failed for a missing permission.
    `refusals` are the limits and sentinels that refused it, or would. `error` is what ended it early, `messages`
    is what else a person should know.
    """

    cache: str
    mode: str
    run: str
    result: RunResult
    plan: Plan | None = None
    outcome: OutcomeCounts | None = None
    evicted: Mapping[str, RuleCount] = msgspec.field(default_factory=dict)
    denied: int = 0
    refusals: tuple[Refusal, ...] = ()
    error: MaintenanceError | None = None
    messages: tuple[str, ...] = ()
    duration_seconds: float = 0.0
