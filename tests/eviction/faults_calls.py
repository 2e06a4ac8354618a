"""Each call that changes a disk, held back before the kernel carries it out: seccomp's user notification.

A thread of our own asks the kernel to hold it at such calls and to tell us. So nothing is left out that Python, a
library or a command of ours does, the process stays warm, and a point costs no start of anything.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import queue
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias, TypeVar

from faults_table import CALLS, OPENAT, Shape

from tools import give_up

T = TypeVar("T")

_ALLOW, _HOLD = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_FLAGS_OF_OPENAT = 16 + 2 * 8
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_HELD, _ANSWER = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
_GO_ON = 1
_NO_NEW_PRIVILEGES = 38
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_AT_FDCWD = -100


class Call(NamedTuple):
    """A call that is held: the which of its run it is (from 1), its name, and the path that it would change."""

    number: int
    name: str
    path: Path


Watch: TypeAlias = Callable[[Call], int | None]


class HeldThread:
    """A thread for actions on a directory, held at each call that changes something below it. A context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._ready: queue.Queue[int] = queue.Queue()
        self._bell, self._waiting = socket.socketpair()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._listener = -1
        self._count = 0
        self._watch: Watch | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._ready.get()
        if self._listener < 0:
            self._close()
            give_up(f"this kernel can't hold calls for us: {os.strerror(-self._listener)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A call that is still held fails with the listener, so that the thread comes to its end in any case.
        os.close(self._listener)
        self._close()

    def run(self, action: Callable[[], T], watch: Watch) -> T:
        """What the action returns or raises; `watch` is told of each call.

        It answers with the error that the call is to fail with, or 0; or with None: it needn't be told of any more.
        """
        done: list[T | BaseException] = []

        def job() -> None:
            try:
                done.append(action())
            except BaseException as error:  # noqa: BLE001 -- it is raised where the action was asked for
                done.append(error)
            self._bell.send(b".")

        self._jobs.put(job)
        self._attend(watch)
        result = done[0]
        if isinstance(result, BaseException):
            raise result
        return result

    def _attend(self, watch: Watch) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._waiting, select.POLLIN)
        self._count, self._watch = 0, watch
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._listener in ready:
                self._answer()
            elif self._waiting.fileno() in ready:
                self._waiting.recv(1)
                return

    def _answer(self) -> None:
        """Answer a call that is held, after asking about it if it is one on the directory."""
        notice = bytearray(_HELD.size)
        fcntl.ioctl(self._listener, _RECEIVE, notice)
        held, process, _, call, _, _, *arguments = _HELD.unpack(notice)
        code = self._ask(process, call, arguments)
        fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(held, 0, -code, 0 if code else _GO_ON))

    def _ask(self, process: int, call: int, arguments: list[int]) -> int:
        if self._watch is None:
            return 0
        name, shape = _BY_NUMBER[call]
        path = _path_of(process, shape, arguments)
        if path is None or not path.is_relative_to(self._directory):
            return 0
        self._count += 1
        code = self._watch(Call(self._count, name, path))
        if code is None:
            self._watch = None
        return code or 0

    def _work(self) -> None:
        self._ready.put(_listen_to_this_thread())
        while (job := self._jobs.get()) is not None:
            job()

    def _close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._bell.close()
        self._waiting.close()


_MACHINE = platform.machine()
_BY_NUMBER = {numbers[_MACHINE]: (name, shape) for name, (numbers, shape) in CALLS.items() if _MACHINE in numbers}


def _listen_to_this_thread() -> int:
    """A descriptor that tells of this thread's calls from now on; minus the error's number where that can't be had."""
    if _MACHINE not in _SECCOMP:
        return -38
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    instructions = _filter()
    buffer = ctypes.create_string_buffer(instructions)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(instructions) // 8, ctypes.addressof(buffer)))
    set_filter, new_listener = 1, 8
    descriptor: int = library.syscall(_SECCOMP[_MACHINE], set_filter, new_listener, program)
    return descriptor if descriptor >= 0 else -ctypes.get_errno()


def _filter() -> bytes:
    """The kernel's program: hold what is in the table, but for an opening that makes and truncates nothing."""
    others = [number for number, (name, _) in _BY_NUMBER.items() if name != OPENAT]
    openat = CALLS[OPENAT][0][_MACHINE]
    program = [(_LOAD, 0, 0, 0)]
    program += [(_EQUAL, len(others) - place + 3, 0, number) for place, number in enumerate(others)]
    program += [
        (_EQUAL, 0, 2, openat),
        (_LOAD, 0, 0, _FLAGS_OF_OPENAT),
        (_ANY_BIT, 1, 0, os.O_CREAT | os.O_TRUNC),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _HOLD),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _path_of(process: int, shape: Shape, arguments: list[int]) -> Path | None:
    """The path that a call would change, before the call has run; None when that is no file or directory."""
    if shape.path is not None and arguments[shape.path]:
        path = Path(os.fsdecode(_read_string(process, arguments[shape.path])))
        if path.is_absolute() or shape.descriptor is None:
            return path
        return _path_of_descriptor(process, arguments[shape.descriptor], path)
    assert shape.descriptor is not None
    return _path_of_descriptor(process, arguments[shape.descriptor], Path())


def _path_of_descriptor(process: int, argument: int, below: Path) -> Path | None:
    number = ctypes.c_int32(argument & 0xFFFFFFFF).value
    link = f"/proc/{process}/cwd" if number == _AT_FDCWD else f"/proc/{process}/fd/{number}"
    try:
        return Path(os.readlink(link)) / below  # noqa: PTH115 -- a pipe's name is no path to be made one
    except OSError:
        return None


def _read_string(process: int, address: int) -> bytes:
    """The string at an address of a process; a page at a time, for the next one may not be there."""
    found = b""
    if Path(f"/proc/self/task/{process}").exists():
        return ctypes.string_at(address)
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 -- the file has no path to join
        while b"\0" not in found:
            start = address + len(found)
            found += os.pread(memory.fileno(), 4096 - start % 4096, start)
    return found.partition(b"\0")[0]
