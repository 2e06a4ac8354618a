"""What the service counts of one cache since its start. Written by the runner's thread, read by others."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from audio_cache_daemon.daemon.look import Look
from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import RunReport
from audio_cache_daemon.reporting.metric_table import SCAN_SECONDS
from audio_cache_daemon.reporting.metrics import Samples, add_counts, observe
from audio_cache_daemon.reporting.run_counts import run_counts, zero_counts
from audio_cache_daemon.state import load_audit_head


class Tally:
    """Counts for one cache. `samples` are replaced as a whole, so that a reader sees none half done."""

    def __init__(self, location: CacheLocation, rules: Iterable[str]) -> None:
        self._cache = location.name
        self._restored: NDArray[np.uint64] | None = None
        self._sequence = _last_record(location)
        self.samples: Samples = zero_counts(self._cache, rules)

    def take_over(self, rules: Iterable[str]) -> None:
        """Go on for other rules; what rules did that are no more is forgotten."""
        zeros = zero_counts(self._cache, rules)
        self.samples = {sample: self.samples.get(sample, zero) for sample, zero in zeros.items()}

    def count_run(self, report: RunReport, trigger: str) -> None:
        """Count a run that ended."""
        self._add(run_counts(report, trigger))

    def count_scan(self, seconds: float) -> None:
        """Count a look at all of the cache."""
        self._add(observe(SCAN_SECONDS, self._cache, seconds))

    def count_vanished(self, files: int) -> None:
        """Count files that went without us."""
        self._add({("audio_cache_foreign_removals_total", (self._cache,)): float(files)})

    def count_look(self, look: Look) -> None:
        """Count what others did with our own commands since the last look."""
        restored = len(np.setdiff1d(look.restored, self._restored)) if self._restored is not None else 0
        self._restored = look.restored
        sequence = look.audit_sequence or 0
        records, self._sequence = max(0, sequence - self._sequence), sequence
        self._add(
            {
                ("audio_cache_restored_items_total", (self._cache,)): float(restored),
                ("audio_cache_audit_records_total", (self._cache,)): float(records),
            }
        )

    def _add(self, more: Samples) -> None:
        self.samples = add_counts(self.samples, more)


def _last_record(location: CacheLocation) -> int:
    with suppress(MaintenanceError):
        head = load_audit_head(location)
        return head[0] if head is not None else 0
    return 0
