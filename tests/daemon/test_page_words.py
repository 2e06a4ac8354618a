"""The state of a cache in words: what the status page says of it in each state, and which advice it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.daemon.first_run import policy_hash
from audio_cache_daemon.daemon.history import History, PastRun, Point
from audio_cache_daemon.daemon.notes import Awaiting, LastRun, Pause, Standing
from audio_cache_daemon.daemon.outlook import AGE_BOUNDS
from audio_cache_daemon.daemon.overview import Overview, oversee
from audio_cache_daemon.daemon.page import make_page
from audio_cache_daemon.maintenance import run_maintenance
from audio_cache_daemon.reporting.page_facts import CachePage
from audio_cache_daemon.request import RunRequest, Target
from audio_cache_daemon.retention.policy import (
    Budget,
    DiskMarks,
    Limits,
    Marks,
    MaxAge,
    Pattern,
    Policy,
    Rule,
    Schedule,
    TrashLimits,
)
from builders import DAY, NOW, CacheBuilder

POLICY = Policy(
    "standard",
    schedule=Schedule(cron="15 3 * * *"),
    rules=(Rule("stale", MaxAge(30 * DAY)), Rule("tests", Pattern("test"))),
    budget=Budget(items=Marks(100, 90), size=Marks(10**9, 10**8)),
    limits=Limits(None, None),
)


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """Items of 0.5 to 39.5 days, every tenth a test."""
    cache = CacheBuilder(tmp_path, name="exhibit")
    for number in range(40):
        cache.add("a test" if number % 10 == 0 else f"rain {number % 7}", age=number + 0.5)
    return cache


def target_of(cache: CacheBuilder, policy: Policy = POLICY) -> Target:
    location = cache.write()
    settings = CacheSettings(location, policy, WriterSettings(mode="stopped"))
    return Target(settings, location.state_directory / "audit.jsonl")


def overview_of(cache: CacheBuilder, policy: Policy = POLICY) -> Overview:
    return oversee(target_of(cache, policy), NOW)


def page_of(overview: Overview, history: History | None = None) -> CachePage:
    return make_page([(overview, history or History())], NOW).caches[0]


def said(page: CachePage) -> str:
    """All of the troubles in one text."""
    return "\n".join(f"{one.what} {one.advice} {' '.join(one.commands)}" for one in page.troubles)


def past(result: str = "success", words: str = "nothing to remove") -> Standing:
    return Standing(0.0, last_success=NOW, last_run=LastRun("run-1", "schedule", NOW, result, words))


def test_a_cache_within_its_marks_is_well(cache: CacheBuilder) -> None:
    page = page_of(replace(overview_of(cache), standing=past()))
    assert (page.level, page.troubles) == ("good", ())
    assert page.sentence.startswith("It is within its limits. It holds 40 items, ")
    items = next(meter for meter in page.meters if meter.title == "Items")
    assert (items.text, items.high_text, items.low_text) == (
        "40, 40 % of the high mark",
        "evicts above 100",
        "down to 90",
    )


def test_an_empty_cache_is_well_and_shows_no_ages(tmp_path: Path) -> None:
    page = page_of(overview_of(CacheBuilder(tmp_path)))
    assert (page.level, page.sentence, page.ages) == ("good", "It is empty.", ())


def test_a_cache_above_a_mark_wants_attention_and_is_told_what_comes(cache: CacheBuilder) -> None:
    policy = replace(POLICY, budget=Budget(items=Marks(30, 20)))
    page = page_of(overview_of(cache, policy))
    assert (page.level, page.sentence) == ("warn", "It is beyond its mark: 40 items of 30.")
    assert "Its number of items is beyond the mark: 40 items of 30. The next run brings it to 20" in said(page)
    page = page_of(overview_of(cache, replace(policy, mode="audit")))
    assert "With mode: enforce it is brought within its marks." in said(page)
    assert ("Policy", "standard (mode: audit, it only reports)") in page.facts


def test_a_refused_run_needs_help_and_the_page_says_why(cache: CacheBuilder) -> None:
    """Without the words that stand beside it, and without a promise that the next run would mend it."""
    overview = overview_of(cache, replace(POLICY, budget=Budget(items=Marks(30, 20))))
    words = f"refused: {cache.location.path}: the rules select 9 items, more than 5"
    page = page_of(replace(overview, standing=past("refused", words)))
    assert (page.level, page.sentence[:29]) == ("bad", "Its last run was refused, and")
    assert page.troubles[0].what == "The last run was refused: the rules select 9 items, more than 5."
    assert page.troubles[0].commands == ("audio-cache-daemon --cache exhibit run-once --dry-run",)
    assert "It stays so until the refusal is dealt with." in said(page)


def test_a_failed_run_needs_help(cache: CacheBuilder) -> None:
    page = page_of(replace(overview_of(cache), standing=past("failed", "failed: no space")))
    assert (page.level, page.sentence) == ("bad", "Its last run failed.")
    assert page.troubles[0].what == "The last run failed: no space."


def test_a_fault_of_the_index_names_what_mends_it(cache: CacheBuilder) -> None:
    target = target_of(cache)
    cache.append_to_meta(b"{torn")
    overview = oversee(target, NOW)
    page = page_of(replace(overview, sight_problems=overview.problems))
    assert page.level == "bad"
    assert page.troubles[0].commands == (
        "audio-cache-daemon --cache exhibit verify",
        "audio-cache-daemon --cache exhibit repair",
    )


def test_a_cache_that_can_not_be_seen_needs_help(cache: CacheBuilder) -> None:
    overview = replace(overview_of(cache), look=None, problems=("it isn't there",), sight_problems=("it isn't there",))
    page = page_of(overview)
    assert (page.level, page.sentence) == ("bad", "It can't be seen.")
    assert "It isn't there." in said(page)


def test_a_cache_that_was_not_looked_at_says_so(cache: CacheBuilder) -> None:
    page = page_of(replace(overview_of(cache), look=None))
    assert (page.level, page.sentence) == ("warn", "It was not looked at yet.")


def test_a_new_policy_waits_for_a_word(cache: CacheBuilder) -> None:
    """Until it is given, and only while it is the one that is configured."""
    overview = overview_of(cache)
    mine = policy_hash(overview.target)
    waiting = replace(overview, standing=Standing(0.0, awaiting=Awaiting(mine, "9 of 40 items")))
    page = page_of(waiting)
    assert page.level == "warn"
    assert f"would evict 9 of 40 items. If that is right: audio-cache-daemon accept-policy {mine}" in said(page)
    assert page_of(replace(waiting, accepted=frozenset({mine}))).level == "good"
    other = replace(overview, standing=Standing(0.0, awaiting=Awaiting("another", "9 of 40 items")))
    assert page_of(other).level == "good"


def test_a_pause_is_told_with_how_to_end_it(cache: CacheBuilder) -> None:
    overview = overview_of(cache)
    page = page_of(replace(overview, pause=Pause(paused=True, until=NOW + DAY, by="ada"), next_run=NOW + 2 * DAY))
    assert page.level == "warn"
    assert "paused until 2036-07-19T13:20:00Z, by ada. To end that: audio-cache-daemon resume" in said(page)
    page = page_of(replace(overview, pause=Pause(paused=True, by="ada"), next_run=None))
    assert "paused until it is resumed" in said(page)
    assert page.due_words == "Once it is resumed, in the next run"


def test_files_that_vanish_are_told(cache: CacheBuilder) -> None:
    page = page_of(replace(overview_of(cache), standing=Standing(0.0, vanished=12, vanishings=3)))
    assert page.level == "warn"
    assert "12 files of items vanished, seen in 3 looks. Is another cleaner at work" in said(page)


def test_a_cache_that_can_not_be_watched_is_told_and_well(cache: CacheBuilder) -> None:
    page = page_of(replace(overview_of(cache), is_deaf=True))
    assert page.level == "good"
    assert "Not all changes in this cache are heard of at once." in said(page)


def test_ages_add_up_and_what_goes_is_what_the_next_run_takes(cache: CacheBuilder) -> None:
    """As old as they will be then, in the night: those of 29.9 and of 29.5 days go too."""
    cache.add("nearly", age=29.9)
    cache.add("no time", timestamp=0)
    overview = overview_of(cache)
    page = page_of(overview)
    assert sum(bar.stay + sum(count for _, count in bar.go) for bar in page.ages) == 42
    assert [bar.label for bar in page.ages] == ["1h", "1d", "3d", "7d", "14d", "30d", "60d", "?"]
    assert {share.rule: share.items for share in page.shares} == {"stale": 12, "tests": 3}
    by_label = {bar.label: bar for bar in page.ages}
    assert dict(by_label["30d"].go) == {"stale": 2, "tests": 1}
    assert (by_label["60d"].stay, dict(by_label["60d"].go)) == (0, {"stale": 10})
    assert by_label["?"].stay == 1
    assert {share.rule: share.what for share in page.shares}["stale"] == "older than 30d"


def test_an_age_at_a_bound_is_below_it(tmp_path: Path) -> None:
    cache = CacheBuilder(tmp_path)
    for bound in AGE_BOUNDS:
        cache.add("rain", timestamp=NOW - bound)
    look = overview_of(cache, replace(POLICY, rules=())).look
    assert look is not None
    assert [group.stay for group in look.outlook.ages] == [1] * len(AGE_BOUNDS) + [0, 0]
    assert np.isnan(look.outlook.ages[-1].up_to)


def test_the_trash_is_told_with_until_when(cache: CacheBuilder) -> None:
    target = target_of(cache, replace(POLICY, trash=TrashLimits(keep=3 * DAY)))
    run_maintenance(target, RunRequest(NOW, "20361231T000000Z-abcdef"), lambda: NOW)
    (row,) = page_of(oversee(target, NOW)).trash
    assert (row.run, row.time, row.until, row.items) == ("20361231T000000Z-abcdef", NOW, NOW + 3 * DAY, 13)


def test_a_disk_meter_fills_with_what_is_taken(cache: CacheBuilder) -> None:
    overview = overview_of(cache, replace(POLICY, budget=Budget(disk=DiskMarks(1, 2))))
    assert overview.look is not None
    assert overview.look.disk is not None
    (meter,) = page_of(overview).meters
    assert meter.value == meter.whole - overview.look.disk.disk_free
    assert (meter.high, meter.low) == (meter.whole - 1, meter.whole - 2)
    assert meter.high_text == "evicts below 1 B free"


def test_runs_and_sizes_come_from_the_history(cache: CacheBuilder) -> None:
    run = PastRun("run-1", "pressure", NOW, "partial", "evicted 3 items and files", 3, 300)
    page = page_of(overview_of(cache), History(points=(Point(NOW - 9, 10, 1), Point(NOW, 20, 2)), runs=(run,)))
    assert [(row.cause, row.result, row.level, row.freed) for row in page.runs] == [
        ("above a mark", "partial", "warn", 300)
    ]
    assert [point.bytes for point in page.sizes] == [10, 20]


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        ("", "No cache is configured."),
        ("good", "a: It is empty."),
        ("good good", "All 2 caches are well."),
        ("good warn", "b wants attention; the other one is well."),
        ("bad warn good good", "a needs help; b wants attention; the other 2 are well."),
        ("bad bad bad", "a, b and c need help."),
    ],
)
def test_the_state_of_the_whole_is_one_sentence(tmp_path: Path, levels: str, sentence: str) -> None:
    standings = {"good": Standing(0.0), "warn": Standing(0.0, vanishings=3), "bad": past("failed")}
    caches = []
    for name, level in zip("abcd", levels.split(), strict=False):
        cache = CacheBuilder(tmp_path / name, name=name)
        caches.append((replace(overview_of(cache), standing=standings[level]), History()))
    page = make_page(caches, NOW)
    assert page.sentence == sentence
    assert page.level == max(levels.split() or ["good"], key=["good", "warn", "bad"].index)
