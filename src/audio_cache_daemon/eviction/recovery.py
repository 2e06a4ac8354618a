"""After a crash: an interrupted run is completed if it had begun to change the cache, or undone if it hadn't."""

from __future__ import annotations

import shutil

from audio_cache_daemon.eviction.execute import take_files_away
from audio_cache_daemon.eviction.execution import TRASH, Execution
from audio_cache_daemon.eviction.rewrite import read_journal, recover_rewrite
from audio_cache_daemon.model import CacheLocation


def interrupted_run(location: CacheLocation) -> str | None:
    """The run that was interrupted and waits to be recovered, if there is one."""
    journal = read_journal(location)
    return journal.run if journal is not None else None


def recover(location: CacheLocation) -> str | None:
    """Put right what an interrupted run left; what was done, in words, or None when there was nothing to do."""
    journal = read_journal(location)
    if journal is None:
        return None
    if not recover_rewrite(location, journal):
        # What the run wrote down is of removals that never happened.
        shutil.rmtree(location.state_directory / TRASH / journal.run, ignore_errors=True)
        return f"run {journal.run} was interrupted before it changed anything, and was undone"
    files = sum(1 for _ in take_files_away(location, Execution(journal.run, journal.to_trash)))
    return f"run {journal.run} was interrupted, and was completed ({files} evictions)"
