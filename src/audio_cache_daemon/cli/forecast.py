"""`forecast`: what the policies will take on each of the next days, and how large the caches will be."""

from __future__ import annotations

import time

import click

from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.screens import output, print_json, wants_json
from audio_cache_daemon.cli.target import choose_targets
from audio_cache_daemon.errors import ConfigError
from audio_cache_daemon.planning import observe
from audio_cache_daemon.reporting.forecasts import forecast_as_json, print_forecast
from audio_cache_daemon.retention import forecast as retention_forecast
from audio_cache_daemon.state import load_memory

_MOST_DAYS = 366


@click.command()
@click.option("--days", type=click.IntRange(1, _MOST_DAYS), default=60, show_default=True, help="How far ahead.")
@cache_options
def forecast(choice: Choice, days: int) -> None:
    """Show what the policies will take on each day if the caches go on growing as they did, and their size then."""
    now = time.time()
    targets = choose_targets(choice, check=True)
    if not all(target.config for target in targets):
        raise ConfigError("there is no policy to forecast without a configuration; give --config")
    forecasts = []
    for target in targets:
        memory = load_memory(target.settings.location)
        coming = retention_forecast.forecast(observe(target, memory), target.settings.policy, now, days)
        forecasts.append((target.settings.location.name, coming))
    if wants_json(choice):
        print_json({"caches": [forecast_as_json(name, coming) for name, coming in forecasts]})
        return
    for name, coming in forecasts:
        print_forecast(output(), name, coming)
