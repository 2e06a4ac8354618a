"""Work done beside other work, on the second processor."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def start_beside(work: Callable[[], T]) -> Callable[[], T]:
    """Begin `work` in a child process; the call that is returned waits for its result.

    For work that only reads, and whose result is small beside the effort. In a process of several threads, which
    must not fork, and when the child fails, the work is done by the call itself.
    """
    if _count_threads() > 1:
        return work
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _work_in_child(work, writing)
    os.close(writing)

    def finish() -> T:
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(child, 0)
        if status != 0:
            return work()
        result: T = pickle.loads(answer)  # noqa: S301 -- written by our own child
        return result

    return finish


def _count_threads() -> int:
    """Threads of this process, those of libraries included."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 -- only their number is wanted
    except OSError:
        return threading.active_count()


def _work_in_child(work: Callable[[], object], writing: int) -> None:
    """Do the work and end the process, whatever happens, without anything that the parent would do at its end."""
    status = 1
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(work(), protocol=5))
        status = 0
    finally:
        os._exit(status)
