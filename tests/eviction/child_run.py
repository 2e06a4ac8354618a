"""One run of a policy in a process of its own: as another user, with limits, or to be killed.

Called with one argument, a JSON object: see `Order`. Prints the report as JSON. Everything is imported before the
user changes, who may not be allowed to read the interpreter's files.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import regex  # noqa: F401 -- by the scan only when it has a pattern
from cache_runs import run_policy

from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.retention.policy import InState, Limits, Pattern, Policy, Rule, TrashLimits
from builders import NOW

NOBODY = 65534

_SET_DUMPABLE, _CLONE_NEWUSER, _CAPABILITY_VERSION = 4, 0x10000000, 0x20080522


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child is to do, and as whom: uid and gid -1 mean as ourselves; `private_users`: see below."""

    cache: str
    root: str
    run: str = "run-1"
    pattern: str = "drop"
    keep: float = 86400.0
    uid: int = -1
    gid: int = -1
    groups: tuple[int, ...] = ()
    umask: int = 0o022
    private_users: bool = False
    file_bytes: int = -1


class Answer(msgspec.Struct, frozen=True):
    """How the run ended."""

    result: str
    error: str | None
    evicted: int
    failed: int


def order_for(location: CacheLocation, **more: float | str | tuple[int, ...]) -> Order:
    return msgspec.convert({"cache": str(location.path), "root": str(location.audio_roots[0]), **more}, Order)


def run_child(order: Order) -> Answer:
    """Carry out an order in a child process; what it answers."""
    done = subprocess.run(command(order), env=environment(), capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Answer)


def command(order: Order) -> list[str]:
    return [sys.executable, __file__, msgspec.json.encode(order).decode()]


def environment() -> dict[str, str]:
    here = Path(__file__).parent
    paths = os.pathsep.join(filter(None, (str(here.parent), str(here), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}


def enter_user_namespace() -> None:
    """Be where only our own user and primary group are known, without a capability: a unit with PrivateUsers=."""
    maps = {
        "setgroups": "deny",
        "uid_map": f"{os.getuid()} {os.getuid()} 1",
        "gid_map": f"{os.getgid()} {os.getgid()} 1",
    }
    libc = ctypes.CDLL(None, use_errno=True)
    # Who changed its user has to say so to own its files in /proc.
    assert libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0) == 0
    assert libc.unshare(_CLONE_NEWUSER) == 0, os.strerror(ctypes.get_errno())
    for name, content in maps.items():
        Path("/proc/self", name).write_text(content)
    assert libc.capset(struct.pack("Ii", _CAPABILITY_VERSION, 0), bytes(24)) == 0


def carry_out(order: Order) -> Answer:
    os.umask(order.umask)
    if order.file_bytes >= 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_bytes, order.file_bytes))
    if order.uid >= 0:
        os.setgroups(order.groups)
        os.setgid(order.gid)
        os.setuid(order.uid)
    if order.private_users:
        enter_user_namespace()
    rules = (Rule("drop", Pattern(order.pattern)), Rule("left", InState("leftover")))
    policy = Policy("drop", rules=rules, limits=Limits(None, None), trash=TrashLimits(order.keep))
    location = CacheLocation("test", Path(order.cache), (Path(order.root),))
    report = run_policy(location, policy, order.run, NOW)
    outcome = report.outcome
    error = str(report.error) if report.error is not None else None
    return Answer(report.result, error, outcome.evicted if outcome else 0, outcome.failed if outcome else 0)


if __name__ == "__main__":
    answer = carry_out(msgspec.json.decode(sys.argv[1], type=Order))
    sys.stdout.write(msgspec.json.encode(answer).decode())
