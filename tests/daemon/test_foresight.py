"""What comes is worked out beside the service, once a day, and told on the status page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings
from audio_cache_daemon.daemon.foresight import MOST_ITEMS, Foresight
from audio_cache_daemon.daemon.look import look_at
from audio_cache_daemon.daemon.page_coming import make_coming
from audio_cache_daemon.model import Forecast
from audio_cache_daemon.reporting.page_facts import Coming
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.policy import Budget, Dedupe, Limits, Marks, MaxAge, Policy, Rule
from builders import DAY, CacheBuilder

POLICY = Policy(
    "test",
    rules=(Rule("stale", MaxAge(10 * DAY)), Rule("same-bytes", Dedupe("content"))),
    budget=Budget(items=Marks(15, 12)),
    limits=Limits(None, None),
)
PATIENCE = 300.0
"""Longer than elsewhere: what is waited for runs at the lowest priority."""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A cache that grew by two items a day for five days."""
    cache = CacheBuilder(tmp_path, now=time.time())
    for number in range(10):
        cache.add(f"prompt {number}", age=number / 2 + 0.1)
    location = cache.write()
    return Target(CacheSettings(location, POLICY), location.state_directory / "audit.jsonl")


@pytest.fixture
def foresight() -> Iterator[Foresight]:
    foresight = Foresight()
    yield foresight
    foresight.close()


def wait_for(foresight: Foresight) -> Forecast:
    deadline = time.monotonic() + PATIENCE
    while (found := foresight.forecast) is None:
        assert time.monotonic() < deadline, "nothing was worked out"
        time.sleep(0.02)
    return found


def told(foresight: Foresight) -> Forecast | None:
    return foresight.forecast


def children() -> str:
    """The processes that this one has begun."""
    return Path("/proc/thread-self/children").read_text()


def test_it_is_worked_out_once_by_a_process_that_ends(target: Target, foresight: Foresight) -> None:
    """And anew for another policy; what is known until then is of none."""
    before = children()
    foresight.consider(target, 10)
    found = wait_for(foresight)
    assert (found.items_per_day, len(found.days)) == (2.0, 61)
    foresight.consider(target, 10)
    assert children() == before
    assert told(foresight) is found
    other = Target(replace(target.settings, policy=Policy("other")), target.audit_path)
    foresight.consider(other, 10)
    assert told(foresight) is None
    assert wait_for(foresight).days[-1].items > found.days[-1].items


def test_what_is_under_way_ends_with_the_service(target: Target, foresight: Foresight) -> None:
    before = children()
    foresight.consider(target, 10)
    foresight.close()
    assert children() == before
    assert foresight.forecast is None


def test_of_a_very_large_cache_nothing_is_worked_out(target: Target, foresight: Foresight) -> None:
    """And the page names the command that does it."""
    before = children()
    foresight.consider(target, MOST_ITEMS + 1)
    assert children() == before
    look = look_at(target, time.time())
    large = replace(look, statistics=replace(look.statistics, items=MOST_ITEMS + 1))
    assert make_coming(large, None, POLICY) == (
        "Of more than 200,000 items this is not worked out here: audio-cache-daemon forecast tells it."
    )


def test_the_page_tells_the_growth_the_marks_what_goes_and_what_is_not_counted(
    target: Target, foresight: Foresight
) -> None:
    look = look_at(target, time.time())
    assert make_coming(look, None, POLICY) is None
    foresight.consider(target, 10)
    coming = make_coming(look, wait_for(foresight), POLICY)
    assert isinstance(coming, Coming)
    growth, reached, goes, unseen = coming.words
    assert growth.startswith("It grows by 2.0 items and ")
    assert growth.endswith(" a day, if it goes on as in the last 5d.")
    assert reached.startswith("budget:items takes items from 20")
    assert goes.startswith("In 60 days, with a run a day, ")
    assert goes.endswith(" by budget:items.")
    assert unseen == "Not counted, since it reads the audio: same-bytes."
    assert len(coming.sizes) == len(coming.without) == 61
