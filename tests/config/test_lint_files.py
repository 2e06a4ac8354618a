"""The lint of the disk finds what the service could not do there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from config_files import MINIMAL, Load

from audio_cache_daemon.config.lint import LintFinding
from audio_cache_daemon.config.lint_files import lint_files
from audio_cache_daemon.config.settings import Settings
from audio_cache_daemon.location import STATE_DIRECTORY
from audio_cache_daemon.own_files import UNKNOWN_GROUP
from tools import with_mounts

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


def _as_stranger(settings: Settings, groups: list[int], group: int = NOBODY) -> list[LintFinding]:
    """What `lint_files` finds for a user who owns nothing, but belongs to `groups`; asked in a process of its own."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(group)
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


@pytest.mark.parametrize("kind", ["a file", "a link"])
@pytest.mark.parametrize("below", ["", "trash"])
@pytest.mark.parametrize("place", ["cache", "audio"])
def test_what_is_in_the_way_of_our_directories_is_an_error(
    load: Load, cache: Path, place: str, below: str, kind: str
) -> None:
    path = cache.parent / place / STATE_DIRECTORY / below
    path.parent.mkdir(exist_ok=True)
    path.touch() if kind == "a file" else path.symlink_to(cache)
    (finding,) = lint_files(_settings(load, cache))
    assert (finding.level, finding.key) == (
        "error",
        f"caches.exhibit.{'path' if place == 'cache' else 'audio_roots[0]'}",
    )
    assert f"{path} is in the way" in finding.message


def test_a_trash_on_another_file_system_is_an_error(load: Load, cache: Path) -> None:
    trash = cache.parent / "audio" / STATE_DIRECTORY / "trash"
    trash.mkdir(parents=True)
    settings = _settings(load, cache)
    code = "import pickle, sys; from audio_cache_daemon.config.lint_files import lint_files;"
    code += "print([finding.message for finding in lint_files(pickle.loads(sys.stdin.buffer.read()))])"
    command = [*with_mounts(f"mount -t tmpfs none {trash}"), sys.executable, "-c", code]
    done = subprocess.run(command, input=pickle.dumps(settings), capture_output=True, check=True)
    assert f"{trash} is on another file system than" in done.stdout.decode()


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

    def test_a_group_that_a_sandbox_hides_is_no_shared_one(self, load: Load, others: Path) -> None:
        """With PrivateUsers= all groups but the unit's own look like this one, so no file can be given to it."""
        for path in (others, others.parent / "audio", *others.iterdir()):
            os.chown(path, 1234, UNKNOWN_GROUP)
            path.chmod(path.stat().st_mode | 0o2060)
        findings = _as_stranger(_settings(load, others), [UNKNOWN_GROUP], group=23456)
        assert _keys(findings) == [("error", "path")] * 3

    def test_a_directory_that_it_may_not_enter_is_a_warning(self, load: Load, others: Path) -> None:
        others.chmod(0o700)
        findings = _as_stranger(_settings(load, others), [])
        assert _keys(findings)[0] == ("error", "path")

    def test_directories_below_a_root_that_it_cannot_write_are_named(self, load: Load, others: Path) -> None:
        root = others.parent / "audio"
        for path in (others, root, *others.iterdir()):
            path.chmod(path.stat().st_mode | 0o2060)
        for name, mode in (("closed", 0o700), ("closed/inner", 0o700), ("listed", 0o755), ("sticky", 0o1777)):
            (root / name).mkdir()
            (root / name).chmod(mode)
        findings = _as_stranger(_settings(load, others), [SHARED])
        assert _keys(findings) == [("warning", "audio_roots[0]")] * 2
        assert "closed and 1 more can't be written" in findings[0].message
        assert "sticky keeps other users' files" in findings[1].message

    def test_index_files_that_a_sticky_directory_holds_are_an_error(self, load: Load, others: Path) -> None:
        for path in (others, others.parent / "audio", *others.iterdir()):
            path.chmod(path.stat().st_mode | 0o060)
        others.chmod(0o3775)
        findings = _as_stranger(_settings(load, others), [SHARED])
        assert _keys(findings) == [("error", "path")] * 3
        assert "can't put a new one in its place" in findings[0].message

    @pytest.mark.parametrize("below", ["", "trash"])
    def test_state_that_somebody_else_made_by_hand_is_an_error(self, load: Load, others: Path, below: str) -> None:
        root = others.parent / "audio"
        for path in (others, root, *others.iterdir()):
            path.chmod(path.stat().st_mode | 0o2060)
        made = root / STATE_DIRECTORY / below
        made.mkdir(parents=True)
        for path in (root / STATE_DIRECTORY, made):
            os.chown(path, 0, SHARED)
            path.chmod(0o2770)
        made.chmod(0o755)
        findings = _as_stranger(_settings(load, others), [SHARED])
        assert _keys(findings) == [("error", "audio_roots[0]")]
        assert f"{made} is user 0's" in findings[0].message

    def test_a_shared_directory_without_setgid_is_a_warning(self, load: Load, others: Path) -> None:
        for path in (others, others.parent / "audio", *others.iterdir()):
            os.chown(path, 1234, SHARED)
            path.chmod(path.stat().st_mode | 0o060)
        findings = _as_stranger(_settings(load, others), [SHARED])
        assert _keys(findings) == [("warning", "path"), ("warning", "audio_roots[0]")]
        assert "chmod g+s" in findings[0].message
        assert "UMask=0002" in findings[0].message

    def test_an_audit_directory_that_it_cannot_make_is_an_error(self, load: Load, others: Path) -> None:
        text = MINIMAL + f"audit: {{dir: {others}/log/audit}}"
        findings = _as_stranger(load(text), [])
        assert ("error", "audit.dir") in _keys(findings)
