"""Conditions written as a comparison: `quality: "< 0.25"`, `duration: "== 0"`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from audio_cache_daemon.config.scalars import DURATION, DURATION_PATTERN, Scalar, text_schema
from audio_cache_daemon.retention.policy import Compared, Measure, Sign

_SIGN_PATTERN = r"\s*(<=|>=|==|<|>)\s*"
_SCORE_PATTERN = r"-?[0-9]+(\.[0-9]+)?"
_SECONDS_PATTERN = r"[0-9]+(\.[0-9]+)?"


def _comparison(measure: Measure, parse: Callable[[str], float]) -> Callable[[str], Compared]:
    def parse_comparison(text: str) -> Compared:
        match = re.fullmatch(rf"{_SIGN_PATTERN}(.*?)\s*", text)
        if match is None:
            raise ValueError
        return Compared(measure, cast("Sign", match[1]), parse(match[2]))

    return parse_comparison


def _score(text: str) -> float:
    if re.fullmatch(_SCORE_PATTERN, text) is None:
        raise ValueError
    if abs(float(text)) > 1:
        raise ValueError("no score is beyond 1")
    return float(text)


def _length(text: str) -> float:
    return cast("float", DURATION.parse(f"{text}s" if re.fullmatch(_SECONDS_PATTERN, text) else text))


QUALITY = Scalar(
    "quality",
    'one of < <= == >= > and a score from -1 to 1, such as "< 0.25"',
    _comparison("quality", _score),
    text_schema(rf"{_SIGN_PATTERN}{_SCORE_PATTERN}\s*", "< 0.25"),
)
LENGTH = Scalar(
    "length",
    'one of < <= == >= > and seconds, or a duration, such as "== 0" or "> 2m"',
    _comparison("duration", _length),
    text_schema(rf"{_SIGN_PATTERN}({_SECONDS_PATTERN}|{DURATION_PATTERN})\s*", "== 0", "> 2m"),
)
