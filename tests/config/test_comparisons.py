"""`quality` and `duration` are written as a sign and a limit."""

from __future__ import annotations

import pytest
from config_files import MINIMAL, Load

from audio_cache_daemon.config.problems import InvalidConfigError
from audio_cache_daemon.retention.policy import Compared, Criterion

UNDERSTOOD = {
    'quality: "< 0.25"': Compared("quality", "<", 0.25),
    "quality: <0.25": Compared("quality", "<", 0.25),
    'quality: " >=  -0.5 "': Compared("quality", ">=", -0.5),
    'quality: "== 1"': Compared("quality", "==", 1),
    'duration: "== 0"': Compared("duration", "==", 0),
    'duration: "<= 4.5"': Compared("duration", "<=", 4.5),
    'duration: "> 2m"': Compared("duration", ">", 120),
    'duration: "> 1m30s"': Compared("duration", ">", 90),
}
REFUSED = ["quality: 0.25", 'quality: "0.25"', 'quality: "< 1.1"', 'quality: "< 25%"', 'quality: "= 0.2"']
REFUSED += ['quality: "< nan"', 'quality: "<"', 'duration: "< -1"', 'duration: "!= 0"', 'duration: "< 1 fortnight"']


def _criterion(load: Load, condition: str) -> Criterion:
    settings = load(MINIMAL.replace("standard: {}", f"standard: {{rules: [{{name: a, {condition}}}]}}"))
    return settings.policies["standard"].rules[0].criterion


@pytest.mark.parametrize(("condition", "criterion"), UNDERSTOOD.items(), ids=UNDERSTOOD)
def test_a_comparison_is_a_sign_and_a_limit(load: Load, condition: str, criterion: Compared) -> None:
    assert _criterion(load, condition) == criterion


@pytest.mark.parametrize("condition", REFUSED)
def test_what_is_no_comparison_is_refused_with_an_example(load: Load, condition: str) -> None:
    with pytest.raises(InvalidConfigError, match=r'expected .*such as "'):
        _criterion(load, condition)
