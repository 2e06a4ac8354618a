"""Every order in which the steps of a generator's additions and those of an exchange can follow each other.

On real files, with the real `reconcile`, in quiet afterwards. How many orders there are is printed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from math import comb
from pathlib import Path

import pytest
from exchanges import Case
from interleavings import STEPS, Schedule, check_dead, check_living, deaths, schedules

from endurance import SOAKING

MIDDLE = Case()
AT_END = Case(dropped=frozenset({3}))
RETIRED = Case(dropped=frozenset({2, 3}), is_zeroed=True, qualities=(None, 0.5, 0.4))
TWIN = Case(dropped=frozenset({3}), twin=3)
CASES = {
    "middle": MIDDLE,
    "at_end": AT_END,
    "retired": RETIRED,
    "twin": TWIN,
    "all": Case(dropped=frozenset(range(4))),
    "bge_short": Case(bge=2),
    "bge_one_short": Case(bge=3),
    "bge_known": Case(bge=3, known=3),
    "bge_known_in_part": Case(bge=3, known=2),
    "bge_known_at_end": Case(bge=3, known=3, dropped=frozenset({2, 3})),
    "bge_known_twin": Case(bge=3, known=3, dropped=frozenset({2, 3}), twin=2),
    "bge_known_retired": Case(bge=3, known=3, dropped=frozenset({2}), is_zeroed=True),
    "no_bge": Case(bge=-1),
}

SAMPLE = 29
"""Of orders too many for each run of the suite one in so many is tried: no divisor of anything in their making."""


def check_all(case: Case, additions: int, orders: Iterable[Schedule], directory: Path, *, dies: bool = False) -> int:
    """Try all of these orders; how many they were."""
    count = 0
    for count, schedule in enumerate(orders, start=1):  # noqa: B007 -- the last one is how many there were
        (check_dead if dies else check_living)(case, additions, schedule, directory / "world")
    print(f"{count} orders")  # noqa: T201 -- how much was tried is part of the result
    return count


@pytest.mark.slow
def test_one_addition_around_an_exchange(directory: Path) -> None:
    """All 1001 orders of its ten steps and our four: nothing is lost, all in its order, each with its own vectors."""
    assert check_all(MIDDLE, 1, schedules(MIDDLE, 1), directory) == comb(STEPS + 4, 4)


@pytest.mark.parametrize("case", [AT_END, RETIRED, TWIN], ids=["at_end", "retired", "twin"])
def test_rows_behind_that_could_be_either_s(directory: Path, case: Case) -> None:
    """What was dropped stood at the end, so that the number of rows tells nothing; some of the orders."""
    check_all(case, 1, itertools.islice(schedules(case, 1), 0, None, SAMPLE // 2), directory)


def test_two_additions_around_an_exchange(directory: Path) -> None:
    """Some of the 10626 orders."""
    check_all(MIDDLE, 2, itertools.islice(schedules(MIDDLE, 2), 0, None, 8 * SAMPLE), directory)


def test_a_reconciliation_in_the_midst_of_an_addition(directory: Path) -> None:
    """Some of the 3003 orders in which we don't wait for quiet: one more reconciliation in quiet is enough."""
    check_all(MIDDLE, 1, itertools.islice(schedules(MIDDLE, 1, reconciles=True), 0, None, 2 * SAMPLE), directory)


@pytest.mark.parametrize("name", ["twin", "bge_known_at_end", "bge_known_twin"])
@pytest.mark.parametrize("reconciled", [16, 17, 18])
def test_a_reconciliation_before_a_save_that_content_says_was_made(directory: Path, name: str, reconciled: int) -> None:
    """The last array has an addition's row behind the old ones, and the next is in flight: two rows, or one of each."""
    check_living(CASES[name], 2, Schedule((8, 8, 8, 8, reconciled), 2 * STEPS), directory / "world")


def test_a_death_in_the_midst_of_an_addition(directory: Path) -> None:
    """Some of the 2001 orders in which the generator dies: at most the last line lacks vectors."""
    check_all(MIDDLE, 1, itertools.islice(deaths(MIDDLE, 1), 0, None, SAMPLE), directory, dies=True)


@pytest.mark.slow
@pytest.mark.skipif(not SOAKING, reason="takes an hour; `make soak` runs it")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestExhaustive:
    """All orders of everything above, for all cases."""

    def test_one_addition(self, directory: Path, case: Case) -> None:
        """As above."""
        check_all(case, 1, schedules(case, 1), directory)

    def test_two_additions(self, directory: Path, case: Case) -> None:
        """All 10626 orders."""
        check_all(case, 2, schedules(case, 2), directory)

    def test_a_reconciliation_in_the_midst(self, directory: Path, case: Case) -> None:
        """All 3003 orders of one addition, and some of two."""
        check_all(case, 1, schedules(case, 1, reconciles=True), directory)
        check_all(case, 2, itertools.islice(schedules(case, 2, reconciles=True), 0, None, SAMPLE), directory)

    def test_a_death(self, directory: Path, case: Case) -> None:
        """In the first addition, and in the second."""
        check_all(case, 1, deaths(case, 1), directory, dies=True)
        check_all(case, 2, deaths(case, 2), directory, dies=True)
