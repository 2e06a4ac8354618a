"""Work done in a child process: its result, its failures, and when there is no child."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os
from audio_cache_daemon.beside import beside
parent = os.getpid()
{work}
with beside(work) as finish:
    print(finish())
"""


def run_alone(work: str) -> str:
    """Run a script in a process that has one thread, as a command has; what it prints."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", SCRIPT.format(work=work)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_the_work_is_done_in_another_process() -> None:
    """And its result comes back, however large."""
    assert run_alone("def work(): return os.getpid() != parent") == "True"
    assert run_alone("def work(): return len(bytes(10_000_000))") == "10000000"


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 9)", "1 / 0"])
def test_a_child_that_fails_is_replaced_by_its_parent(death: str) -> None:
    """The work is done again, where an error would show."""
    work = f"def work():\n    if os.getpid() != parent: {death}\n    return 'done'"
    assert run_alone(work) == "done"


def test_a_child_that_nobody_waits_for_ends_with_the_context() -> None:
    """An error in what is done meanwhile leaves neither a process nor a descriptor behind, whatever the child is at."""
    work = """
def work():
    return bytes(10_000_000)
for work in (work, lambda: os.read(os.pipe()[0], 1)):
    before = len(os.listdir('/proc/self/fd'))
    try:
        with beside(work):
            raise KeyError
    except KeyError:
        pass
    assert len(os.listdir('/proc/self/fd')) == before
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print('none left')
work = lambda: 'done'
"""
    assert run_alone(work).split("\n") == ["none left", "none left", "done"]


def test_a_child_ends_when_its_parent_is_killed() -> None:
    """It holds what the parent held, the lock of the cache too, and must not wait for a reader that is gone."""
    work = """
def work():
    return bytes(10_000_000)
with beside(work):
    os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", SCRIPT.format(work=work)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    # The child has the pipe of the output too, so that the end of the output is the end of both.
    assert subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60).returncode == -9


def test_a_process_of_several_threads_does_the_work_itself() -> None:
    """Forking it could leave a lock held for ever."""
    script = """
import os
import threading
from audio_cache_daemon.beside import beside
stop = threading.Event()
threading.Thread(target=stop.wait).start()
with beside(os.getpid) as finish:
    print(finish() == os.getpid())
stop.set()
"""
    command = [sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "True"
