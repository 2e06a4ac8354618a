"""`state`: rows without a file, files without a row."""

from __future__ import annotations

import numpy as np

from audio_cache_daemon.model import Inventory, ItemState, Rows, StrayKind, Truth
from audio_cache_daemon.retention.judgement import Judgement, Values, age_since, stray_age
from audio_cache_daemon.retention.policy import SubjectState

_KINDS = {"orphan": StrayKind.ORPHAN, "leftover": StrayKind.LEFTOVER}


def missing(rows: Rows, now: float) -> Judgement:
    """Which rows' files are missing; measured is for how long that is known."""
    truth = np.where(rows.state == ItemState.MISSING, np.uint8(Truth.TRUE), np.uint8(Truth.FALSE))
    return Judgement(truth, Values(len(rows), lambda which: age_since(rows.missing_since[which], now)), 0.0)


def unnamed(inventory: Inventory, state: SubjectState, now: float) -> Judgement:
    """Which files without a row are of this kind; orphans are undecidable when the scan found a reason why."""
    truth = np.where(inventory.strays.kind == _KINDS[state], Truth.TRUE, Truth.FALSE)
    if state == "orphan" and inventory.orphans_undecidable is not None:
        truth = np.minimum(truth, Truth.UNDECIDABLE)
    return Judgement(truth.astype(np.uint8), stray_age(inventory.strays, now), 0.0)
