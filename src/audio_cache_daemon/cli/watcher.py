"""Who looks at a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from audio_cache_daemon.cli.screens import messages
from audio_cache_daemon.model import Plan
from audio_cache_daemon.reporting.run_summary import spool_evictions
from audio_cache_daemon.reporting.spool import Spool
from audio_cache_daemon.reporting.terminal import ProgressBar
from audio_cache_daemon.request import Listener


class Watcher:
    """Shows on a terminal how a run gets on, and spools what it plans, and what it keeps, while that can be read.

    A context manager: the bar is gone when it ends.
    """

    def __init__(self, *, spool: bool, kept: Callable[[Plan], Spool] | None = None) -> None:
        self._spool = spool
        self._spool_kept = kept
        self._screen = messages()
        self._stack = ExitStack()
        self._bar: tuple[str, ProgressBar] | None = None
        self._shown = 0
        self.evictions = Spool()
        self.kept: Spool | None = None
        self.listener = Listener(self._show, self._keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _show(self, step: str, done: int, total: int | None) -> None:
        if self._bar is None or self._bar[0] != step:
            self._stack.close()
            self._bar, self._shown = (step, self._stack.enter_context(self._screen.progress(step, total))), 0
        # Nobody reads faster than in hundredths, and drawing is not free.
        if done - self._shown >= max(1, (total or 0) // 100):
            self._bar[1].advance(done - self._shown)
            self._shown = done

    def _keep(self, plan: Plan) -> None:
        if self._spool:
            self.evictions = spool_evictions(plan)
            self.kept = self._spool_kept(plan) if self._spool_kept is not None else None
