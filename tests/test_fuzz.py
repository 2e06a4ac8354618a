"""A few hundred of the cases that `tests/fuzz.py` makes without end."""

from __future__ import annotations

import pytest

from fuzz import Case, a_world, check_case, fuzz
from fuzz_worlds import STATES, TARGETS


@pytest.mark.parametrize("state", STATES)
def test_the_files_that_are_to_be_mutated_are_there(state: str) -> None:
    """Else the fuzzer would try nothing; unchanged, all commands end well."""
    with a_world() as world:
        world.make(state)
        assert [name for name in TARGETS[state] if not list(world.cache.glob(name))] == []
        check_case(world, Case(state, TARGETS[state][0]))


@pytest.mark.slow
def test_no_mutation_of_a_file_makes_a_command_fail_badly() -> None:
    """No traceback, no hang, a status that is documented, nothing outside touched, and what was to stay is there."""
    with a_world() as world:
        assert fuzz(world, 250) >= 200
