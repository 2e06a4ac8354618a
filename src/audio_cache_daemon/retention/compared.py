"""`quality` and `duration`: what scores too low, what is too short or too long."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import numpy as np

from audio_cache_daemon.model import Bools, Floats, Rows
from audio_cache_daemon.retention.judgement import Judgement, truths
from audio_cache_daemon.retention.policy import Compared, Sign

_HOLDS: Mapping[Sign, Callable[[Floats, float], Bools]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


def comparing(rows: Rows, criterion: Compared) -> Judgement:
    """Which rows' score, or duration, stands to the limit as the sign says; an unknown one is undecidable."""
    value = rows.quality if criterion.measure == "quality" else _known_durations(rows, criterion.limit)
    truth = truths(_HOLDS[criterion.sign](value, criterion.limit), np.isnan(value))
    return Judgement(truth, value, criterion.limit)


def _known_durations(rows: Rows, limit: float) -> Floats:
    """A duration of 0 is the writer's word for audio that it could not read: a value only to who asks for 0."""
    return np.where((rows.duration == 0) & (limit != 0), np.nan, rows.duration)
