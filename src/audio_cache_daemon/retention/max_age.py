"""`max_age`: what is older than so long."""

from __future__ import annotations

from audio_cache_daemon.model import Rows
from audio_cache_daemon.retention.judgement import Judgement, judge_older, row_ages
from audio_cache_daemon.retention.policy import MaxAge


def expired(rows: Rows, criterion: MaxAge, now: float) -> Judgement:
    """Which rows are too old, by their timestamp; also those whose file is missing."""
    return judge_older(row_ages(rows, now), criterion.seconds)
