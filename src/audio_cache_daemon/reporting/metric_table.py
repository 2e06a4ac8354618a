"""The metrics that are exported: their names, types, labels and help. They are promises to dashboards and alerts."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

MetricType: TypeAlias = Literal["gauge", "counter", "histogram"]

STATES = ("ok", "missing", "undecidable", "retired")
FILE_STATES = ("orphan", "leftover", "pending", "trash")
SIZES = ("audio", "index", "vectors", "orphan", "leftover", "pending", "trash")
TRIGGERS = ("schedule", "pressure", "start", "catch_up")
SKIP_REASONS = ("protected", "changed", "undecidable", "limit")
FAILURE_REASONS = ("permission", "io", "audit")
LIMITS = (
    "max_items",
    "max_percent",
    "trash_size",
    "index_shrank",
    "root_gone",
    "root_replaced",
    "root_empty",
    "clock",
)
"""The limits and sentinels that can refuse a run."""


class Metric(msgspec.Struct, frozen=True):
    """A family of series. `labels` are their names, in the order in which samples give the values.

    `buckets` are the upper bounds of a histogram, in seconds, but for the last, which has none.
    """

    name: str
    type: MetricType
    labels: tuple[str, ...]
    help: str
    buckets: tuple[str, ...] = ()


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(f"audio_cache_{name}", "gauge", ("cache", *labels), help_text)


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(f"audio_cache_{name}", "counter", ("cache", *labels), help_text)


RUN_SECONDS = Metric(
    "audio_cache_run_duration_seconds",
    "histogram",
    ("cache",),
    "How long runs took.",
    # Few, since each is a series: within the tick of a dashboard, a minute, long, and far too long.
    ("1.0", "10.0", "60.0", "600.0"),
)
SCAN_SECONDS = Metric(
    "audio_cache_scan_duration_seconds",
    "histogram",
    ("cache",),
    "How long looks at all of the cache took.",
    # 100,000 items take half a second.
    ("0.1", "1.0", "10.0", "60.0"),
)

METRICS = (
    _gauge("items", "Rows of the index, by what is known of their file; each row is in one state.", "state"),
    _gauge("files", "Files of the cache that belong to no item, by what they are.", "state"),
    _gauge("size_bytes", "What the cache takes up on the disk, by what it is; each byte counts once.", "kind"),
    _gauge("limit", "The marks of the policy's budget. A mark that it doesn't have is absent.", "kind"),
    _gauge("disk_free_bytes", "Free space, for an ordinary user, on the file system of the audio that is shortest."),
    _gauge("disk_size_bytes", "Size of that file system."),
    _gauge("unique_prompts", "Different prompts among the items."),
    _gauge("duplicate_items", "Items beyond the first of their prompt."),
    _gauge("quality_average", "Average quality score (CLAP similarity) of the items that have one."),
    _gauge("duration_seconds_average", "Average duration of the items that have one."),
    _gauge("oldest_item_timestamp_seconds", "When the oldest item was made."),
    _gauge("newest_item_timestamp_seconds", "When the newest item was made."),
    _gauge("evictable_items", "What each rule would evict now; contents and sounds are compared in runs only.", "rule"),
    _gauge("evictable_bytes", "Bytes of the files that each rule would evict now.", "rule"),
    _counter(
        "runs_total",
        "Runs that ended, by what caused them (start: of the service or of the generator) and how.",
        "trigger",
        "result",
    ),
    RUN_SECONDS,
    SCAN_SECONDS,
    _gauge("last_run_timestamp_seconds", "When the last run ended, however it did."),
    _gauge("last_success_timestamp_seconds", "When a run last ended that did what it was to, all of it or a part."),
    _gauge(
        "next_run_timestamp_seconds", "When the next run is due. Absent without a schedule, and in a pause without end."
    ),
    _gauge("policy_interval_seconds", "The longest time between two runs of the schedule. Absent without one."),
    _gauge("policy_loaded_timestamp_seconds", "Since when the policy is as it is."),
    _gauge("paused", "1 while the cache is paused, else 0."),
    _counter("evicted_items_total", "Items and files that runs evicted, by rule.", "rule"),
    _counter("evicted_bytes_total", "Bytes of the files of these, also of those still to go, by rule.", "rule"),
    _counter("restored_items_total", "Items that were brought back from the trash."),
    _counter(
        "skipped_items_total",
        "What runs passed over, by why: selected but protected, changed meanwhile, a value missing, left by a limit.",
        "reason",
    ),
    _counter("removal_failures_total", "Evictions that failed, by why; audit counts runs.", "reason"),
    _counter("limit_trips_total", "Runs that were refused or cut short, by limit or sentinel.", "limit"),
    _gauge("pending_oldest_timestamp_seconds", "Since when the oldest pending file waits. Absent if none does."),
    _gauge("retired_ratio", "Share of the rows that are retired and not yet compacted, from 0 to 1."),
    _gauge("index_consistent", "1 if rows and vectors can be matched, else 0."),
    _gauge("inventory_timestamp_seconds", "When the cache was last looked at; from then are all figures of it."),
    _gauge("watch_up", "1 if changes in all of the cache are heard of, 0 if some show in the periodic scan only."),
    _counter("watch_events_total", "Events that the watcher heard."),
    _counter("watch_overflows_total", "Overflows of the kernel's queue of events."),
    _counter("scan_drift_items_total", "Changes that a look at everything found and no event had announced."),
    _counter("foreign_removals_total", "Files of items that vanished, and it wasn't this service."),
    _counter("audit_records_total", "Records that were written to the audit log."),
    _counter("audit_write_failures_total", "Runs that ended because the audit log couldn't be written."),
    _gauge("audit_sequence", "Number of the last record of the audit log."),
    Metric("audio_cache_clock_jumps_total", "counter", (), "How often the system's clock was set by much."),
    Metric(
        "audio_cache_config_last_reload_successful", "gauge", (), "1 if the configuration could be loaded last time."
    ),
    Metric("audio_cache_config_last_reload_timestamp_seconds", "gauge", (), "When it was last loaded successfully."),
    Metric("audio_cache_build_info", "gauge", ("version", "python"), "What this is; always 1."),
)
