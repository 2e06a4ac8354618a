"""`stats`: a cache in figures. It needs a look at every file, which begins before what it is shown with is loaded."""

from __future__ import annotations

import click

from audio_cache_daemon.cache.listing import listing_ahead
from audio_cache_daemon.cli.options import Choice, cache_options
from audio_cache_daemon.cli.target import choose_targets


@click.command()
@cache_options
def stats(choice: Choice) -> None:
    """Show what is in a cache: items, sizes, quality, ages, and what is wrong with it."""
    targets = choose_targets(choice)
    with listing_ahead(targets[0].settings.location) as listing:
        from audio_cache_daemon.cli.inspect import show_statistics  # noqa: PLC0415 -- loaded beside the listing

        show_statistics(targets, choice, listing)
