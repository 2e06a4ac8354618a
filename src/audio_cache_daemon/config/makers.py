"""From the keys of a section to the value that they mean, where one key decides what the value is."""

from __future__ import annotations

from typing import Literal

from audio_cache_daemon.config.settings import HttpSettings
from audio_cache_daemon.retention.policy import (
    Broken,
    Compared,
    Criterion,
    Dedupe,
    InState,
    KeepBest,
    KeepNewest,
    MaxAge,
    Pattern,
    Protection,
    ProtectionCriterion,
    Rule,
    SubjectState,
    YoungerThan,
)


def make_rule(  # noqa: PLR0913 - one parameter a key
    *,
    name: str,
    max_age: float | None = None,
    pattern: str | None = None,
    dedupe: Dedupe | None = None,
    state: SubjectState | Literal["broken"] | None = None,
    quality: Compared | None = None,
    duration: Compared | None = None,
    thresholds: Broken = Broken(),  # noqa: B008 - a frozen value
    min_age: float | None = None,
) -> Rule:
    criterion: Criterion
    if max_age is not None:
        criterion = MaxAge(max_age)
    elif dedupe is not None:
        criterion = dedupe
    elif state is not None:
        criterion = thresholds if state == "broken" else InState(state)
    elif (compared := quality or duration) is not None:
        criterion = compared
    else:
        return Rule(name, Pattern(pattern or ""), min_age)
    return Rule(name, criterion, min_age, pattern)


def make_protection(
    name: str,
    age: YoungerThan | None = None,
    pattern: str | None = None,
    keep_best: int | None = None,
    keep_newest: int | None = None,
) -> Protection:
    criterion: ProtectionCriterion
    if age is not None:
        criterion = age
    elif keep_best is not None:
        criterion = KeepBest(keep_best)
    elif keep_newest is not None:
        criterion = KeepNewest(keep_newest)
    else:
        criterion = Pattern(pattern or "")
    return Protection(name, criterion)


def make_http(listen: HttpSettings | None = HttpSettings()) -> HttpSettings | None:  # noqa: B008 - a frozen value
    return listen
