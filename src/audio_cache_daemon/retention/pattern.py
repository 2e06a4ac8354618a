"""`pattern`: what has a prompt that matches."""

from __future__ import annotations

from audio_cache_daemon.model import Rows
from audio_cache_daemon.retention.judgement import Judgement, unmeasured


def matching(rows: Rows, expression: str) -> Judgement:
    """Which rows' prompts match, as the scan found them to."""
    return Judgement(rows.matches[expression], unmeasured(len(rows)))
