"""What comes, worked out for the status page: once a day, in a process of its own, and not of the largest caches.

The process is this module as a program: it gets the cache and its policy by standard input, looks at the cache, and
writes the forecast to standard output. What that takes of memory goes with it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import suppress

from audio_cache_daemon.cache.scan import Surroundings, scan_cache
from audio_cache_daemon.daemon.outlook import foreseen
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Forecast
from audio_cache_daemon.request import Target
from audio_cache_daemon.retention.forecast import forecast
from audio_cache_daemon.retention.needs import columns_needed
from audio_cache_daemon.retention.policy import Policy
from audio_cache_daemon.state import load_memory

DAYS = 60

MOST_ITEMS = 200_000
"""Of more it would take a core for a minute, and some hundred megabytes: that is for who asks for it."""

_VALID_SECONDS = 86400.0

_PART_BYTES = 2**16


class Foresight:
    """The forecast of one cache under the policy that it has. `close` ends what is under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._policy: Policy | None = None
        self._until = float("-inf")
        self._process: subprocess.Popen[bytes] | None = None
        self._written = b""
        self._forecast: Forecast | None = None

    @property
    def forecast(self) -> Forecast | None:
        """The last one that was worked out; None as long as there is none."""
        with self._lock:
            self._take_written()
            return self._forecast

    def consider(self, target: Target, items: int) -> None:
        """Begin anew, if the last forecast is a day old, or of another policy."""
        policy = foreseen(target.settings.policy)
        with self._lock:
            if policy != self._policy:
                self._end()
                self._policy, self._until, self._forecast = policy, float("-inf"), None
            if time.monotonic() >= self._until and self._process is None and items <= MOST_ITEMS:
                self._until = time.monotonic() + _VALID_SECONDS
                self._begin(target.settings.location, target.neighbours)

    def _begin(self, location: CacheLocation, neighbours: tuple[CacheLocation, ...]) -> None:
        command, pipe = [sys.executable, "-m", __name__], subprocess.PIPE
        # Who has no room for a process goes without.
        with suppress(OSError):
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603
            self._written = b""
            assert self._process.stdin is not None
            with self._process.stdin as stream:
                stream.write(pickle.dumps((location, neighbours, self._policy)))

    def _take_written(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        try:
            while part := os.read(pipe, _PART_BYTES):
                self._written += part
        except BlockingIOError:
            return
        if process.wait() == 0:
            self._forecast = pickle.loads(self._written)  # noqa: S301 -- by our own process
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdout is not None:
            process.kill()
            process.wait()
            process.stdout.close()

    def close(self) -> None:
        """Go on with nothing."""
        with self._lock:
            self._end()


def main() -> None:
    """Work a forecast out."""
    # Forbidden to a service that may not manage resources; it has a niceness of its own then.
    with suppress(OSError):
        os.nice(19)
    location, neighbours, policy = pickle.load(sys.stdin.buffer)  # noqa: S301 -- written by our own service
    inventory = scan_cache(location, columns_needed(policy), Surroundings(neighbours, load_memory(location)))
    sys.stdout.buffer.write(pickle.dumps(forecast(inventory, policy, time.time(), DAYS)))


if __name__ == "__main__":
    main()
