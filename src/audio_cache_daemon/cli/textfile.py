"""`run-once --textfile`: what a run did and left, as metrics in a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from audio_cache_daemon.daemon.measures import counted_rules, measure
from audio_cache_daemon.daemon.overview import oversee
from audio_cache_daemon.daemon.tally import Tally
from audio_cache_daemon.model import RunReport, RunResult
from audio_cache_daemon.reporting.metrics import Sample, Samples, build_samples
from audio_cache_daemon.reporting.metrics_file import continue_samples, read_metrics_file, write_metrics_file
from audio_cache_daemon.request import Target

_TRIGGER = "schedule"
"""A timer or a cron table is what calls it."""

_DONE = frozenset({RunResult.SUCCESS, RunResult.NOOP, RunResult.PARTIAL})


class Textfile:
    """A file to write metrics to, from before the runs until after them."""

    def __init__(self, path: Path, targets: Sequence[Target]) -> None:
        self._path = path
        self._targets = targets
        self._tallies = [Tally(target.settings.location, counted_rules(target.settings.policy)) for target in targets]

    def write(self, reports: Sequence[RunReport]) -> None:
        """Write what the runs did and left; MaintenanceError when that can't be written."""
        now = time.time()
        before, samples = read_metrics_file(self._path), build_samples()
        for target, tally, report in zip(self._targets, self._tallies, reports, strict=True):
            samples = {**samples, **_measure_run(target, tally, report, now)}
            loaded = ("audio_cache_policy_loaded_timestamp_seconds", (report.cache,))
            samples = {loaded: before.get(loaded, now), **samples}
        write_metrics_file(self._path, continue_samples(before, samples))


def _measure_run(target: Target, tally: Tally, report: RunReport, now: float) -> Samples:
    overview = oversee(target, now)
    tally.count_run(report, _TRIGGER)
    if overview.look is not None:
        tally.count_look(overview.look)
    last: dict[Sample, float] = {("audio_cache_last_run_timestamp_seconds", (report.cache,)): now}
    if report.result in _DONE:
        last["audio_cache_last_success_timestamp_seconds", (report.cache,)] = now
    return {**tally.samples, **measure(overview, now), **last}
