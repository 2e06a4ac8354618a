"""Work that dies in the middle: in a forked child, right before its n-th call that changes something on the disk."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

_CALLS = ("write", "pwrite", "ftruncate", "fsync", "rename", "replace", "link", "unlink", "mkdir", "rmdir", "utime")
_DIED, _FAILED = 42, 43


def die_at(number: int, work: Callable[[], object]) -> bool:
    """Do some work in a child that dies before its `number`-th change (from 1); whether it came to that.

    What Python had not handed to the system is lost, as with a SIGKILL.
    """
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads: those of numpy's library, which nothing here waits for.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process == 0:
        _be_the_child(number, work)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _DIED), "the child failed: see its error output"
    return code == _DIED


def _be_the_child(number: int, work: Callable[[], object]) -> None:
    try:
        calls = count(1)
        for name in _CALLS:
            setattr(os, name, _counted(getattr(os, name), calls, number))
        sys.addaudithook(_counting_exchanges(calls, number))
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 -- a fork must never come back into the test
        os.write(2, traceback.format_exc().encode())
        os._exit(_FAILED)


def _counted(call: Callable[..., Any], calls: Iterator[int], number: int) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        if next(calls) == number:
            os._exit(_DIED)
        return call(*arguments, **options)

    return counted


def _counting_exchanges(calls: Iterator[int], number: int) -> Callable[[str, Any], None]:
    """Files are exchanged by a call that Python doesn't have: its library is opened right before."""

    def hear(event: str, _: Any) -> None:
        if event == "ctypes.dlopen" and next(calls) == number:
            os._exit(_DIED)

    return hear
