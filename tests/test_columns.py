"""Helpers over whole columns say what the obvious set of Python's would."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.columns import are_among, distinct

_few = st.lists(st.integers(-2, 2), max_size=8)


@given(_few)
def test_distinct_values_are_those_of_a_set_in_order(values: list[int]) -> None:
    assert distinct(np.array(values, np.int64)).tolist() == sorted(set(values))


@given(_few, _few)
def test_a_value_is_among_others_exactly_if_a_set_of_them_has_it(values: list[int], others: list[int]) -> None:
    among = are_among(np.array(values, np.int64), np.array(sorted(others), np.int64))
    assert among.tolist() == [value in set(others) for value in values]
