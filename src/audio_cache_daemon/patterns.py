"""Regular expressions that operators write, searched in prompts without case, and never able to hang a run.

Syntax is that of Python's `re`; the engine is the `regex` library, because it can be given a time limit.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import regex

SEARCH_SECONDS = 0.2
"""Time limit for one expression on one prompt. A prompt is a sentence; a healthy search takes microseconds."""

_PLAIN_LENGTH = 2000
"""Texts up to this length are searched by plain expressions without a limit: at worst quadratic in it."""


class PatternTimeoutError(Exception):
    """The expression took too long on a text, so whether it matches is not known."""


_BRACE = re.compile(r"\\N\{[^}]*\}|\\.|\{(?!\d*,?\d*\})", re.DOTALL)
"""A brace that begins no repeat; an escape is taken whole, so that its brace isn't one."""


class CompiledPattern(msgspec.Struct, frozen=True):
    """An expression, ready to search. `plain` ones can't take long, so they are spared the limit's cost (3 µs)."""

    expression: str
    plain: bool
    compiled: regex.Pattern[str]

    def matches(self, text: str) -> bool:
        """Whether a match is found anywhere in `text`; PatternTimeoutError when that can't be told in time."""
        if self.plain and len(text) <= _PLAIN_LENGTH:
            return self.compiled.search(text) is not None
        try:
            return self.compiled.search(text, timeout=SEARCH_SECONDS) is not None
        except TimeoutError:
            raise PatternTimeoutError(self.expression) from None


def compile_pattern(expression: str) -> CompiledPattern:
    """Compile an operator's expression; ValueError, with the reason and the place, if it is none."""
    import regex  # noqa: PLC0415 -- 15 ms, and many commands search for nothing

    try:
        with warnings.catch_warnings():
            # Python warns of what it may come to read otherwise, such as [[:alpha:]]; `regex` does so already.
            warnings.simplefilter("error")
            re.compile(expression)
        compiled = regex.compile(_without_fuzziness(expression), regex.IGNORECASE | regex.VERSION0)
    except (re.error, regex.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return CompiledPattern(expression, _is_plain(expression), compiled)


def _without_fuzziness(expression: str) -> str:
    """The expression with each brace escaped that is no repeat: to `regex`, "test{e}" is "any four characters"."""
    return _BRACE.sub(lambda found: r"\{" if found[0] == "{" else found[0], expression)


def _is_plain(expression: str) -> bool:
    """Whether backtracking is bounded: at most one repeat, of a single character, and few groups and options.

    A group that is repeated can match one text in many ways, as (a|aa)+ does. Counted on the text, so that an escaped
    character counts as well: erring towards the time limit.
    """
    repeats = sum(expression.count(character) for character in "*+{")
    if any(f"){character}" in expression for character in "*+{"):
        return False
    return repeats <= 1 and expression.count("(") <= 2 and expression.count("?") <= 2 and len(expression) <= 200
