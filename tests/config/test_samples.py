"""Every configuration file that is shipped is right; every bad sample has exactly the problems that it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import BAD, DEFAULT, SHIPPED, remarks

from audio_cache_daemon.config.lint import lint
from audio_cache_daemon.config.load import load_settings
from audio_cache_daemon.config.problems import ConfigProblem, InvalidConfigError
from audio_cache_daemon.config.settings import HttpSettings
from audio_cache_daemon.retention.policy import Dedupe, DiskMarks, KeepBest, Limits, Marks, Schedule, Share, TrashLimits


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_loads_and_has_no_lint_error(path: Path) -> None:
    settings = load_settings(path, {})
    assert [finding for finding in lint(settings) if finding.level == "error"] == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_sample_has_exactly_the_problems_that_it_names(path: Path) -> None:
    """Each `# expect:` remark is a line (0: the whole file), a key (-: none) and a part of the message."""
    with pytest.raises(InvalidConfigError) as caught:
        load_settings(path, {})
    problems = list(caught.value.problems)
    for remark in remarks(path, "expect"):
        line, key, words = remark.split(" ", 2)
        found = [problem for problem in problems if _is(problem, int(line), key, words)]
        assert found, f"{remark!r} is not among\n{caught.value}"
        problems.remove(found[0])
    assert problems == []


def _is(problem: ConfigProblem, line: int, key: str, words: str) -> bool:
    return ((problem.line or 0), problem.key or "-") == (line, key) and words in str(problem)


def test_the_default_is_the_standard_policy() -> None:
    settings = load_settings(DEFAULT, {})
    policy = settings.policies["standard"]
    assert policy.schedule == Schedule(cron="15 3 * * *", timezone="UTC", jitter=600, catch_up=86400)
    assert policy.protect[2].criterion == KeepBest(1)
    assert [rule.name for rule in policy.rules] == [
        *("stale", "tests", "takes", "same-bytes", "gone", "orphans", "leftovers"),
    ]
    assert policy.rules[2].criterion == Dedupe("prompt", 5, ("quality", "newest"))
    assert policy.budget.size == Marks(20 * 2**30, 16 * 2**30)
    assert policy.budget.disk == DiskMarks(Share(10), Share(15))
    assert policy.limits == Limits(5000, 50)
    assert policy.trash == TrashLimits(7 * 86400, 2 * 2**30)
    assert settings.caches["exhibit"].policy == policy
    assert settings.caches["exhibit"].location.path_map == (("/app/audio", "/srv/experimance/audio"),)
    assert settings.caches["exhibit"].writer.max_wait is None
    assert settings.http == HttpSettings("127.0.0.1", 9843)
