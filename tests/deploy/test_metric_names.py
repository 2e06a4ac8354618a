"""Rules and panels ask for what the program exports: metrics, labels and values of labels, and all of its metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from monitoring_files import PROMETHEUS, Json, alerts, panel_queries, recordings, rules

from audio_cache_daemon.model import RunResult
from audio_cache_daemon.reporting.metric_table import (
    FAILURE_REASONS,
    FILE_STATES,
    LIMITS,
    METRICS,
    SIZES,
    SKIP_REASONS,
    STATES,
    TRIGGERS,
)

OF_THE_SCRAPE = {"job", "instance"}
HISTOGRAMS = [metric for metric in METRICS if metric.type == "histogram"]
OF_THE_PROCESS = (
    *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"),
    *("process_open_fds", "process_max_fds", "up", "scrape_duration_seconds"),
)
LABELS: dict[str, set[str]] = {
    **{metric.name: {*metric.labels} for metric in METRICS},
    **{f"{metric.name}_bucket": {*metric.labels, "le"} for metric in HISTOGRAMS},
    **{f"{metric.name}_{part}": {*metric.labels} for metric in HISTOGRAMS for part in ("sum", "count")},
    **{rule["record"]: {"cache", *rule.get("labels", {})} for rule in recordings()},
    **{name: set() for name in OF_THE_PROCESS},
}
"""The labels of each series that can be asked for, beside those that Prometheus adds."""

VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("audio_cache_items", "state"): STATES,
    ("audio_cache_files", "state"): FILE_STATES,
    ("audio_cache_size_bytes", "kind"): SIZES,
    ("audio_cache_limit", "kind"): (
        *("size_high_bytes", "size_low_bytes", "items_high", "items_low"),
        *("disk_min_free_bytes", "disk_resume_free_bytes"),
    ),
    ("audio_cache_runs_total", "trigger"): TRIGGERS,
    ("audio_cache_runs_total", "result"): tuple(result.value for result in RunResult),
    ("audio_cache_skipped_items_total", "reason"): SKIP_REASONS,
    ("audio_cache_removal_failures_total", "reason"): FAILURE_REASONS,
    ("audio_cache_limit_trips_total", "limit"): LIMITS,
}

EXPRESSIONS = [*(rule["expr"] for rule in rules()), *(query.expr for query in panel_queries())]
NAME = re.compile(r"\b((?:cache:)?audio_cache_[\w:]+|process_\w+|scrape_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+) *(?:=~|!~|!=|=) *"([^"]*)"')


def series_of(expr: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The series that an expression asks for: names, and what of their labels."""
    for name, matchers in NAME.findall(expr):
        yield name, dict(MATCHER.findall(matchers))


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_an_expression_asks_for_series_labels_and_values_that_exist(expr: str) -> None:
    found = list(series_of(expr))
    assert found
    for name, asked in found:
        assert name in LABELS
        assert asked.keys() <= LABELS[name] | OF_THE_SCRAPE
        for label in asked.keys() - OF_THE_SCRAPE - {"cache"}:
            for value in asked[label].split("|"):
                assert any(re.fullmatch(value, known) for known in VALUES[name, label]), f'{label}="{value}"'
    grouped = {
        label for labels in re.findall(r"(?:without|by|ignoring|on) \(([^)]*)\)", expr) for label in labels.split(", ")
    }
    assert grouped - {""} <= {label for name, _ in found for label in LABELS[name]} | OF_THE_SCRAPE


def test_what_legends_and_annotations_name_is_a_label_of_what_they_are_about() -> None:
    texts = [(query.legend, query.expr) for query in panel_queries()]
    texts += [(f"{{{{{label}}}}}", alert["expr"]) for alert in alerts() for label in labels_named(alert)]
    assert len(texts) > 80
    for text, expr in texts:
        known = {label for name, _ in series_of(expr) for label in LABELS[name]} | OF_THE_SCRAPE
        assert set(re.findall(r"\{\{(\w+)\}\}", text)) <= known, (text, expr)


def labels_named(alert: Json) -> set[str]:
    return set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))


def test_what_a_rule_records_is_asked_for() -> None:
    asked = {name for expr in EXPRESSIONS for name, _ in series_of(expr)}
    assert {rule["record"] for rule in recordings()} <= asked


def test_each_metric_is_on_a_panel_or_behind_an_alert() -> None:
    asked = {name.removesuffix("_bucket") for expr in EXPRESSIONS for name, _ in series_of(expr)}
    assert {metric.name for metric in METRICS} - asked == set()


def test_the_runbook_explains_each_limit_that_can_trip() -> None:
    section = (PROMETHEUS / "RUNBOOK.md").read_text().partition("## LimitTripped")[2].partition("\n## ")[0]
    rows = "".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", rows)) - {"limit"} == set(LIMITS)
