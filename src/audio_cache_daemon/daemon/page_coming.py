"""What the status page says of what comes, from a forecast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from audio_cache_daemon.daemon.foresight import DAYS, MOST_ITEMS
from audio_cache_daemon.daemon.look import Look
from audio_cache_daemon.daemon.outlook import foreseen
from audio_cache_daemon.model import Forecast
from audio_cache_daemon.reporting.page_facts import Coming, SizePoint
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.units import format_duration, format_size, format_time


def make_coming(look: Look, forecast: Forecast | None, policy: Policy) -> Coming | str | None:
    """What comes, or why that isn't worked out here."""
    if look.statistics.items > MOST_ITEMS:
        return f"Of more than {MOST_ITEMS:,} items this is not worked out here: audio-cache-daemon forecast tells it."
    if forecast is None:
        return None
    return Coming(
        sizes=tuple(SizePoint(day.time, day.bytes) for day in forecast.days),
        without=tuple(SizePoint(day.time, day.bytes_without) for day in forecast.days),
        words=tuple(_say(forecast, policy)),
    )


def _say(forecast: Forecast, policy: Policy) -> Iterator[str]:
    grows = f"{forecast.items_per_day:,.1f} items and {format_size(forecast.bytes_per_day)} a day"
    yield f"It grows by {grows}, if it goes on as in the last {format_duration(forecast.window)}."
    for name, moment in forecast.reached().items():
        what = "takes items" if name.startswith("budget:") else "refuses the run"
        yield f"{name} {what} from {format_time(moment)[:10]} on."
    taken: Counter[str] = Counter()
    for day in forecast.days:
        taken.update({name: items for name, (items, _) in day.taken.items()})
    goes = ", ".join(f"{items:,} by {name}" for name, items in taken.items())
    yield f"In {DAYS} days, with a run a day, {f'{taken.total():,} items go: {goes}' if goes else 'nothing goes'}."
    unseen = [rule.name for rule in policy.rules if rule not in foreseen(policy).rules]
    if unseen:
        yield f"Not counted, since it reads the audio: {', '.join(unseen)}."
