"""The lint of the disk finds what the service could not do there."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from config_files import MINIMAL, Load

from audio_cache_daemon.config.lint import LintFinding
from audio_cache_daemon.config.lint_files import lint_files
from audio_cache_daemon.config.settings import Settings

NOBODY = 65534
SHARED = 54321


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache directory with an index, and an audio root beside it."""
    directory = tmp_path / "cache"
    (tmp_path / "audio").mkdir(mode=0o755)
    directory.mkdir(mode=0o755)
    for name in ("meta.jsonl", "clap_text.npy", "clap_audio.npy"):
        (directory / name).touch(mode=0o644)
    return directory


def _as_stranger(settings: Settings, groups: list[int]) -> list[LintFinding]:
    """What `lint_files` finds for a user who owns nothing, but belongs to `groups`; asked in a process of its own."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(sender, pickle.dumps(lint_files(settings)))
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        findings: list[LintFinding] = pickle.load(pipe)
    os.waitpid(child, 0)
    return findings


def _settings(load: Load, cache: Path, mode: str = "enforce") -> Settings:
    text = f"""
version: 1
caches:
  exhibit: {{path: {cache}, audio_roots: [{cache.parent}/audio], policy: standard, writer: {{mode: stopped}}}}
policies:
  standard: {{mode: {mode}}}
"""
    return load(text)


def _keys(findings: list[LintFinding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.key.removeprefix("caches.exhibit.")) for finding in findings]


def test_a_cache_of_our_own_has_no_findings(load: Load, cache: Path) -> None:
    assert lint_files(_settings(load, cache)) == []


def test_what_is_not_there_yet_is_a_warning(load: Load, tmp_path: Path) -> None:
    findings = lint_files(_settings(load, tmp_path / "absent"))
    assert _keys(findings) == [("warning", "path"), ("warning", "audio_roots[0]")]


def test_a_cache_without_an_index_is_a_warning(load: Load, cache: Path) -> None:
    (cache / "meta.jsonl").unlink()
    assert _keys(lint_files(_settings(load, cache))) == [("warning", "path")]


def test_a_root_that_everyone_can_write_is_a_warning(load: Load, cache: Path) -> None:
    (cache.parent / "audio").chmod(0o1777)
    assert _keys(lint_files(_settings(load, cache))) == [("warning", "audio_roots[0]")]


def test_a_home_directory_as_a_root_is_a_warning(load: Load, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cache.parent / "audio"))
    assert _keys(lint_files(_settings(load, cache))) == [("warning", "audio_roots[0]")]


def test_one_directory_under_two_names_is_an_error(load: Load, cache: Path) -> None:
    (cache.parent / "link").symlink_to(cache)
    text = f"""
version: 1
caches:
  one: {{path: {cache}, policy: standard}}
  two: {{path: {cache.parent}/link, policy: standard}}
policies: {{standard: {{}}}}
"""
    assert [(finding.level, finding.key) for finding in lint_files(load(text))] == [("error", "caches.two.path")]


def test_a_started_file_that_is_not_there_is_a_warning(load: Load, cache: Path) -> None:
    text = f"""
version: 1
caches: {{exhibit: {{path: {cache}, policy: standard, writer: {{started_file: {cache}/started}}}}}}
policies: {{standard: {{}}}}
"""
    assert _keys(lint_files(load(text))) == [("warning", "writer.started_file")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # numpy's threads do nothing here
class TestAsAnotherUser:
    """What a service finds on a cache that isn't its own."""

    @pytest.fixture
    def others(self, cache: Path) -> Path:
        """The cache, reachable for everyone, and of group SHARED."""
        for directory in cache.parents[: len(cache.parents) - 2]:
            directory.chmod(0o755)
        for path in (cache, cache.parent / "audio", *cache.iterdir()):
            os.chown(path, 0, SHARED)
        return cache

    @pytest.mark.parametrize(("mode", "level"), [("enforce", "error"), ("audit", "warning")])
    def test_what_it_cannot_write_is_an_error_for_a_policy_that_removes(
        self, load: Load, others: Path, mode: str, level: str
    ) -> None:
        findings = _as_stranger(_settings(load, others, mode), [])
        assert _keys(findings) == [(level, "path")] * 4 + [(level, "audio_roots[0]")]

    def test_a_shared_group_that_may_write_is_enough(self, load: Load, others: Path) -> None:
        for path in (others, others.parent / "audio", *others.iterdir()):
            path.chmod(path.stat().st_mode | 0o060)
        assert _as_stranger(_settings(load, others), [SHARED]) == []

    def test_a_file_that_could_not_be_given_back_to_its_group_is_an_error(self, load: Load, others: Path) -> None:
        for path in (others, others.parent / "audio", *others.iterdir()):
            path.chmod(0o777)
        findings = _as_stranger(_settings(load, others), [])
        assert _keys(findings) == [("error", "path")] * 3 + [("warning", "audio_roots[0]")]
        assert "the generator couldn't write it" in findings[0].message

    def test_a_directory_that_it_may_not_enter_is_a_warning(self, load: Load, others: Path) -> None:
        others.chmod(0o700)
        findings = _as_stranger(_settings(load, others), [])
        assert _keys(findings)[0] == ("error", "path")

    def test_an_audit_directory_that_it_cannot_make_is_an_error(self, load: Load, others: Path) -> None:
        text = MINIMAL + f"audit: {{dir: {others}/log/audit}}"
        findings = _as_stranger(load(text), [])
        assert ("error", "audit.dir") in _keys(findings)
