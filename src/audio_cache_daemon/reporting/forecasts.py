"""What comes, in words and as JSON."""

from __future__ import annotations

from audio_cache_daemon.model import Forecast, ForecastDay
from audio_cache_daemon.reporting.terminal import Column, Screen, Symbol
from audio_cache_daemon.units import format_duration, format_size, format_time


def forecast_as_json(cache: str, forecast: Forecast) -> dict[str, object]:
    """A forecast with stable keys."""
    return {
        "cache": cache,
        "growth": {
            "window_seconds": forecast.window,
            "items_per_day": round(forecast.items_per_day, 3),
            "bytes_per_day": round(forecast.bytes_per_day),
        },
        "reached": {name: format_time(moment) for name, moment in forecast.reached().items()},
        "days": [_day_as_json(day) for day in forecast.days],
    }


def _day_as_json(day: ForecastDay) -> dict[str, object]:
    return {
        "time": format_time(day.time),
        "added": day.added,
        "taken": {rule: {"items": items, "bytes": size} for rule, (items, size) in day.taken.items()},
        "refused": list(day.refused),
        "items": day.items,
        "bytes": day.bytes,
        "items_without_policy": day.items_without,
        "bytes_without_policy": day.bytes_without,
    }


def print_forecast(screen: Screen, cache: str, forecast: Forecast) -> None:
    """A forecast for people: the growth, what is reached and when, and each day."""
    grows = f"{forecast.items_per_day:,.1f} items and {format_size(forecast.bytes_per_day)} a day"
    screen.heading(f"{cache}: grows by {grows}, as in the last {format_duration(forecast.window)}", Symbol.ANALYSIS)
    for name, moment in forecast.reached().items():
        what = "takes items" if name.startswith("budget:") else "refuses the run"
        screen.line(f"{name} {what} from {format_time(moment)} on", Symbol.WARNING)
    columns = (
        Column("day", style="cyan"),
        Column("added", "right"),
        Column("goes"),
        Column("items", "right"),
        Column("size", "right"),
        Column("without the policy", "right"),
    )
    screen.table(columns, map(_cells, forecast.days))


def _cells(day: ForecastDay) -> tuple[str, ...]:
    goes = ", ".join(f"{items:,} by {rule}" for rule, (items, _) in day.taken.items())
    refused = f"refused by {', '.join(day.refused)}" if day.refused else ""
    without = format_size(day.bytes_without)
    return (
        format_time(day.time)[:10],
        f"{day.added:,}",
        refused or goes,
        f"{day.items:,}",
        format_size(day.bytes),
        without,
    )
