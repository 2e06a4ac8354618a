"""What the parts of the daemon share."""

from __future__ import annotations

import threading
import time

import msgspec

from audio_cache_daemon.daemon.clock import ClockWatch
from audio_cache_daemon.daemon.pace import Pace
from audio_cache_daemon.daemon.pulse import Pulse
from audio_cache_daemon.daemon.work import WorkQueue


class Household(msgspec.Struct, frozen=True):
    """What the parts of the daemon share. `stopping` is set when it is to end."""

    pace: Pace
    clock: ClockWatch
    queue: WorkQueue = msgspec.field(default_factory=WorkQueue)
    pulse: Pulse = msgspec.field(default_factory=Pulse)
    stopping: threading.Event = msgspec.field(default_factory=threading.Event)


class Every:
    """Something that is due now and then."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = float("-inf")

    def is_due(self) -> bool:
        """Whether it is time; after that it isn't until the next time."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
