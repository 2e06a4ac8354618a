"""Signs of life: which loops still turn. A watchdog that is fed by a timer proves nothing."""

from __future__ import annotations

import time


class Pulse:
    """Loops say that they live; one that is silent for longer than it allowed itself hangs."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}

    def beat(self, loop: str, within: float) -> None:
        """This loop lives, and will say so again within so many seconds."""
        self._deadlines[loop] = time.monotonic() + within

    def silent(self) -> tuple[str, ...]:
        """The loops that should have been heard of."""
        now = time.monotonic()
        return tuple(loop for loop, deadline in tuple(self._deadlines.items()) if deadline < now)
