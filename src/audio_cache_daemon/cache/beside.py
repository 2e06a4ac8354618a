"""Work done beside other work, on the second processor."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

_DONE = b"done"
"""The end of an answer: one that lacks it was cut short."""


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Begin `work` in a child process; the call that the context gives waits for its result, once.

    For work that only reads, and whose result is small beside the effort. In a process of several threads, which
    must not fork, and when the child fails, the work is done by the call itself. The child ends with the context.
    """
    if _count_threads() > 1:
        yield work
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work_in_child(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:

        def finish() -> T:
            answer = pipe.read()
            if not answer.endswith(_DONE):
                return work()
            result: T = pickle.loads(answer)  # noqa: S301 -- written by our own child
            return result

        try:
            yield finish
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _count_threads() -> int:
    """Threads of this process, those of libraries included."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 -- only their number is wanted
    except OSError:
        return threading.active_count()


def _work_in_child(work: Callable[[], object], writing: int) -> None:
    """Do the work and end the process, whatever happens, without anything that the parent would do at its end."""
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(work(), protocol=5) + _DONE)
    finally:
        os._exit(0)
