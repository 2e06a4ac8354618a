"""Operators' regular expressions: Python's, without case, and in bounded time."""

from __future__ import annotations

import re
import string
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audio_cache_daemon.patterns import SEARCH_SECONDS, PatternTimeoutError, compile_pattern

PIECES = st.sampled_from(
    [
        *"abeis01{}()[]?*+|^$.,:<=-&~! ",
        r"\b",
        r"\d",
        r"\w",
        r"\{",
        r"\}",
        r"\]",
        r"\\",
        "(?:",
        "(?=",
        "(?!",
        "{e}",
        "{1}",
    ]
)
TEXTS = ("", "a", "b", "A{E}", "{", "}", "1a", "[a]", "ba-c", "a&b~", "aab", "0,1:", "basis e", "a b\\", "foo <bar>")


@given(st.lists(PIECES, min_size=1, max_size=7).map("".join))
def test_an_expression_means_what_it_means_in_python(expression: str) -> None:
    """The engine has a syntax of its own beyond Python's, which must not show."""
    try:
        expected = re.compile(expression, re.IGNORECASE)
    except (re.error, FutureWarning):
        assume(False)  # noqa: FBT003 - hypothesis' way to say: another one
    pattern = compile_pattern(expression)
    assert [pattern.matches(text) for text in TEXTS] == [expected.search(text) is not None for text in TEXTS]


@pytest.mark.parametrize("expression", ["test{e}", "(?:sound){i<=3}", "a{s}", "x{e", r"\\{e}", "[{]e{d}"])
def test_braces_that_are_no_repeat_are_braces(expression: str) -> None:
    """To the engine they say "or anything near it", which would match all prompts."""
    assert not compile_pattern(expression).matches("an innocent prompt")


@pytest.mark.parametrize("text", ["TEMP", "a Temp b", "temp\nx", "ÄTEMP-"])
def test_an_expression_is_searched_anywhere_and_without_case(text: str) -> None:
    """As the seed's remove-pattern does."""
    assert compile_pattern(r"temp\b").matches(text)


def test_a_named_character_is_one() -> None:
    """Its braces are part of the escape."""
    assert compile_pattern(r"a\N{EM DASH}b").matches("A—b")


@pytest.mark.parametrize(
    "expression",
    ["(", "a**", "[", r"\p{L}", r"\K", "(?<x>a)", "(?R)", "a(?i)", "[[:alpha:]]", "[a--b]", r"a{99999999999}"],
)
def test_what_python_refuses_or_warns_of_is_refused(expression: str) -> None:
    """As ValueError with a reason; also where the engine would take it, or read it another way."""
    with pytest.raises(ValueError, match=r"not a regular expression: ."):
        compile_pattern(expression)


@given(st.text(string.printable, max_size=8))
def test_no_text_raises_anything_but_a_value_error(expression: str) -> None:
    """Configuration is checked with this."""
    try:
        compile_pattern(expression)
    except ValueError as error:
        message = str(error)
    else:
        return
    assert "not a regular expression" in message


@pytest.mark.parametrize("expression", ["(a|aa)+b", "(a?a?)+$", r"(\w+\s?)*\d$", "(a|a)*$"])
def test_a_catastrophic_expression_gives_up(expression: str) -> None:
    """With an error of its own: whether it matches is not known, which is not the same as no."""
    begin = time.perf_counter()
    with pytest.raises(PatternTimeoutError):
        compile_pattern(expression).matches("a" * 1900 + "!")
    assert time.perf_counter() - begin < 20 * SEARCH_SECONDS


@pytest.mark.parametrize("expression", ["a*", "a+$", ".*b", r"\s+x", "a{1,50}b", "(a|b)a+?c?"])
def test_a_plain_expression_is_quick_on_the_longest_text_that_it_sees_without_a_limit(expression: str) -> None:
    """What is spared the time limit must not need it."""
    pattern = compile_pattern(expression)
    assert pattern.plain
    begin = time.perf_counter()
    pattern.matches("a" * 2000)
    assert time.perf_counter() - begin < 20 * SEARCH_SECONDS
