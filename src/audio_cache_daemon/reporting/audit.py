"""The audit log: says what is about to be removed before it is removed, and what happened, for good.

One JSON Lines file a cache. Each line holds the SHA-256 of the line before it, so that an edited, missing or
reordered line is found; where the log ends (`head`) is published elsewhere, so that a cut tail is found too.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import TracebackType
from typing import Literal, Self, TypeAlias, TypedDict, Unpack

import msgspec
from msgspec import structs

from audio_cache_daemon.errors import AuditError
from audio_cache_daemon.reporting.audit_file import ChainFile
from audio_cache_daemon.reporting.audit_record import (
    ROTATED_EVENT,
    AuditItem,
    AuditReason,
    Head,
    Record,
    format_instant,
)

Prompts: TypeAlias = Literal["full", "omit"]

MAX_FILE_BYTES = 64 * 2**20
"""A larger file is renamed and a new one begun: about 100,000 records, small enough for an editor."""


class AuditContext(msgspec.Struct, frozen=True):
    """What all records of a run share. `actor` is who asked for it, `config` the hash of the configuration."""

    run: str | None = None
    cache: str | None = None
    trigger: str | None = None
    actor: str | None = None
    mode: str | None = None
    config: str | None = None


_LONG = 2000
"""Records that are worth a wait for the disk: a megabyte in memory."""


class AuditFields(TypedDict, total=False):
    """What one record says beyond its context. `detail` must hold no prompts and no file names made from them."""

    rule: str | None
    reason: AuditReason | None
    item: AuditItem | None
    error: str | None
    detail: Mapping[str, object] | None


class AuditLog:
    """A cache's audit log, open for appending. The caller holds the cache's lock when it opens it or flushes.

    Nothing is said until `flush` returned: records that a failed flush or `close` dropped announced removals
    that must not happen; the next successful flush records how many a failed one dropped (`records_lost`).
    """

    def __init__(self, file: ChainFile, prompts: Prompts, clock: Callable[[], float], context: AuditContext) -> None:
        self._file = file
        self._prompts: Prompts = prompts
        self._clock = clock
        self._context = context
        self._pending: list[Record] = []

    @classmethod
    def open(cls, path: Path, *, prompts: Prompts, clock: Callable[[], float], max_bytes: int = MAX_FILE_BYTES) -> Self:
        """Open the log at `path`, made if absent, and mend its end; AuditError when it can't be written.

        A torn last line, of a crash, is moved to a file beside the log and recorded as `audit_repaired`.
        """
        log = cls(ChainFile(path, max_bytes), prompts, clock, AuditContext())
        try:
            log.flush()
        except AuditError:
            log.close()
            raise
        return log

    def bound(self, context: AuditContext) -> AuditLog:
        """The same log for the records of one run, with a buffer of its own; closing either closes the file."""
        return AuditLog(self._file, self._prompts, self._clock, context)

    @property
    def head(self) -> Head:
        """Number and hash of the last record on the disk; published elsewhere, they give a cut tail away."""
        return self._file.head

    def append(self, event: str, **fields: Unpack[AuditFields]) -> None:
        """Say `event` at the next flush, with the time of now."""
        self._pending.append(self._record(event, fields))

    def flush_if_long(self) -> None:
        """Flush if many records wait: a million at once would take a gigabyte."""
        if len(self._pending) >= _LONG:
            self.flush()

    def flush(self) -> None:
        """Write what was appended, in one piece, and wait until the disk has it.

        AuditError: none of it was written, all of it is dropped, and nothing that it announced may be done.
        """
        batch, self._pending = self._pending, []
        try:
            self._file.refresh()
            self._file.write([*self._announcements(), *batch])
        except (OSError, AuditError) as error:
            self._file.lost += len(batch)
            raise _as_audit_error(self._file.path, error) from error

    def close(self) -> None:
        """Close the file; what wasn't flushed is dropped."""
        self._pending.clear()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _announcements(self) -> list[Record]:
        """What happened to the log itself, and goes before anything else."""
        records = []
        if self._file.continues:
            records.append(self._record(ROTATED_EVENT, {}))
        records += [self._record("audit_repaired", {"detail": repair}) for repair in self._file.repairs]
        if self._file.lost:
            records.append(self._record("records_lost", {"detail": {"count": self._file.lost}}))
        return records

    def _record(self, event: str, fields: AuditFields) -> Record:
        if self._prompts == "omit":
            fields = _without_prompts(fields)
        context = self._context
        return Record(
            time=format_instant(self._clock()),
            seq=0,
            previous="",
            event=event,
            run=context.run,
            cache=context.cache,
            trigger=context.trigger,
            actor=context.actor,
            mode=context.mode,
            config=context.config,
            **fields,
        )


def _without_prompts(fields: AuditFields) -> AuditFields:
    """The fields without people's words: prompts, file names made from them, and errors that name such files."""
    kept = fields.copy()
    item, reason, error = fields.get("item"), fields.get("reason"), fields.get("error")
    if reason is not None and reason.criterion == "pattern":
        kept["reason"] = structs.replace(reason, value=None)
    if item is not None:
        kept["item"] = structs.replace(item, path=None, prompt=None)
        if error is not None:
            kept["error"] = _without_names(error, item)
    return kept


def _without_names(text: str, item: AuditItem) -> str:
    """`text` without the item's prompt and file name, also as `repr` spells them, which OSError does."""
    words = [item.path, PurePath(item.path or "").stem, item.prompt]
    for word in filter(None, words):
        text = text.replace(word, "(omitted)").replace(repr(word)[1:-1], "(omitted)")
    return text


_ADVICE = {
    errno.ENOSPC: "free space on its file system",
    errno.EDQUOT: "free space in its quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.ELOOP: "it is a symbolic link: put the file itself there",
    errno.EIO: "check the disk",
}


def _as_audit_error(path: Path, error: OSError | AuditError) -> AuditError:
    if isinstance(error, AuditError):
        return error
    advice = _ADVICE.get(error.errno or 0, "make it writable for this user, or set another audit.dir")
    return AuditError(
        f"the audit log {path} can't be written ({error.strerror}), so nothing may be removed; {advice}, then run again"
    )
