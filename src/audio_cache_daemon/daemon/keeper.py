"""One cache in the daemon's care: looked at, run, and remembered. All of it in the runner's thread."""

from __future__ import annotations

import time
from contextlib import suppress

from msgspec.structs import replace

from audio_cache_daemon.daemon.chronicle import Chronicle
from audio_cache_daemon.daemon.first_run import describe_first_run, evicted_percent, policy_hash, whole_hash
from audio_cache_daemon.daemon.household import Household
from audio_cache_daemon.daemon.log import LOG, fields
from audio_cache_daemon.daemon.look import Look, MarkReading
from audio_cache_daemon.daemon.measures import counted_rules
from audio_cache_daemon.daemon.notes import (
    Awaiting,
    LastRun,
    Loaded,
    Standing,
    load_accepted,
    load_pause,
    load_standing,
    save_standing,
)
from audio_cache_daemon.daemon.restart import RestartWatch
from audio_cache_daemon.daemon.tally import Tally
from audio_cache_daemon.daemon.view import View
from audio_cache_daemon.daemon.words import describe_run, describe_vanished, run_numbers
from audio_cache_daemon.daemon.work import Work
from audio_cache_daemon.errors import InconsistentIndexError, MaintenanceError
from audio_cache_daemon.location import META_NAME
from audio_cache_daemon.maintenance import preview_maintenance, run_maintenance
from audio_cache_daemon.model import Plan, RunReport, RunResult
from audio_cache_daemon.request import Listener, RunRequest, Target, new_run_id
from audio_cache_daemon.retention.policy import MaxAge, Policy, YoungerThan
from audio_cache_daemon.units import format_duration, format_time

_DONE = frozenset({RunResult.SUCCESS, RunResult.NOOP, RunResult.PARTIAL})
_SAID_LOUDLY = frozenset({RunResult.PARTIAL, RunResult.REFUSED, RunResult.DEFERRED, RunResult.LOCKED})

_ATTEMPTS = 4
"""So often a run is tried again that fails because an item is being added: within half a minute it is through."""


class Keeper:
    """Keeps one cache. `confirm_above` is the share of it, in percent, that a policy may take unasked at first."""

    def __init__(self, target: Target, confirm_above: float | None, house: Household) -> None:
        self._house = house
        self.restarts = RestartWatch()
        self.view = View(target.settings.location)
        self._missing_before: int | None = None
        self._settled: dict[str, MarkReading] | None = None
        self._pressed = float("-inf")
        self._problems: tuple[str, ...] = ()
        self.last_look: Look | None = None
        self.has_looked = False
        self.target = target
        self.tally = Tally(target.settings.location, counted_rules(target.settings.policy))
        self.chronicle = Chronicle(target.settings.location)
        self.standing = self._recall()
        self.take_over(target, confirm_above)

    def take_over(self, target: Target, confirm_above: float | None) -> None:
        """Go on under another configuration."""
        policy = target.settings.policy
        self.target = target
        self._confirm_above = confirm_above
        self.policy_hash = policy_hash(target)
        self._settled = None
        self.tally.take_over(counted_rules(policy))
        if self.standing.loaded is None or self.standing.loaded.hash != whole_hash(policy):
            self._remember(replace(self.standing, loaded=Loaded(whole_hash(policy), time.time())))

    @property
    def problems(self) -> tuple[str, ...]:
        """What the last look found to be wrong."""
        return self._problems

    @property
    def name(self) -> str:
        return self.target.settings.location.name

    def look(self, *, at_everything: bool = False) -> None:
        """Look at the cache, and see to what is found."""
        try:
            look = self.view.look_at_everything(self.target) if at_everything else self.view.look(self.target)
        except (MaintenanceError, OSError) as error:
            # What was seen last is still the best that is known.
            self._say_problems((str(error),))
            self.has_looked = True
            return
        if at_everything:
            self.tally.count_scan(look.seconds)
        self._say_problems(look.problems)
        if look.is_whole:
            self._note_missing(look.statistics.missing)
        self._take_in(look)
        items = look.statistics.items
        LOG.debug("%s: looked: %d items in %.3f s", self.name, items, look.seconds, extra=fields(cache=self.name))
        self._press_if_crossed(look)

    def _take_in(self, look: Look) -> None:
        # Other threads read at any moment: who sees a look finds it counted, and who sees that there was one finds it.
        self.tally.count_look(look)
        self.chronicle.note_look(look)
        self.last_look = look
        self.has_looked = True

    def _note_missing(self, missing: int) -> None:
        """Files of items that are missing, and weren't at the last look, were taken by somebody else."""
        vanished = self._missing_before is not None and max(0, missing - self._missing_before)
        self._missing_before = missing
        if vanished:
            self.tally.count_vanished(vanished)
            before = self.standing
            self._remember(replace(before, vanished=before.vanished + vanished, vanishings=before.vanishings + 1))
            LOG.warning("%s: %s", self.name, describe_vanished(vanished, self.standing), extra=fields(cache=self.name))

    def _press_if_crossed(self, look: Look) -> None:
        """Ask for a run when marks are crossed, and not as the last run had to leave them."""
        crossed = look.crossed()
        if not crossed or not look.is_whole:
            return
        settled = self._settled or {}
        if not any(name not in settled or mark.is_worse_than(settled[name]) for name, mark in crossed.items()):
            return
        wait = self._pressed + self._house.pace.pressure_gap - time.monotonic()
        if wait > 0:
            self._house.queue.put(Work("look", self.name), wait)
            return
        self._pressed = time.monotonic()
        words = "; ".join(map(str, crossed.values()))
        LOG.info("%s: above its marks: %s", self.name, words, extra=fields(cache=self.name))
        self._house.queue.put(Work("pressure", self.name))

    def run(self, work: Work) -> None:
        """One pass of the policy, unless something holds it back; what does is said."""
        if self._is_held_back(work):
            return
        decode_for = self._house.pace.decode if work.kind != "pressure" else 0.0  # that can't wait
        request = RunRequest(time.time(), new_run_id(time.time()), work.kind, "daemon", decode_for=decode_for)
        # Not held beside what the run finds; and the events of what that does may still be on their way after it.
        self.view.forget()
        if not self._may_begin(request):
            self._settle()
            return
        report = run_maintenance(self.target, request, time.time, self._listener(request))
        if report.result == RunResult.LOCKED or self._may_be_in_flight(work, report):
            self._try_later(work, report)
            return
        if report.plan is not None and not report.refusals:
            self._note_missing(int(report.plan.inventory.rows.missing().sum()))
        self._conclude(request, report)
        capped = bool(report.plan and report.plan.capped)
        del report
        if not self._house.stopping.is_set():
            self._settle(goes_on=capped)

    def _settle(self, *, goes_on: bool = False) -> None:
        """See how a run left the cache: what it couldn't help isn't tried again until it got worse."""
        with suppress(MaintenanceError, OSError):
            look = self.view.look(self.target)
            self._take_in(look)
            self._missing_before = look.statistics.missing
            self._settled = None if goes_on else look.crossed()

    def _is_held_back(self, work: Work) -> bool:
        said = fields(cache=self.name, trigger=work.kind)
        if self._house.clock.has_jumped():
            self._house.queue.put(work, 2 * self._house.pace.tick)
            return True
        try:
            pause = load_pause(self.target.settings.location)
        except MaintenanceError as error:
            LOG.error("%s: %s: not run, it may be paused: %s", self.name, work.kind, error, extra=said)
            return True
        if pause.holds(time.time()):
            until = f"until {format_time(pause.until)}" if pause.until is not None else "until `resume`"
            LOG.info("%s: %s: not run, it is paused %s", self.name, work.kind, until, extra=said)
            return True
        unsettled = self._house.clock.seconds_unsettled()
        if unsettled and asks_for_ages(self.target.settings.policy):
            words = "not run, the clock jumped ahead and its policy goes by age; it is due again in"
            LOG.warning("%s: %s: %s %s", self.name, work.kind, words, format_duration(unsettled), extra=said)
            self._house.queue.put(work, unsettled + 1)
            return True
        return False

    def _may_begin(self, request: RunRequest) -> bool:
        """Whether the policy ran before, was accepted, or takes little: else it waits to be accepted."""
        settings = self.target.settings
        if settings.policy.mode == "audit" or self._confirm_above is None or self.standing.policy == self.policy_hash:
            return True
        if self.policy_hash in self._accepted():
            return True
        report = preview_maintenance(self.target, request, self._listener(request))
        if report.plan is None:
            self._conclude(request, report)
            return False
        if report.refusals or evicted_percent(report.plan) <= self._confirm_above:
            return True
        words = describe_first_run(report.plan)
        self._remember(replace(self.standing, awaiting=Awaiting(self.policy_hash, words)))
        LOG.warning(
            "%s: %s: the policy %s is new, and would evict %s. If that is right: audio-cache-daemon accept-policy %s",
            self.name, request.trigger, settings.policy.name, words, self.policy_hash,
            extra=fields(cache=self.name, trigger=request.trigger, awaiting=self.policy_hash),
        )  # fmt: skip
        return False

    def _accepted(self) -> frozenset[str]:
        try:
            return load_accepted(self.target.settings.location)
        except MaintenanceError as error:
            LOG.warning("%s: %s", self.name, error, extra=fields(cache=self.name))
            return frozenset()

    def _may_be_in_flight(self, work: Work, report: RunReport) -> bool:
        """Whether a run failed for what the generator may just be adding: lines and vectors don't match then."""
        is_live = self.target.settings.writer.mode == "live"
        return is_live and isinstance(report.error, InconsistentIndexError) and work.attempt < _ATTEMPTS

    def _try_later(self, work: Work, report: RunReport) -> None:
        self.tally.count_run(report, work.kind)
        delay = min(self._house.pace.retry * 2**work.attempt, self._house.pace.longest_retry)
        self._house.queue.put(Work(work.kind, work.cache, work.attempt + 1), delay)
        words = f"{report.error}; it is tried again in {format_duration(delay)}"
        LOG.warning("%s: %s: %s", self.name, work.kind, words, extra=fields(cache=self.name, trigger=work.kind))

    def _conclude(self, request: RunRequest, report: RunReport) -> None:
        """Count how a run ended, remember it, and say so in a line: who reads it finds it remembered."""
        self.tally.count_run(report, request.trigger)
        words = describe_run(report)
        self.chronicle.note_run(report, request.trigger, words)
        level = LOG.error if report.result == RunResult.FAILED else LOG.info
        level = LOG.warning if report.result in _SAID_LOUDLY else level
        said = fields(cache=self.name, run=report.run, trigger=request.trigger, **run_numbers(report))
        now = time.time()
        standing = replace(
            self.standing, last_run=LastRun(report.run, request.trigger, now, report.result.value, words)
        )
        if report.result in _DONE:
            standing = replace(standing, policy=self.policy_hash, last_success=now, awaiting=None)
        self._remember(standing)
        level("%s: %s: %s", self.name, request.trigger, words, extra=said)

    def _listener(self, request: RunRequest) -> Listener:
        said = fields(cache=self.name, run=request.run, trigger=request.trigger)

        def progress(step: str, done: int, total: int | None) -> None:
            self._house.pulse.beat("runner", self._house.pace.stale_run)
            if total is None or done % max(1, total // 10) == 0:
                LOG.debug("%s: %s %s of %s", self.name, step, done, total or "all", extra=said)

        def planned(plan: Plan) -> None:
            LOG.debug("%s: planned %d evictions", self.name, len(plan.rows) + len(plan.strays), extra=said)

        return Listener(progress, planned, self._house.stopping.is_set)

    def _recall(self) -> Standing:
        location = self.target.settings.location
        try:
            standing = load_standing(location)
        except MaintenanceError as error:
            LOG.warning("%s: %s", self.name, error, extra=fields(cache=self.name))
            standing = None
        if standing is not None:
            return standing
        fresh = Standing(since=time.time())
        self._remember(fresh)
        return fresh

    def _remember(self, standing: Standing) -> None:
        self.standing = standing
        location = self.target.settings.location
        # Where no index is there is no cache: perhaps its volume isn't mounted, and its mount point is not ours.
        if not (location.path / META_NAME).exists():
            return
        try:
            save_standing(location, standing)
        except MaintenanceError as error:
            LOG.warning("%s: %s", self.name, error, extra=fields(cache=self.name))

    def _say_problems(self, problems: tuple[str, ...]) -> None:
        """Say what is wrong when it begins, and when it is over."""
        for problem in problems:
            if problem not in self._problems:
                LOG.warning("%s: %s", self.name, problem, extra=fields(cache=self.name))
        if self._problems and not problems:
            LOG.info("%s: all is well again", self.name, extra=fields(cache=self.name))
        self._problems = problems


def asks_for_ages(policy: Policy) -> bool:
    """Whether a policy goes by the age of things, so that a wrong clock would make it take what it should keep."""
    by_rule = any(isinstance(rule.criterion, MaxAge) or rule.min_age is not None for rule in policy.rules)
    return by_rule or any(isinstance(protection.criterion, YoungerThan) for protection in policy.protect)
