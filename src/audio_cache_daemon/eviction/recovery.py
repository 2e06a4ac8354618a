"""After a crash: an interrupted run is completed if it had begun to change the cache, or undone if it hadn't."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from audio_cache_daemon.eviction.execute import take_files_away
from audio_cache_daemon.eviction.reconcile import reconcile, wait_a_little
from audio_cache_daemon.eviction.rewrite import finish_rewrite, read_journal
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Outcome, OutcomeKind


class Recovery(msgspec.Struct, frozen=True):
    """What was put right, in words; `kept` are the evictions of the interrupted run whose file had to stay."""

    message: str
    kept: tuple[Outcome, ...] = ()


def interrupted_run(location: CacheLocation) -> str | None:
    """The run that was interrupted and waits to be recovered, if there is one."""
    journal = read_journal(location)
    return journal.run if journal is not None else None


def recover(location: CacheLocation, pause: Callable[[], None] = wait_a_little) -> Recovery | None:
    """Put right what an interrupted run left; None when there was nothing to do. Harmless to repeat.

    DeferredError and InconsistentIndexError, and `pause`, as of `reconcile`.
    """
    journal = read_journal(location)
    if journal is None:
        finish_rewrite(location)
        return None
    if not reconcile(location, pause):
        finish_rewrite(location)
        return Recovery(f"run {journal.run} was interrupted before it changed anything, and was undone")
    outcomes = list(take_files_away(location, journal))
    kept = tuple(outcome for outcome in outcomes if outcome.kind in {OutcomeKind.CHANGED, OutcomeKind.FAILED})
    message = f"run {journal.run} was interrupted, and was completed ({len(outcomes) - len(kept)} evictions)"
    return Recovery(message, kept)
