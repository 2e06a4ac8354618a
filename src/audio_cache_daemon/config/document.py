"""The configuration file, described once: its keys, what their values look like, what each is for.

Defaults are not repeated here; they are those of the values that the keys fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.config import comparisons, scalars
from audio_cache_daemon.config.makers import make_http, make_protection, make_rule
from audio_cache_daemon.config.scalars import choice
from audio_cache_daemon.config.settings import (
    AuditSettings,
    FirstRunSettings,
    HttpSettings,
    LogSettings,
    WriterSettings,
)
from audio_cache_daemon.config.shapes import Key, ListOf, MapOf, Section
from audio_cache_daemon.retention.policy import (
    Broken,
    Budget,
    Dedupe,
    DiskMarks,
    Limits,
    Marks,
    Policy,
    Schedule,
    TrashLimits,
)


class CacheEntry(msgspec.Struct, frozen=True):
    """A cache as the file has it: its policy is still a name, and its roots may be left out."""

    path: Path
    policy: str
    audio_roots: tuple[Path, ...] = ()
    path_base: Path | None = None
    path_map: Mapping[str, str] = msgspec.field(default_factory=dict)
    writer: WriterSettings = msgspec.field(default_factory=WriterSettings)


class Document(msgspec.Struct, frozen=True):
    """A whole file, read."""

    version: Literal["1"]
    caches: Mapping[str, CacheEntry]
    policies: Mapping[str, Policy]
    audit: AuditSettings = msgspec.field(default_factory=AuditSettings)
    http: HttpSettings | None = msgspec.field(default_factory=HttpSettings)
    log: LogSettings = msgspec.field(default_factory=LogSettings)
    first_run: FirstRunSettings = msgspec.field(default_factory=FirstRunSettings)


_ARGV = ListOf(scalars.TEXT, at_least=1)

_WRITER = Section(
    WriterSettings,
    {
        "mode": Key(choice("live", "stopped"), "Whether the generator may run while the cache is maintained."),
        "release_on": Key(
            choice("restart", "addition"), "What proves that a retired item's file isn't served any more."
        ),
        "unit": Key(scalars.UNIT, "The generator's systemd service; tells when it was started."),
        "started_file": Key(scalars.PATH, "A file that the generator's start touches; tells when it was started."),
        "max_wait": Key(scalars.WAIT, "After this long a retired item's file goes without proof."),
        "quiesce": Key(scalars.DURATION, "How long the index must have been quiet before a compaction."),
        "target_per_prompt": Key(
            scalars.COUNT, "How many takes of a prompt the generator wants; for the thrash check."
        ),
        "stop": Key(_ARGV, "The command that stops the generator before a compaction: its words, run without a shell."),
        "start": Key(_ARGV, "The command that starts it again."),
        "reload": Key(_ARGV, "Instead of stop and start: the command that makes it read the index anew."),
    },
)

_CACHE = Section(
    CacheEntry,
    {
        "path": Key(scalars.PATH, "The directory that holds meta.jsonl and the .npy arrays."),
        "policy": Key(scalars.NAME, "Which of the policies keeps this cache."),
        "audio_roots": Key(ListOf(scalars.PATH, at_least=1), "The trees in which a file may be removed."),
        "path_base": Key(
            scalars.PATH, "What relative paths in rows are relative to: the generator's working directory."
        ),
        "path_map": Key(
            MapOf(scalars.PREFIX, scalars.PREFIX),
            "Directories as the generator sees them, and what they are called here.",
        ),
        "writer": Key(_WRITER, "The generator that fills the cache."),
    },
)

_PROTECTION = Section(
    make_protection,
    {
        "name": Key(scalars.RULE_NAME, "What reports call the protection; unique in the policy."),
        "age": Key(scalars.AGE, "Protects what is younger."),
        "pattern": Key(scalars.PATTERN, "Protects items whose prompt contains a match, in either case."),
        "keep_best": Key(scalars.COUNT, "Protects so many items of each prompt: those of highest quality."),
        "keep_newest": Key(scalars.COUNT, "Protects so many items of each prompt: the newest."),
    },
    exactly_one=("age", "pattern", "keep_best", "keep_newest"),
)

_DEDUPE = Section(
    Dedupe,
    {
        "by": Key(
            choice("prompt", "content", "sound"),
            "What items have in common: the prompt, all bytes, or how they sound.",
        ),
        "keep": Key(scalars.COUNT, "How many items of each group stay."),
        "prefer": Key(
            ListOf(choice("quality", "newest", "oldest", "longest", "diverse")),
            "Which of them stay: compared from left to right, then the newest.",
        ),
        "similarity": Key(scalars.FRACTION, "By sound: how alike an item must be to one that stays, as a cosine."),
        "within": Key(choice("prompt", "cache"), "By sound: whether takes of one prompt are compared, or all items."),
        "diversity": Key(
            scalars.FRACTION,
            "What being unlike the others counts for, beside quality, when diverse takes are preferred.",
        ),
    },
)

_THRESHOLDS = Section(
    Broken,
    {
        "shorter_than": Key(scalars.FRACTION, "Cut short: less than this share of the duration that the row tells."),
        "quieter_than": Key(scalars.LEVEL, "Silent: no sample is louder than this."),
        "clipped_over": Key(scalars.FRACTION, "Clipped through: more than this share of the samples is at full scale."),
    },
)

_RULE = Section(
    make_rule,
    {
        "name": Key(scalars.RULE_NAME, "What reports, metrics and the audit log call the rule; unique in the policy."),
        "max_age": Key(scalars.DURATION, "Selects items older than this."),
        "pattern": Key(
            scalars.PATTERN,
            "Selects items whose prompt contains a match, in either case; narrows a criterion that it stands beside.",
        ),
        "dedupe": Key(_DEDUPE, "Selects all but the best of each group of items."),
        "state": Key(
            choice("missing", "orphan", "leftover", "broken"),
            "Selects rows without a file (missing), files without a row (orphan), temporary files (leftover), audio "
            "that nobody can listen to (broken).",
        ),
        "quality": Key(comparisons.QUALITY, "Selects items whose quality score compares so."),
        "duration": Key(
            comparisons.LENGTH, "Selects items whose length in seconds compares so; 0 is one that is unknown."
        ),
        "thresholds": Key(_THRESHOLDS, "From when on audio is broken, where the defaults don't fit."),
        "min_age": Key(scalars.DURATION, "Narrows any criterion to what is older than this."),
    },
    exactly_one=("max_age", "pattern", "dedupe", "state", "quality", "duration"),
    may_join=("pattern",),
    only_beside={"thresholds": ("state", "broken")},
)

_SCHEDULE = Section(
    Schedule,
    {
        "cron": Key(scalars.CRON, "At these times. Not both a day of the month and a weekday; 0 and 7 are Sunday."),
        "every": Key(scalars.INTERVAL, "So often, counted from the epoch, not from the daemon's start."),
        "timezone": Key(scalars.TIMEZONE, "The zone of the cron line."),
        "jitter": Key(scalars.DURATION, "Each run is put off by a random time up to this."),
        "catch_up": Key(
            scalars.DURATION, "A run that was missed by less than this is made up for at the daemon's start."
        ),
    },
    exactly_one=("cron", "every"),
)


def _marks(kind: scalars.Scalar, more: str) -> Section:
    return Section(
        Marks,
        {
            "high": Key(kind, f"Evict only when the cache holds {more} than this."),
            "low": Key(kind, "Then evict until it is down to this."),
        },
    )


_DISK = Section(
    DiskMarks,
    {
        "min_free": Key(scalars.FREE_SPACE, "Evict only when less than this is free on the disk."),
        "resume_free": Key(scalars.FREE_SPACE, "Then evict until this much is free."),
    },
)

_BUDGET = Section(
    Budget,
    {
        "size": Key(_marks(scalars.SIZE, "more bytes"), "What the cache may take up on disk."),
        "items": Key(_marks(scalars.COUNT, "more items"), "How many items the cache may hold."),
        "disk": Key(_DISK, "How much of the file system is to stay free."),
        "evict": Key(choice("oldest", "lowest_quality", "largest"), "Which items go first."),
    },
)

_LIMITS = Section(
    Limits,
    {
        "max_items": Key(scalars.COUNT_OR_NONE, "The most items that one run may evict."),
        "max_percent": Key(
            scalars.PERCENT_OR_NONE, "The largest share of the rows, or of the audio bytes, that one run may evict."
        ),
    },
)

_TRASH = Section(
    TrashLimits,
    {
        "keep": Key(scalars.RETENTION, "How long an evicted item can be brought back; 0 removes for good at once."),
        "max_size": Key(scalars.SIZE_OR_NONE, "How much the trash may hold; beyond it the oldest goes."),
    },
)

_POLICY = Section(
    partial(Policy, ""),  # its name is the key that it stands under
    {
        "mode": Key(choice("enforce", "audit"), "enforce removes; audit only reports what it would remove."),
        "schedule": Key(_SCHEDULE, "When the policy runs."),
        "protect": Key(ListOf(_PROTECTION), "What nothing may select, whatever the pressure."),
        "rules": Key(ListOf(_RULE), "What goes. In order: the first rule that selects an item owns it."),
        "budget": Key(_BUDGET, "What the cache may take up, judged on what the rules left."),
        "limits": Key(_LIMITS, "How much one run may evict: rules that ask for more are refused, the budget is cut."),
        "trash": Key(_TRASH, "How long evicted items can be brought back."),
    },
)

_AUDIT = Section(
    AuditSettings,
    {
        "dir": Key(scalars.PATH, "The directory of the audit logs, one file a cache.", "directory"),
        "prompts": Key(choice("full", "omit"), "Whether the audit log holds prompts, and file names made from them."),
    },
)

_LOG = Section(
    LogSettings,
    {
        "level": Key(choice("debug", "info", "warning", "error"), "The least that is logged."),
        "format": Key(choice("auto", "text", "json"), "auto is coloured text on a terminal and JSON elsewhere."),
    },
)

_FIRST_RUN = Section(
    FirstRunSettings,
    {
        "confirm_above": Key(
            scalars.PERCENT_OR_NONE, "A first run that would evict more of the cache waits for accept-policy."
        )
    },
)

_HTTP = Section(
    make_http, {"listen": Key(scalars.LISTEN_OR_NONE, "The address of metrics, health and status; read only.")}
)

DOCUMENT = Section(
    Document,
    {
        "version": Key(scalars.VERSION, "The version of this format."),
        "caches": Key(MapOf(scalars.NAME, _CACHE), "The caches to look after, by a name of your choice."),
        "policies": Key(MapOf(scalars.NAME, _POLICY), "How caches are kept, by a name of your choice."),
        "audit": Key(_AUDIT, "The audit log."),
        "http": Key(_HTTP, "The daemon's HTTP server."),
        "log": Key(_LOG, "The daemon's log."),
        "first_run": Key(_FIRST_RUN, "What the daemon lets a new or changed policy do unasked."),
    },
)
