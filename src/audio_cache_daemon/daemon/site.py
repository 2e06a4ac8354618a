"""What is served by HTTP. All of it is rendered when figures change, not when it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from audio_cache_daemon.daemon.history import History
from audio_cache_daemon.daemon.http_server import Answer
from audio_cache_daemon.daemon.overview import Overview, overview_as_json
from audio_cache_daemon.daemon.page import make_page
from audio_cache_daemon.reporting.encoding import encode_json
from audio_cache_daemon.reporting.metrics import Samples, render_metrics
from audio_cache_daemon.reporting.page import render_page

Known: TypeAlias = tuple[tuple[Overview, History], ...]
"""What is known of each cache, and how it fared."""

_HTML = "text/html; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_OWN_STYLE_ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_CONTENT_POLICY = f"{_OWN_STYLE_ALONE}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_NOTHING_FROM_ELSEWHERE = (("Content-Security-Policy", _CONTENT_POLICY), ("Referrer-Policy", "no-referrer"))


class _Page(msgspec.Struct, frozen=True):
    """A page that was rendered, from what and in which minute."""

    known: Known
    minute: float
    content: bytes


class Site:
    """The pages. `hanging` names the loops that show no sign of life.

    `update` is for one thread; pages are asked for in others.
    """

    def __init__(self, hanging: Callable[[], Sequence[str]]) -> None:
        self._hanging = hanging
        self._waiting: Sequence[str] = ("all",)
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._samples: Samples = {}
        self._facts: list[dict[str, object]] = []
        self._known: Known = ()
        self._page: _Page | None = None
        self._metrics, self._status = b"", b'{"caches":[]}\n'

    def update(self, known: Known, samples: Samples, now: float) -> None:
        """Render what changed: of a page that tells times from now, all each minute."""
        overviews = [overview for overview, _ in known]
        if samples != self._samples:
            self._metrics, self._samples = render_metrics(samples), samples
        facts = [overview_as_json(overview, now) for overview in overviews]
        if facts != self._facts:
            self._status, self._facts = encode_json({"caches": facts}) + b"\n", facts
        self._known = known
        self._waiting = [overview.name for overview in overviews if not overview.was_looked_at]

    def respond(self, path: str) -> Answer | None:
        """The page at a path; None if there is none."""
        if path == "/metrics":
            # Of the process alone the figures are read when asked for: from memory, as those files are none.
            return Answer(self._metrics + generate_latest(self._process), _METRICS)
        if path == "/api/v1/status":
            return Answer(self._status, "application/json")
        if path == "/healthz":
            return _probe(self._hanging(), "these loops hang")
        if path == "/readyz":
            return _probe(self._waiting, "still to be looked at for the first time")
        if path == "/":
            return Answer(self._render_page(time.time()), _HTML, headers=_NOTHING_FROM_ELSEWHERE)
        return None

    def _render_page(self, now: float) -> bytes:
        """The page. It tells times from now, so it is rendered for each minute in which it is asked for."""
        known, page, minute = self._known, self._page, now // 60
        if page is None or page.known is not known or page.minute != minute:
            self._page = page = _Page(known, minute, render_page(make_page(known, now), now))
        return page.content


def _probe(missing: Sequence[str], words: str) -> Answer:
    if not missing:
        return Answer(b"ok\n")
    return Answer(f"{words}: {', '.join(missing)}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
