"""Metrics in a file, for the textfile collector of the node exporter. A run after another goes on counting."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.reporting.metric_table import METRICS
from audio_cache_daemon.reporting.metrics import Sample, Samples, Snapshot, add_counts

_READABLE_BY_ALL = 0o133
"""The umask that leaves a file 0644: the node exporter is another user."""

_KEPT = ("audio_cache_last_success_timestamp_seconds", "audio_cache_policy_loaded_timestamp_seconds")
"""Gauges that stay as they were when a run has nothing new to say of them."""


_HISTOGRAMS = [metric for metric in METRICS if metric.type == "histogram"]
_COUNTED = {
    **{metric.name: metric for metric in METRICS if metric.type == "counter"},
    **{f"{metric.name}{end}": metric for metric in _HISTOGRAMS for end in ("_bucket", "_sum")},
}
_READ = {**_COUNTED, **{metric.name: metric for metric in METRICS if metric.name in _KEPT}}


def continue_samples(before: Samples, now: Samples) -> Samples:
    """What one run found, with the counts of earlier runs added."""
    earlier = {sample: value for sample, value in before.items() if sample[0] in _COUNTED and sample in now}
    kept = {sample: value for sample, value in before.items() if sample[0] in _KEPT}
    return {**kept, **add_counts(now, earlier)}


def read_metrics_file(path: Path) -> Samples:
    """What a file of ours says that a later run goes on from; nothing if it isn't there, or is none of ours."""
    samples: dict[Sample, float] = {}
    try:
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
            for found in family.samples:
                metric = _READ.get(found.name)
                if metric is not None:
                    ends = () if "le" not in found.labels else (found.labels["le"],)
                    samples[found.name, (*(found.labels[label] for label in metric.labels), *ends)] = found.value
    except (OSError, ValueError, KeyError, IndexError):
        return {}
    return {**samples, **_apart(samples)}


def _apart(samples: Samples) -> Samples:
    """The buckets of histograms, each for itself: in the text each holds those below."""
    apart: dict[Sample, float] = {}
    for metric in _HISTOGRAMS:
        for cache in {labels[0] for name, labels in samples if name == f"{metric.name}_sum"}:
            below = 0.0
            for bound in (*metric.buckets, "+Inf"):
                bucket = (f"{metric.name}_bucket", (cache, bound))
                apart[bucket] = samples.get(bucket, below) - below
                below += apart[bucket]
    return apart


def write_metrics_file(path: Path, samples: Samples) -> None:
    """Replace a file at once, readable by all. MaintenanceError when it can't be written."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(samples))
    before = os.umask(_READABLE_BY_ALL)
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise MaintenanceError(f"{path} can't be written: {error.strerror}; the run itself is done") from None
    finally:
        os.umask(before)
