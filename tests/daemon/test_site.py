"""What is served is rendered when figures change, and costs next to nothing when it is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings
from audio_cache_daemon.daemon.history import History
from audio_cache_daemon.daemon.measures import counted_rules, measure
from audio_cache_daemon.daemon.overview import Overview, oversee
from audio_cache_daemon.daemon.site import Site
from audio_cache_daemon.reporting.metrics import Samples
from audio_cache_daemon.reporting.run_counts import zero_counts
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.policy import Budget, Marks, MaxAge, Policy, Rule
from builders import DAY, NOW, CacheBuilder

POLICY = Policy(
    "full",
    rules=tuple(Rule(f"rule-{number}", MaxAge((40 - number) * DAY)) for number in range(20)),
    budget=Budget(size=Marks(2**40, 2**39), items=Marks(1000, 900)),
)
PATHS = ("/", "/metrics", "/api/v1/status", "/healthz", "/readyz")

_opened: list[str] | None = None
"""What this process opens and lists, while somebody wants to know."""


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event in ("open", "os.listdir", "os.scandir"):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)  # it can't be taken away again


@contextmanager
def noting_opened() -> Iterator[list[str]]:
    global _opened  # noqa: PLW0603 -- a hook is the whole process's
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@pytest.fixture
def overview(tmp_path: Path) -> Overview:
    cache = CacheBuilder(tmp_path)
    for number in range(50):
        cache.add(f"rain {number}", age=number)
    location = cache.write()
    return oversee(Target(CacheSettings(location, POLICY), location.state_directory / "audit.jsonl"), NOW)


def show(site: Site, overviews: list[Overview]) -> None:
    samples: Samples = {}
    for overview in overviews:
        samples = {**samples, **zero_counts(overview.name, counted_rules(POLICY)), **measure(overview, NOW)}
    site.update(tuple((overview, History()) for overview in overviews), samples, NOW)


def ten_of(overview: Overview) -> list[Overview]:
    settings = overview.target.settings
    locations = [replace(settings.location, name=f"cache-{number}") for number in range(10)]
    targets = [replace(overview.target, settings=replace(settings, location=location)) for location in locations]
    return [replace(overview, target=target) for target in targets]


def body(site: Site, path: str) -> str:
    answer = site.respond(path)
    assert answer is not None
    return answer.body.decode()


def test_nothing_on_the_disk_is_touched_when_something_is_asked_for(overview: Overview) -> None:
    """Of the process the kernel is asked, which has that in memory."""
    site = Site(list)
    show(site, [overview])
    with noting_opened() as opened:
        for path in PATHS:
            assert site.respond(path) is not None
    assert opened
    assert [name for name in opened if not name.startswith("/proc/self/")] == []


def test_a_scrape_of_ten_caches_takes_less_than_five_milliseconds(overview: Overview) -> None:
    """Whatever they hold: it reads a text. The least of some, since others want the processor as well."""
    site = Site(list)
    show(site, ten_of(overview))
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        assert body(site, "/metrics").count("\n") > 1000
        times.append(time.perf_counter() - begun)
    assert min(times) < 0.005


def test_the_page_is_rendered_anew_when_something_changed_and_not_before(overview: Overview) -> None:
    site = Site(list)
    show(site, [overview])
    # At the turn of a minute the second pair is alike.
    pairs = [(site.respond("/"), site.respond("/")) for _ in range(2)]
    assert any(first is not None and second is not None and first.body is second.body for first, second in pairs)
    assert "It holds 50 items" in body(site, "/")
    show(site, [replace(overview, look=None)])
    assert "It was not looked at yet." in body(site, "/")


def test_it_is_ready_when_all_caches_were_looked_at(overview: Overview) -> None:
    site = Site(list)
    before = site.respond("/readyz")
    show(site, [replace(overview, was_looked_at=False)])
    meanwhile = site.respond("/readyz")
    show(site, [overview])
    after = site.respond("/readyz")
    assert before is not None
    assert meanwhile is not None
    assert after is not None
    assert (before.status, meanwhile.status, after.status) == (HTTPStatus(503), HTTPStatus(503), HTTPStatus.OK)
    assert meanwhile.body == b"still to be looked at for the first time: test\n"


def test_a_loop_that_hangs_is_named(overview: Overview) -> None:
    hanging: list[str] = []
    site = Site(lambda: hanging)
    show(site, [overview])
    assert body(site, "/healthz") == "ok\n"
    hanging.append("runner")
    assert body(site, "/healthz") == "these loops hang: runner\n"
