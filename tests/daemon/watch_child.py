"""A watch in a process of its own: to be stopped for a while, as another user, or with few watches to be had.

Called with one argument, a JSON object: see `Order`. Each line of its input is a command, each answered by a `Report`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from watching import Watched

from audio_cache_daemon.location import CacheLocation

OVERFLOW_SECONDS = 20.0
"""An overflow that isn't heard of by then wasn't one."""


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to watch, as which user (-1: as ourselves), and with how many watches at most (-1: as many as there are)."""

    cache: str
    root: str
    uid: int = -1
    max_watches: int = -1


class Report(msgspec.Struct, frozen=True):
    """How the watch is."""

    mode: str
    reason: str | None
    overflows: int
    is_up: bool
    everything: bool


class Child:
    """The process from outside."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def ask(self, command: str, *words: object) -> Report:
        """Give a command: `overflow COUNT`, `hear DIRECTORY`, `check SECONDS` or `stop clock`; the answer."""
        into, _ = self._pipes()
        into.write(" ".join((command, *map(str, words))).encode() + b"\n")
        into.flush()
        return self.read()

    def read(self) -> Report:
        """The next report; the first comes unasked."""
        line = self._pipes()[1].readline()
        assert line, "the child ended; what it said of that is on the standard error"
        return msgspec.json.decode(line, type=Report)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


@contextmanager
def running(location: CacheLocation, *before: str, uid: int = -1, max_watches: int = -1) -> Iterator[Child]:
    """Run a watch in a child process, by the command `before` if there is one."""
    order = Order(str(location.path), str(location.audio_roots[0]), uid, max_watches)
    here = Path(__file__).parent
    paths = os.pathsep.join(filter(None, (str(here.parent), str(here), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [*before, sys.executable, __file__, msgspec.json.encode(order).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def obey(watched: Watched, command: str, word: str) -> None:
    watch = watched.watch
    if command == "overflow":
        watched.comes_true(lambda: watch.figures.overflows_total >= int(word), OVERFLOW_SECONDS)
    elif command == "hear":
        watched.forget()
        watched.make_until_touched(Path(word))
    elif command == "stop":
        watched.clock.stop()
    elif command == "check":
        watched.check_after(float(word))


def report(watched: Watched) -> None:
    watch = watched.watch
    watched.collect()
    answer = Report(watch.mode, watch.reason, watch.figures.overflows_total, watch.figures.is_up, watched.everything)
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


def main(order: Order) -> None:
    if order.max_watches >= 0:
        Path("/proc/sys/user/max_inotify_watches").write_text(f"{order.max_watches}\n")
    if order.uid >= 0:
        os.setgroups([])
        os.setgid(order.uid)
        os.setuid(order.uid)
    watched = Watched(CacheLocation("test", Path(order.cache), (Path(order.root),)))
    watched.watch.start()
    report(watched)
    for line in sys.stdin:
        command, _, word = line.strip().partition(" ")
        obey(watched, command, word)
        report(watched)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Order))
