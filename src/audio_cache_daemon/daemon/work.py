"""What there is to do, in one queue: schedule, pressure, catch-up, release, looks and reloads share one order."""

from __future__ import annotations

import heapq
import threading
import time
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["schedule", "pressure", "catch_up", "start", "release", "look", "scan", "generator", "reload"]


class Work(msgspec.Struct, frozen=True):
    """One thing to do, to a cache (a reload: to all). `attempt` counts how often the cache was found locked."""

    kind: Kind
    cache: str = ""
    attempt: int = 0

    def is_same(self, other: Work) -> bool:
        """Whether it is the same that there is to do, whichever attempt it is."""
        return (self.kind, self.cache) == (other.kind, other.cache)


class WorkQueue:
    """Work in the order in which it is due. What waits already isn't put a second time: once done, it is done."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[tuple[float, int, Work]] = []
        self._count = 0
        self._is_woken = False

    def put(self, work: Work, delay: float = 0.0) -> bool:
        """Let work be done after so many seconds; whether that isn't so already."""
        due = time.monotonic() + delay
        with self._condition:
            same = next((entry for entry in self._waiting if entry[2].is_same(work)), None)
            if same is not None:
                if same[0] <= due:
                    return False
                self._waiting = [entry for entry in self._waiting if entry is not same]
            self._count += 1
            self._waiting.append((due, self._count, work))
            heapq.heapify(self._waiting)
            self._condition.notify()
        return True

    def get(self, timeout: float) -> Work | None:
        """The work that is due next; None if none is within so many seconds, or when woken."""
        deadline = time.monotonic() + timeout
        with self._condition:
            while True:
                now = time.monotonic()
                if self._waiting and self._waiting[0][0] <= now:
                    return heapq.heappop(self._waiting)[2]
                due = min([deadline, *(entry[0] for entry in self._waiting[:1])])
                if now >= deadline or self._is_woken:
                    return None
                self._condition.wait(due - now)

    def wake(self) -> None:
        """Let nobody wait any more."""
        with self._condition:
            self._is_woken = True
            self._condition.notify_all()
