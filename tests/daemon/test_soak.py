"""The service over a long time, beside a generator that never rests: nothing is lost, and nothing grows.

`SOAK_SECONDS` in the environment says how long; an hour by `make soak`.
"""

from __future__ import annotations

import os
import random
from statistics import mean

import pytest
from soak import LONG_LIFE, Soak, Tempo

from endurance import SOAKING, directory_in_memory

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600" if SOAKING else "40"))
TEMPO = Tempo(SECONDS) if SECONDS >= 600 else Tempo(SECONDS, run=2.0, disturbance=2.0, check=10.0)

GROWTH = 1.1
"""How much more memory the last quarter of a life may need than the first."""


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_grows() -> None:
    """Twenty additions a second, a run each ten; signals of all kinds to both; after each: whole, or evicted."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 -- what was tried is part of the result
    with directory_in_memory() as directory:
        soak = Soak(directory, TEMPO, seed)
        kept = soak.run()
        said = soak.log.read_text()
    assert kept.added > 2 * SECONDS
    assert kept.evicted > 0
    assert "nobody thought of" not in said
    for life in soak.lives:
        if life.samples:
            print(life.describe())  # noqa: T201 -- the same
    check_flat(soak)


def check_flat(soak: Soak) -> None:
    """At the end of each long life it holds about what it held in the beginning."""
    for life in soak.lives:
        first, last = life.quarters()
        if life.seconds >= LONG_LIFE:
            assert min(sample.descriptors for sample in last) <= max(sample.descriptors for sample in first)
            assert mean(sample.resident for sample in last) < GROWTH * mean(sample.resident for sample in first)
