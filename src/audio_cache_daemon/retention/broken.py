"""`state: broken`: audio that nobody can listen to."""

from __future__ import annotations

import numpy as np

from audio_cache_daemon.model import Bools, DecodingState, Flaw, Floats, Rows
from audio_cache_daemon.retention.judgement import Judgement, truths
from audio_cache_daemon.retention.policy import Broken


def broken(rows: Rows, criterion: Broken) -> Judgement:
    """Which rows' audio is broken, by any one sign; measured is the first sign that holds (a Flaw).

    A sign that can't be told leaves a row undecidable, unless another one holds.
    """
    decoded = rows.decoded
    assert decoded is not None, "the scan was not asked for it"
    # A duration of 0 is the writer's word for audio that it could not read.
    expected = np.where(rows.duration > 0, rows.duration, np.nan)
    signs: dict[Flaw, Bools] = {
        Flaw.EMPTY: (rows.size == 0) | (decoded.seconds == 0),
        Flaw.UNDECODABLE: decoded.state == DecodingState.UNDECODABLE,
        Flaw.CUT_SHORT: decoded.seconds < criterion.shorter_than * expected,
        Flaw.SILENT: decoded.peak < _amplitude(criterion.quieter_than),
        Flaw.CLIPPED: decoded.clipped > criterion.clipped_over,
    }
    there = rows.present()
    holds = np.logical_or.reduce(list(signs.values())) & there
    unknown = (decoded.state == DecodingState.UNKNOWN) | np.isnan(expected)
    flaw: Floats = np.select(list(signs.values()), [float(sign) for sign in signs], np.nan)
    return Judgement(truths(holds, unknown & there & ~holds), np.where(holds, flaw, np.nan))


def _amplitude(level: float) -> float:
    """From dBFS to the share of full scale."""
    return float(10 ** (level / 20))
