"""The clock, watched from beside: a wall clock that moves against the monotonic one was set by somebody."""

from __future__ import annotations

import time


class ClockWatch:
    """Notices jumps of the wall clock, counts them, and remembers for how long ages can't be believed."""

    def __init__(self, drift: float, settle: float) -> None:
        self._drift = drift
        self._settle = settle
        self._offset = _offset()
        self._ahead = 0.0
        self._believed_from = 0.0
        self.jumps = 0

    def look(self) -> float:
        """By how many seconds the clock jumped since the last look; 0.0 when it went as clocks do."""
        offset = _offset()
        jump, self._offset = offset - self._offset, offset
        if abs(jump) <= self._drift:
            return 0.0
        self.jumps += 1
        self._ahead = max(0.0, self.seconds_unsettled() and self._ahead) + jump
        # Set back to where it was, the clock is right again, and there is nothing to wait for.
        self._believed_from = time.monotonic() + self._settle if self._ahead > self._drift else 0.0
        return jump

    def has_jumped(self) -> bool:
        """Whether the clock jumped since the last look, which comes soon: until then nothing goes by the time."""
        return abs(_offset() - self._offset) > self._drift

    def seconds_unsettled(self) -> float:
        """For how long it isn't known yet whether ages are what they seem."""
        return max(0.0, self._believed_from - time.monotonic())


def _offset() -> float:
    return time.time() - time.monotonic()
