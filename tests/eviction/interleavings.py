"""All orders in which the steps of a generator and those of an exchange can follow each other, on real files."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exchanges import (
    Case,
    Content,
    exchanges,
    expected_content,
    leave_open,
    make_cache,
    prepare,
    read_content,
    reconcile_now,
    serve_steps,
)

from generator import ARRAYS, Generator


@dataclass(frozen=True)
class Schedule:
    """Before each of our steps so many of the generator's were done (ascending); it dies after `lives` of them.

    Our steps are the exchanges of the files, and, if there is one more, a first reconciliation. If it is `reborn`, it
    is started again after its death, and adds one more item.
    """

    ours: tuple[int, ...]
    lives: int
    reborn: bool = False


STEPS = 10
"""Of one addition that change or read a file."""


def schedules(case: Case, additions: int, *, reconciles: bool = False) -> Iterator[Schedule]:
    """All orders in which the generator lives."""
    steps = additions * (STEPS if len(case.names) == 4 else STEPS - 3)
    for ours in itertools.combinations_with_replacement(range(steps + 1), len(case.names) + reconciles):
        yield Schedule(ours, steps)


def deaths(case: Case, additions: int, *, reborn: bool = False) -> Iterator[Schedule]:
    """All orders in which the generator dies in its last addition, after any of its steps but the last."""
    per_addition = STEPS if len(case.names) == 4 else STEPS - 3
    for lives in range((additions - 1) * per_addition + 1, additions * per_addition):
        for ours in itertools.combinations_with_replacement(range(lives + 1), len(case.names)):
            yield Schedule(ours, lives, reborn)


def play(case: Case, additions: int, schedule: Schedule, directory: Path) -> Content:
    """Let it happen, reconcile in quiet, at most twice, and read the index."""
    location = make_cache(directory, case)
    try:
        journal = prepare(location, case)
        generator = Generator(location.path, has_bge=len(case.names) == 4)
        items = [case.new(number) for number in range(additions)]
        steps = serve_steps(generator, items)
        exchanging, done = exchanges(location, journal), 0
        settled = False
        for place, before in enumerate(schedule.ours):
            for _ in range(before - done):
                next(steps)
            done = before
            if place < len(journal.files):
                next(exchanging)
            else:
                settled = reconcile_now(location)
        for _ in range(schedule.lives - done):
            next(steps)
        # To let go of the iterator here is the generator's death.
        del steps
        if schedule.reborn:
            generator = Generator(location.path, has_bge=len(case.names) == 4)
            generator.add(case.new(additions))
        if not settled and not reconcile_now(location):
            assert reconcile_now(location)
        assert not leave_open(location)
        return read_content(location.path)
    finally:
        shutil.rmtree(directory)


def check_living(case: Case, additions: int, schedule: Schedule, directory: Path) -> None:
    """Every line is there, in order, and has its own vectors."""
    found = play(case, additions, schedule, directory)
    assert found == expected_content(case, tuple(case.new(number) for number in range(additions))), schedule


def check_dead(case: Case, additions: int, schedule: Schedule, directory: Path) -> None:
    """Every line is there; the last may lack vectors, from some array on; what is there are its own, or zeros.

    Zeros only where the array was torn, and only for lines that were added.
    """
    found = play(case, additions, schedule, directory)
    whole = expected_content(case, tuple(case.new(number) for number in range(additions)))
    assert found.lines == whole.lines, schedule
    counts = [len(found.rows[name]) for name in case.names[1:]]
    assert counts == sorted(counts, reverse=True), schedule
    was_torn = schedule.lives % STEPS in (3, 6, 9)
    kept = len(case.kept())
    for name in case.names[1:]:
        rows, expected = found.rows[name], whole.rows[name]
        assert len(rows) in (len(expected) - 1, len(expected)), schedule
        for number, (row, own) in enumerate(zip(rows, expected, strict=False)):
            is_zero = was_torn and name == ARRAYS[schedule.lives % STEPS // 3 - 1] and number >= kept
            assert row == own or (is_zero and not any(row)), (schedule, name, number)
