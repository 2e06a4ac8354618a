"""Writes the two dashboards beside it, from the tables below: `python dashboards.py [DIRECTORY]`.

CACHE and JOB in a query stand for the labels that the dashboard's variables choose.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]

_SELECTORS = {"CACHE": 'job=~"$job", cache=~"$cache"', "JOB": 'job=~"$job"'}
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
_HEIGHT = 7


class Panel(NamedTuple):
    """A panel; `queries` are expressions by their legends. Kinds are those of `_LOOKS`."""

    title: str
    kind: str
    width: int
    unit: str
    description: str
    queries: dict[str, str]


_LINES: Json = {"custom": {"drawStyle": "line", "fillOpacity": 8, "showPoints": "never", "spanNulls": True}}
_STACK: Json = {"custom": {**_LINES["custom"], "fillOpacity": 40, "stacking": {"group": "A", "mode": "normal"}}}
_POINTS: Json = {"custom": {"drawStyle": "points", "pointSize": 6, "showPoints": "always"}}
_SHARE: Json = {"min": 0, "thresholds": {"mode": "absolute", "steps": [
    {"color": "green", "value": None}, {"color": "orange", "value": 0.9}, {"color": "red", "value": 1},
]}}  # fmt: skip
_STATE: Json = {"mappings": [{"type": "value", "options": {
    "0": {"color": "red", "text": "no"}, "1": {"color": "green", "text": "yes"},
}}]}  # fmt: skip
_LOOKS: dict[str, tuple[str, Json]] = {
    "lines": ("timeseries", _LINES), "stack": ("timeseries", _STACK), "points": ("timeseries", _POINTS),
    "number": ("stat", {}), "share": ("stat", _SHARE), "state": ("stat", _STATE), "name": ("stat", {}),
    "bars": ("bargauge", {"min": 0}),
}  # fmt: skip


def _quantiles(histogram: str) -> dict[str, str]:
    rate = f"rate({histogram}_bucket{{CACHE}}[RATE])"
    return {
        "{{cache}} median": f"histogram_quantile(0.5, {rate})",
        "{{cache}} 99 %": f"histogram_quantile(0.99, {rate})",
    }


CACHE: dict[str, list[Panel]] = {
    "Size against limits": [
        Panel("Limits used", "share", 6, "percentunit", "Above 100 % of a limit, runs bring it down.",
              {"{{cache}} {{limit}}": "cache:audio_cache_limit_used:ratio{CACHE}"}),
        Panel("Size", "lines", 6, "bytes", "As budgets count it, without trash and pending files, against its marks.",
              {"{{cache}}": "cache:audio_cache_size_bytes:sum{CACHE}",
               "{{cache}} {{kind}}": 'audio_cache_limit{CACHE, kind=~"size_.*"}'}),
        Panel("Items", "lines", 6, "short", "Without retired ones, against their marks.",
              {"{{cache}}": "cache:audio_cache_items:sum{CACHE}",
               "{{cache}} {{kind}}": 'audio_cache_limit{CACHE, kind=~"items_.*"}'}),
        Panel("Free disk", "lines", 6, "bytes", "Free on the file system of the cache, against its marks.",
              {"{{cache}}": "audio_cache_disk_free_bytes{CACHE}",
               "{{cache}} {{kind}}": 'audio_cache_limit{CACHE, kind=~"disk_.*"}'}),
    ],
    "Forecast": [
        Panel("Until the size limit", "number", 6, "s", "If it grows as in the last six hours. A year means never.",
              {"{{cache}}": 'clamp((audio_cache_limit{CACHE, kind="size_high_bytes"} - ignoring (kind)'
               " cache:audio_cache_size_bytes:sum)"
               " / clamp_min(cache:audio_cache_size_bytes:deriv6h, 0.001), 0, 31536000)"}),
        Panel("Size in a week", "lines", 9, "bytes", "If it goes on as in the last six hours, runs included.",
              {"{{cache}}": "clamp_min(predict_linear(cache:audio_cache_size_bytes:sum{CACHE}[6h], 604800), 0)"}),
        Panel("Free disk in a day", "lines", 9, "bytes", "As the last six hours went; below zero it is full.",
              {"{{cache}}": "predict_linear(audio_cache_disk_free_bytes{CACHE}[6h], 86400)"}),
    ],
    "Composition": [
        Panel("Size by kind", "stack", 8, "bytes", "All that is on the disk, trash and pending files included.",
              {"{{cache}} {{kind}}": "audio_cache_size_bytes{CACHE}"}),
        Panel("Items by state", "stack", 8, "short", "Missing: without a file. Undecidable: its place is unknown.",
              {"{{cache}} {{state}}": "audio_cache_items{CACHE}"}),
        Panel("Files beside the items", "stack", 8, "short", "Without a row, waiting to be released, or in the trash.",
              {"{{cache}} {{state}}": "audio_cache_files{CACHE}"}),
    ],
    "Quality and duplicates": [
        Panel("Quality", "lines", 6, "short", "The average score of the items that have one.",
              {"{{cache}}": "audio_cache_quality_average{CACHE}"}),
        Panel("Duration", "lines", 6, "s", "The average length of the sounds.",
              {"{{cache}}": "audio_cache_duration_seconds_average{CACHE}"}),
        Panel("Prompts and duplicates", "lines", 6, "short", "Different prompts, and items beyond the first of each.",
              {"{{cache}} prompts": "audio_cache_unique_prompts{CACHE}",
               "{{cache}} duplicates": "audio_cache_duplicate_items{CACHE}"}),
        Panel("Age", "lines", 6, "s", "Of the oldest and of the newest item.",
              {"{{cache}} oldest": "time() - (audio_cache_oldest_item_timestamp_seconds{CACHE} > 0)",
               "{{cache}} newest": "time() - (audio_cache_newest_item_timestamp_seconds{CACHE} > 0)"}),
    ],
    "Growth against eviction": [
        Panel("Items an hour", "lines", 12, "short", "Evicted by runs, brought back, and by how many there are more.",
              {"{{cache}} evicted": "3600 * sum without (rule) (rate(audio_cache_evicted_items_total{CACHE}[RATE]))",
               "{{cache}} restored": "3600 * rate(audio_cache_restored_items_total{CACHE}[RATE])",
               "{{cache}} growth": "3600 * deriv(cache:audio_cache_items:sum{CACHE}[RATE])"}),
        Panel("Bytes a second", "lines", 12, "Bps", "Evicted by runs, and by how much the cache grows all the same.",
              {"{{cache}} evicted": "sum without (rule) (rate(audio_cache_evicted_bytes_total{CACHE}[RATE]))",
               "{{cache}} growth": "deriv(cache:audio_cache_size_bytes:sum{CACHE}[RATE])"}),
    ],
    "Rules": [
        Panel("Removed by rule", "bars", 8, "short", "Items and files that each rule evicted in the time shown.",
              {"{{cache}} {{rule}}": "increase(audio_cache_evicted_items_total{CACHE}[$__range])"}),
        Panel("Bytes removed by rule", "bars", 8, "bytes", "Bytes that each rule evicted in the time shown.",
              {"{{cache}} {{rule}}": "increase(audio_cache_evicted_bytes_total{CACHE}[$__range])"}),
        Panel("Left out, by reason", "bars", 8, "short", "What rules selected in the time shown, and runs left.",
              {"{{cache}} {{reason}}": "increase(audio_cache_skipped_items_total{CACHE}[$__range])"}),
        Panel("Evictable now", "bars", 12, "short", "Items and files that each rule takes in the next run.",
              {"{{cache}} {{rule}}": "audio_cache_evictable_items{CACHE}"}),
        Panel("Evictable bytes now", "bars", 12, "bytes", "Bytes that each rule takes in the next run.",
              {"{{cache}} {{rule}}": "audio_cache_evictable_bytes{CACHE}"}),
    ],
}  # fmt: skip

OPERATION: dict[str, list[Panel]] = {
    "Now": [
        Panel("Service answers", "state", 4, "none", "Whether the last scrape succeeded.",
              {"{{instance}}": "up{JOB}"}),
        Panel("Version", "name", 4, "none", "Of the service, and of Python.",
              {"{{version}} ({{python}})": "audio_cache_build_info{JOB}"}),
        Panel("Configuration good", "state", 4, "none", "Whether the file could be used when it was last read.",
              {"{{instance}}": "audio_cache_config_last_reload_successful{JOB}"}),
        Panel("Index consistent", "state", 4, "none", "Whether rows and vectors belong together.",
              {"{{cache}}": "audio_cache_index_consistent{CACHE}"}),
        Panel("Watched", "state", 4, "none", "Whether events tell of all changes; else the periodic scan finds them.",
              {"{{cache}}": "audio_cache_watch_up{CACHE}"}),
        Panel("Not paused", "state", 4, "none", "Whether runs may remove anything; `resume` ends a pause.",
              {"{{cache}}": "1 - audio_cache_paused{CACHE}"}),
    ],
    "Runs": [
        Panel("Since the last run", "number", 6, "s", "And since one did its work, or since the policy is there.",
              {"{{cache}} run": "time() - audio_cache_last_run_timestamp_seconds{CACHE}",
               "{{cache}} success": "time() - (audio_cache_last_success_timestamp_seconds{CACHE} > 0"
               " or audio_cache_policy_loaded_timestamp_seconds{CACHE})"}),
        Panel("Until the next run", "number", 6, "s", "By the schedule; pressure may start one before.",
              {"{{cache}}": "(audio_cache_next_run_timestamp_seconds{CACHE} > 0) - time()"}),
        Panel("Misses", "lines", 12, "percentunit", "Time since the last success, in intervals of the schedule.",
              {"{{cache}}": "cache:audio_cache_run_lateness:ratio{CACHE}"}),
        Panel("Runs by result", "bars", 8, "short", "How the runs in the time shown ended.",
              {"{{cache}} {{result}}": "sum without (trigger) (increase(audio_cache_runs_total{CACHE}[$__range]))"}),
        Panel("Runs by trigger", "bars", 8, "short", "What caused the runs; `catch_up` makes up for a missed one.",
              {"{{cache}} {{trigger}}": "sum without (result) (increase(audio_cache_runs_total{CACHE}[$__range]))"}),
        Panel("Duration of runs", "points", 8, "s", "The median and the slowest of a hundred.",
              _quantiles("audio_cache_run_duration_seconds")),
        Panel("Refused or cut short", "bars", 12, "short", "Limits and sentinels that stopped a run in the time shown.",
              {"{{cache}} {{limit}}": "increase(audio_cache_limit_trips_total{CACHE}[$__range])"}),
        Panel("Failed removals", "bars", 12, "short", "Removals that failed in the time shown, by reason.",
              {"{{cache}} {{reason}}": "increase(audio_cache_removal_failures_total{CACHE}[$__range])"}),
    ],
    "Beside a running generator": [
        Panel("Oldest pending file", "lines", 12, "s", "How long it has waited for the generator; 0: none.",
              {"{{cache}}": "(time() - audio_cache_pending_oldest_timestamp_seconds{CACHE})"
               " * (audio_cache_pending_oldest_timestamp_seconds{CACHE} > bool 0)"}),
        Panel("Retired rows", "lines", 12, "percentunit", "Share of the rows; from a quarter on runs drop them.",
              {"{{cache}}": "audio_cache_retired_ratio{CACHE}"}),
    ],
    "Watcher and drift": [
        Panel("Events", "lines", 6, "short", "Changes a second that the file system told of, and overflows.",
              {"{{cache}} events": "rate(audio_cache_watch_events_total{CACHE}[RATE])",
               "{{cache}} overflows": "rate(audio_cache_watch_overflows_total{CACHE}[RATE])"}),
        Panel("Drift", "lines", 6, "short", "Items found changed that no event told of, and files that others took.",
              {"{{cache}} unannounced": "increase(audio_cache_scan_drift_items_total{CACHE}[RATE])",
               "{{cache}} taken": "increase(audio_cache_foreign_removals_total{CACHE}[RATE])"}),
        Panel("Age of the figures", "lines", 6, "s", "Time since the cache was last looked at.",
              {"{{cache}}": "time() - audio_cache_inventory_timestamp_seconds{CACHE}"}),
        Panel("Duration of scans", "points", 6, "s", "The median and the slowest of a hundred.",
              _quantiles("audio_cache_scan_duration_seconds")),
    ],
    "Audit": [
        Panel("Records", "lines", 8, "short", "Written a second.",
              {"{{cache}}": "rate(audio_cache_audit_records_total{CACHE}[RATE])"}),
        Panel("Failed writes", "lines", 8, "short", "While the log can't be written, nothing is removed.",
              {"{{cache}}": "increase(audio_cache_audit_write_failures_total{CACHE}[RATE])"}),
        Panel("Sequence", "lines", 8, "short", "Of the last record. If it falls, the log was cut.",
              {"{{cache}}": "audio_cache_audit_sequence{CACHE}"}),
    ],
    "Process": [
        Panel("CPU", "lines", 6, "percentunit", "Share of a core.",
              {"{{instance}}": "rate(process_cpu_seconds_total{JOB}[RATE])"}),
        Panel("Memory", "lines", 6, "bytes", "Resident.",
              {"{{instance}}": "process_resident_memory_bytes{JOB}"}),
        Panel("Open files", "lines", 6, "percentunit", "Share of what the process may have open.",
              {"{{instance}}": "process_open_fds{JOB} / process_max_fds{JOB}"}),
        Panel("Uptime", "lines", 6, "s", "Since the service was started.",
              {"{{instance}}": "time() - process_start_time_seconds{JOB}"}),
        Panel("Scrapes", "lines", 8, "s", "How long they take.",
              {"{{instance}}": "scrape_duration_seconds{JOB}"}),
        Panel("Clock jumps", "lines", 8, "short", "Times that the clock was set by more than half a minute.",
              {"{{instance}}": "increase(audio_cache_clock_jumps_total{JOB}[RATE])"}),
        Panel("Since the configuration was read", "lines", 8, "s", "Since it was last read with success.",
              {"{{instance}}": "time() - audio_cache_config_last_reload_timestamp_seconds{JOB}"}),
    ],
}  # fmt: skip


def make_dashboard(uid: str, title: str, rows: dict[str, list[Panel]]) -> Json:
    """A dashboard as Grafana imports it: each row of panels under its heading."""
    panels: list[Json] = []
    top = 0
    for heading, row in rows.items():
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": heading, "gridPos": place, "panels": []})
        left, top = 0, top + 1
        for panel in row:
            if left + panel.width > _COLUMNS:
                left, top = 0, top + _HEIGHT
            place = {"x": left, "y": top, "w": panel.width, "h": _HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_make_panel(panel)})
            left += panel.width
        top += _HEIGHT
    return {
        "uid": uid, "title": title, "tags": ["audio-cache-daemon"], "schemaVersion": 39, "editable": True,
        "time": {"from": "now-24h", "to": "now"}, "refresh": "1m", "timezone": "browser", "graphTooltip": 1,
        "templating": {"list": _make_variables()}, "annotations": {"list": []}, "panels": panels,
        "links": [{"type": "dashboards", "title": "audio-cache-daemon", "tags": ["audio-cache-daemon"],
                   "asDropdown": False, "includeVars": True, "keepTime": True}],
    }  # fmt: skip


def _make_panel(panel: Panel) -> Json:
    kind, defaults = _LOOKS[panel.kind]
    over_time = kind == "timeseries"
    options: Json = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if not over_time:
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}, "orientation": "horizontal"}
    if kind == "stat":
        options |= {"textMode": "name" if panel.kind == "name" else "auto", "graphMode": "none"}
    targets = [
        {"refId": chr(ord("A") + number), "datasource": _DATASOURCE, "expr": _fill_in(query), "legendFormat": legend,
         "range": over_time, "instant": not over_time}
        for number, (legend, query) in enumerate(panel.queries.items())
    ]  # fmt: skip
    return {
        "type": kind, "title": panel.title, "description": panel.description, "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, **defaults}, "overrides": []},
        "options": options, "targets": targets,
    }  # fmt: skip


def _fill_in(query: str) -> str:
    for name, selector in _SELECTORS.items():
        query = query.replace("{" + name, "{" + selector)
    return query.replace("[RATE]", "[$__rate_interval]")


def _make_variables() -> list[Json]:
    chosen = {"type": "query", "datasource": _DATASOURCE, "refresh": 2, "sort": 1, "multi": True, "includeAll": True}
    everything = {"text": ["All"], "value": ["$__all"]}
    queries = {"job": "label_values(audio_cache_build_info, job)",
               "cache": 'label_values(audio_cache_items{job=~"$job"}, cache)'}  # fmt: skip
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        *(
            {
                "name": name,
                "label": name.capitalize(),
                "query": query,
                "definition": query,
                "current": everything,
                **chosen,
            }
            for name, query in queries.items()
        ),
    ]


def main(directory: Path) -> None:
    """Write both."""
    dashboards = {
        "cache": make_dashboard("audio-cache-cache", "Audio cache", CACHE),
        "operation": make_dashboard("audio-cache-operation", "Audio cache: operation", OPERATION),
    }
    for name, dashboard in dashboards.items():
        (directory / f"{name}.json").write_text(json.dumps(dashboard, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("dashboards"))
