"""Work done beside other work, on the second processor."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeVar

T = TypeVar("T")

_COUNT = struct.Struct("q")

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
            pieces = _receive(pipe)
            if pieces is None:
                return work()
            result: T = pickle.loads(pieces[0], buffers=pieces[1:])  # noqa: S301 -- written by our own child
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
            _send(pipe, work())
    finally:
        os._exit(0)


def _send(pipe: BinaryIO, result: object) -> None:
    """The sizes of the pieces, and the pieces: the result, and buffers in it that it wants to be sent as they are."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
    pieces = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    pipe.write(_COUNT.pack(len(pieces)) + b"".join(_COUNT.pack(piece.nbytes) for piece in pieces))
    pipe.writelines(pieces)
    pipe.write(_DONE)


def _receive(pipe: BinaryIO) -> list[bytearray] | None:
    """The pieces, each read into its place: no copy of one is made on the way. None when the end is missing."""
    try:
        (count,) = _COUNT.unpack(pipe.read(_COUNT.size))
        sizes = [_COUNT.unpack(pipe.read(_COUNT.size))[0] for _ in range(count)]
    except struct.error:
        return None
    pieces = [bytearray(size) for size in sizes]
    whole = all(pipe.readinto(piece) == len(piece) for piece in pieces)  # type: ignore[attr-defined]
    return pieces if whole and pipe.read() == _DONE else None
