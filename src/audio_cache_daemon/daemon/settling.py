"""When to look at a cache after hints that something changed in it. Holds no clock: times are given."""

from __future__ import annotations


class Settling:
    """Collects the times of hints, in seconds of a clock that never goes back.

    A look waits for `quiet` seconds without a hint: the writer adds takes in bursts, and each makes several events.
    """

    def __init__(self, quiet: float = 2.0) -> None:
        self._quiet = quiet
        self._first: float | None = None
        self._last = float("-inf")

    def hint(self, at: float) -> None:
        """Note that something changed."""
        if self._first is None:
            self._first = at
        self._last = max(at, self._last)

    def due(self, patience: float) -> float | None:
        """When to look; None while there is nothing to look for. Each further hint may put it off.

        A cache that is never quiet is looked at all the same, `patience` seconds after the first hint.
        """
        if self._first is None:
            return None
        return min(self._last + self._quiet, self._first + patience)

    def clear(self) -> None:
        """Begin anew. To be called before the look, so that what changes during it leads to the next."""
        self._first = None
        self._last = float("-inf")
