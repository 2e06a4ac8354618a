"""Runs that are killed, each at a point of its own: on entering its n-th call of a kind. To be run under strace.

strace kills each process at its LAST-th call of a kind. A process that is to die at an earlier one of its run makes
the difference before, where it does nothing. So one strace and one start of the interpreter do for all points.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from child_run import Order, carry_out, environment, order_for
from promises import World
from strace import WRITING_CALLS, run_traced

LAST = 60
"""More than a small run makes of any call."""

_EXCHANGE = 2


@dataclass(frozen=True)
class Death:
    """On entering which call a run is killed, and the which of its kind that is (from 1)."""

    call: str
    number: int


class Point(msgspec.Struct, frozen=True):
    """A run, and where it dies: on entering its `number`-th `call` (from 1), or not at all (0)."""

    order: Order
    call: str = "write"
    number: int = 0


class Ending(msgspec.Struct, frozen=True):
    """How a run ended: by a signal (its number), or with 0. `process` is its id."""

    process: int
    signal: int


def points_for(world: World, keep: float, *deaths: Death) -> list[Point]:
    """Runs over a world that are killed, one after the other."""
    return [
        Point(order_for(world.location, keep=keep, run=f"run-{place}"), death.call, death.number)
        for place, death in enumerate(deaths, start=1)
    ]


def run_points(directory: Path, points: list[Point], *options: str) -> list[Ending]:
    """Run all of them, one after the other, under strace with these further options; how they ended."""
    orders = directory / "points.json"
    orders.write_bytes(msgspec.json.encode(points))
    kills = [
        f"--inject={call}:signal=KILL:when={LAST}" for call in sorted({point.call for point in points if point.number})
    ]
    output = run_traced(
        ["--trace=" + ",".join(WRITING_CALLS), *options, *kills], [sys.executable, __file__, str(orders)], environment()
    )
    return msgspec.json.decode(output, type=list[Ending])


def _idle_calls(directory: Path) -> dict[str, Callable[[int], object]]:
    """Each call in a form that changes nothing; given a descriptor of a file that nobody needs."""
    absent = directory / "absent"
    return {
        "pwrite64": lambda file: os.pwrite(file, b"", 0),
        "write": lambda file: os.write(file, b""),
        "rename": lambda _: absent.rename(absent),
        "renameat": lambda file: os.rename("absent", "absent", src_dir_fd=file, dst_dir_fd=file),
        "renameat2": lambda _: ctypes.CDLL(None).renameat2(-100, b"/absent", -100, b"/absent", _EXCHANGE),
        "linkat": lambda _: os.link(absent, absent, follow_symlinks=False),
        "unlink": lambda _: absent.unlink(),
        "unlinkat": lambda file: os.unlink("absent", dir_fd=file),
        "rmdir": lambda _: absent.rmdir(),
        "fsync": os.fsync,
        "fdatasync": os.fdatasync,
        "mkdir": lambda _: directory.mkdir(),
        "ftruncate": lambda file: os.ftruncate(file, 0),
        "fchown": lambda file: os.fchown(file, -1, -1),
        "fchmod": lambda file: os.fchmod(file, 0o600),
    }


def _die_at(point: Point, directory: Path) -> None:
    idle = _idle_calls(directory)[point.call]
    file = os.open(directory / "idle", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(LAST - point.number if point.number else 0):
        with suppress(OSError):
            idle(file)
    os.close(file)
    carry_out(point.order)


def _run_all(orders: Path) -> list[Ending]:
    endings = []
    for point in msgspec.json.decode(orders.read_bytes(), type=list[Point]):
        process = os.fork()
        if process == 0:
            try:
                _die_at(point, orders.parent)
            finally:
                os._exit(sys.exc_info()[0] is not None)
        _, status = os.waitpid(process, 0)
        assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
        endings.append(Ending(process, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0))
    return endings


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(_run_all(Path(sys.argv[1]))).decode())
