"""Metrics as values, and as the text that Prometheus reads."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector

from audio_cache_daemon import __version__
from audio_cache_daemon.reporting.metric_table import METRICS, Metric

Sample: TypeAlias = tuple[str, tuple[str, ...]]
"""A series: the name of its metric, and the values of its labels in the order of the table.

A histogram has one for each bucket (name ending in `_bucket`, its bound as last value) and one for the `_sum`.
"""

Samples: TypeAlias = Mapping[Sample, float]


def build_samples() -> Samples:
    """What program this is."""
    return {("audio_cache_build_info", (__version__, platform.python_version())): 1.0}


def add_counts(counts: Samples, more: Samples) -> Samples:
    """Both together."""
    return {**counts, **{sample: counts.get(sample, 0.0) + value for sample, value in more.items()}}


def observe(metric: Metric, label: str, seconds: float) -> Samples:
    """One observation of a cache's histogram, to be added."""
    bound = next((bound for bound in metric.buckets if seconds <= float(bound)), "+Inf")
    return {(f"{metric.name}_bucket", (label, bound)): 1.0, (f"{metric.name}_sum", (label,)): seconds}


def no_observations(metric: Metric, label: str) -> Samples:
    """A cache's histogram before there was anything to observe."""
    buckets: dict[Sample, float] = {
        (f"{metric.name}_bucket", (label, bound)): 0.0 for bound in (*metric.buckets, "+Inf")
    }
    return {**buckets, (f"{metric.name}_sum", (label,)): 0.0}


def render_metrics(samples: Samples) -> bytes:
    """The text format of Prometheus, without timestamps; metrics of the table that have no sample are left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(samples))
    return generate_latest(registry)


class Snapshot(Collector):
    """Hands samples to prometheus_client; metrics of the table that have none are left out."""

    def __init__(self, samples: Samples) -> None:
        self._by_name: dict[str, dict[tuple[str, ...], float]] = {}
        for (name, labels), value in samples.items():
            self._by_name.setdefault(name, {})[labels] = value

    def collect(self) -> Iterator[MetricFamily]:
        """The families that have a sample."""
        for metric in METRICS:
            if metric.type == "histogram":
                yield from self._histogram(metric)
            elif metric.name in self._by_name:
                yield _family(metric, self._by_name[metric.name].items())

    def _histogram(self, metric: Metric) -> Iterator[MetricFamily]:
        sums = self._by_name.get(f"{metric.name}_sum")
        if sums is None:
            return
        counts = self._by_name[f"{metric.name}_bucket"]
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, total in sums.items():
            buckets, below = [], 0.0
            for bound in (*metric.buckets, "+Inf"):
                below += counts[(*labels, bound)]
                buckets.append((bound, below))
            family.add_metric(labels, buckets, total)
        yield family


def _family(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> MetricFamily:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
