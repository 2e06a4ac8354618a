"""A step of a scenario, carried out under strace: prints how often a call that changes the disk was held, by name.

Called with the name of the scenario and an empty directory. All of the world is made by the main thread, so that what
strace saw of the other threads and processes is the step.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import msgspec
from faults_calls import Call, HeldThread
from faults_scenarios import SCENARIOS
from faults_sweep import Sweep


def count_held(scenario: str, directory: Path) -> Counter[str]:
    """How often each call was held."""
    held: Counter[str] = Counter()

    def watch(call: Call) -> int:
        held[call.name] += 1
        return 0

    with HeldThread(directory / "world") as thread:
        sweep = Sweep(SCENARIOS[scenario], directory, thread)
        thread.run(lambda: sweep.scenario.step(sweep.world), watch)
    return held


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(count_held(sys.argv[1], Path(sys.argv[2]))).decode())
