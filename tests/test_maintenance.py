"""The four steps together: what a run refuses, what it says in the audit log, and what a preview leaves alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from audio_cache_daemon.config.settings import CacheSettings, WriterSettings
from audio_cache_daemon.errors import AuditError, CacheUnreadableError, InconsistentIndexError, UnsafePlanError
from audio_cache_daemon.eviction.memory import save_memory
from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation
from audio_cache_daemon.maintenance import preview_maintenance, run_maintenance
from audio_cache_daemon.model import Plan, RunReport, RunResult
from audio_cache_daemon.reporting.audit_reader import read_records, verify_chain
from audio_cache_daemon.reporting.audit_record import Record, log_files
from audio_cache_daemon.request import Listener, RunRequest, Target
from audio_cache_daemon.retention.policy import InState, Limits, MaxAge, Pattern, Policy, Rule
from audio_cache_daemon.state import load_memory
from builders import NOW, CacheBuilder

POLICY = Policy(
    "drop",
    rules=(Rule("drop", Pattern("drop")), Rule("missing", InState("missing")), Rule("left", InState("leftover"))),
    limits=Limits(None, None),
)


def make_cache(directory: Path) -> CacheBuilder:
    """Three items to be dropped, one of them without its file; three that stay; and a leftover."""
    cache = CacheBuilder(directory)
    for number in range(6):
        cache.add(f"{'drop' if number % 2 else 'keep'} {number}", audio=None if number == 5 else f"{number}".encode())
    cache.add_stray("temp_rain_1700000000000.wav")
    return cache


def target(location: CacheLocation, policy: Policy = POLICY, writer: WriterSettings | None = None) -> Target:
    settings = CacheSettings(location, policy, writer or WriterSettings(mode="stopped"))
    return Target(settings, location.state_directory / "audit.jsonl")


def run(where: Target, planned: Callable[[Plan], None] = lambda _: None, now: float = NOW) -> RunReport:
    """A run; `planned` is called between its plan and its act."""
    return run_maintenance(where, RunRequest(now, "run-1"), lambda: now, Listener(planned=planned))


def tree(directory: Path, *, own: bool) -> dict[str, tuple[object, ...]]:
    """All of a tree: content, owner, mode, inode and time of each path, with `own` also of our own files."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        if own or STATE_DIRECTORY not in path.parts:
            status = path.lstat()
            time = status.st_mtime_ns if own or path.is_file() else 0
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (content, status.st_uid, status.st_gid, status.st_mode, status.st_ino, time)
    return found


def records_of(where: Target) -> list[Record]:
    found = list(read_records(log_files(where.audit_path)))
    records = [record for record in found if isinstance(record, Record)]
    assert records == found
    assert verify_chain(log_files(where.audit_path)) == []
    return records


def test_a_run_evicts_what_its_plan_says_and_counts_it(tmp_path: Path) -> None:
    """Rows, a row without a file, and a leftover: four evictions, and the bytes of the three files."""
    where = target(make_cache(tmp_path).write())
    report = run(where)
    assert report.result == RunResult.SUCCESS, report.error
    assert report.outcome is not None
    assert (report.outcome.evicted, report.outcome.failed) == (4, 0)
    assert report.outcome.bytes_freed == len(b"1") + len(b"3") + len(b"stray")
    assert run(where).result == RunResult.NOOP


def test_each_eviction_has_its_record_and_what_did_not_happen_a_second(tmp_path: Path) -> None:
    """What is announced and then stays is recorded as skipped, under the same id."""
    cache = make_cache(tmp_path)
    where = target(cache.write())
    changed, vanished = (next(cache.output.glob(f"drop_{number}*")) for number in (1, 3))

    def meddle(_: Plan) -> None:
        changed.write_bytes(b"other")
        vanished.unlink()

    report = run(where, meddle)
    assert report.result == RunResult.PARTIAL
    records = records_of(where)
    assert Counter(record.event for record in records) == {
        "run_started": 1,
        "plan": 1,
        "removed": 4,
        "skipped": 2,
        "run_finished": 1,
    }
    announced = {record.item.id for record in records if record.event == "removed" and record.item}
    skipped = {record.item.id: record.error for record in records if record.event == "skipped" and record.item}
    assert len(announced) == 4
    assert skipped.keys() < announced
    assert set(skipped.values()) == {"changed", "gone"}
    assert {record.rule for record in records if record.event == "removed"} == {"drop", "left"}


def test_without_an_audit_log_nothing_is_removed(tmp_path: Path) -> None:
    """The path of the log is a directory: the run fails, and nothing has changed."""
    location = make_cache(tmp_path).write()
    where = target(location)
    where.audit_path.mkdir(parents=True)
    before = tree(tmp_path, own=False)
    report = run(where)
    assert report.result == RunResult.FAILED
    assert isinstance(report.error, AuditError)
    assert tree(tmp_path, own=False) == before


def test_a_limit_refuses_with_nothing_changed(tmp_path: Path) -> None:
    """The report says which, the log too."""
    where = target(make_cache(tmp_path).write(), replace(POLICY, limits=Limits(max_items=2)))
    before = tree(tmp_path, own=False)
    report = run(where)
    assert report.result == RunResult.REFUSED
    assert isinstance(report.error, UnsafePlanError)
    assert [refusal.limit for refusal in report.refusals] == ["max_items"]
    assert report.outcome is None
    assert tree(tmp_path, own=False) == before
    assert "refused" in {record.event for record in records_of(where)}


def test_sentinels_refuse_with_nothing_changed(tmp_path: Path) -> None:
    """A clock before the last run, an index that lost most of its rows, a root without any of its files."""
    cache = make_cache(tmp_path)
    location = cache.write()
    where = target(location, replace(POLICY, rules=(Rule("old", MaxAge(1e9)),)))
    assert run(where).result == RunResult.NOOP
    assert _refusals_of(where, tmp_path, now=NOW - 3600) == ["clock"]
    for path in cache.output.glob("*.wav"):
        path.rename(path.with_suffix(".away"))
    assert _refusals_of(where, tmp_path) == ["root_empty"]
    for path in cache.output.glob("*.away"):
        path.rename(path.with_suffix(".wav"))
    lines = (location.path / "meta.jsonl").read_bytes().splitlines(keepends=True)
    (location.path / "meta.jsonl").write_bytes(b"".join(lines[:2]))
    assert _refusals_of(where, tmp_path) == ["index_shrank"]


def test_a_volume_that_has_another_device_number_is_the_same_by_its_files(tmp_path: Path) -> None:
    """As a network mount after each restart. Another directory, by its inode, is refused, with the same files in it."""
    location = make_cache(tmp_path).write()
    where = target(location, replace(POLICY, rules=(Rule("old", MaxAge(1e9)),)))
    assert run(where).result == RunResult.NOOP
    known = load_memory(location)
    assert known is not None
    ((root, (device, inode)),) = known.roots.items()
    save_memory(location, replace(known, roots={root: (device + 1, inode)}))
    assert run(where).result == RunResult.NOOP
    assert load_memory(location) == known
    save_memory(location, replace(known, roots={root: (device, inode + 1)}))
    assert _refusals_of(where, tmp_path) == ["root_replaced"]


def _refusals_of(where: Target, directory: Path, now: float = NOW) -> list[str]:
    before = tree(directory, own=False)
    report = run(where, now=now)
    assert report.result == RunResult.REFUSED
    assert tree(directory, own=False) == before
    return [refusal.limit for refusal in report.refusals]


def test_audit_mode_plans_and_removes_nothing(tmp_path: Path) -> None:
    """Nothing changes, and nothing is announced as removed."""
    where = target(make_cache(tmp_path).write(), replace(POLICY, mode="audit"))
    before = tree(tmp_path, own=False)
    report = run(where)
    assert report.result == RunResult.SUCCESS
    assert report.plan is not None
    assert len(report.plan.rows) + len(report.plan.strays) == 4
    assert report.outcome is None
    assert tree(tmp_path, own=False) == before
    assert "removed" not in {record.event for record in records_of(where)}


def test_a_preview_takes_no_lock_and_writes_nothing_at_all(tmp_path: Path) -> None:
    """Neither in a cache that we never saw nor in one with a state of ours, not even the time of a directory."""
    location = make_cache(tmp_path).write()
    for _ in range(2):
        before = tree(tmp_path, own=True)
        preview = preview_maintenance(target(location), RunRequest(NOW, "run-0"))
        assert preview.result == RunResult.SUCCESS
        assert tree(tmp_path, own=True) == before
        run(target(location, replace(POLICY, mode="audit")))


def test_a_preview_is_the_plan_that_a_run_carries_out(tmp_path: Path) -> None:
    """The same rows and files, for the same reasons."""
    where = target(make_cache(tmp_path).write())
    preview, report = preview_maintenance(where, RunRequest(NOW, "run-0")), run(where)
    assert preview.plan is not None
    assert report.plan is not None
    assert preview.plan.rows.subject.tolist() == report.plan.rows.subject.tolist()
    assert preview.plan.strays.subject.tolist() == report.plan.strays.subject.tolist()
    assert preview.plan.rows.rule.tolist() == report.plan.rows.rule.tolist()


def test_vectors_of_other_rows_block_a_run_but_not_its_leftovers_alone(tmp_path: Path) -> None:
    """An array of the wrong length: no row can be dropped. Where none is to be, it is in nobody's way."""
    cache = make_cache(tmp_path)
    location = cache.write()
    cache.drop_array_rows("clap_audio.npy")
    before = tree(tmp_path, own=False)
    report = run(target(location))
    assert isinstance(report.error, InconsistentIndexError)
    assert tree(tmp_path, own=False) == before
    leftovers = replace(POLICY, rules=POLICY.rules[2:])
    assert run(target(location, leftovers)).result == RunResult.SUCCESS


def test_a_directory_that_is_no_cache_is_left_as_it_is(tmp_path: Path) -> None:
    """No index: nothing of ours is made there."""
    location = CacheLocation("none", tmp_path, (tmp_path,))
    report = run(target(location))
    assert isinstance(report.error, CacheUnreadableError)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_system_ends_up_in_the_report(tmp_path: Path) -> None:
    """A memory that can't be replaced, of which nobody thought before: a message, no traceback; nothing removed."""
    location = make_cache(tmp_path).write()
    (location.state_directory / "state.json.new" / "x").mkdir(parents=True)
    before = tree(tmp_path, own=False)
    report = run(target(location))
    assert report.result == RunResult.FAILED
    assert "state.json" in str(report.error)
    assert tree(tmp_path, own=False) == before
