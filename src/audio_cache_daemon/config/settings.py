"""A configuration as values: what the file says, with every default filled in."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.retention.policy import Policy


class WriterSettings(msgspec.Struct, frozen=True):
    """The generator: whether it runs, how its start is known, how it is stopped and started. Durations in seconds."""

    mode: Literal["live", "stopped"] = "live"
    release_on: Literal["restart", "addition"] = "restart"
    unit: str | None = None
    started_file: Path | None = None
    max_wait: float | None = None
    quiesce: float = 30.0
    target_per_prompt: int = 3
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()


class CacheSettings(msgspec.Struct, frozen=True):
    """A cache, the policy that keeps it, and the generator that fills it."""

    location: CacheLocation
    policy: Policy
    writer: WriterSettings = msgspec.field(default_factory=WriterSettings)


class AuditSettings(msgspec.Struct, frozen=True):
    """Where the audit logs are (None: in each cache's state directory), and whether they hold prompts."""

    directory: Path | None = None
    prompts: Literal["full", "omit"] = "full"


class HttpSettings(msgspec.Struct, frozen=True):
    """The address of the daemon's read-only HTTP server."""

    host: str = "127.0.0.1"
    port: int = 9843

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class LogSettings(msgspec.Struct, frozen=True):
    """What the daemon logs, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class FirstRunSettings(msgspec.Struct, frozen=True):
    """What the daemon lets a new or changed policy evict unasked in its first run: percent of the cache, None: all."""

    confirm_above: float | None = 10.0


class Settings(msgspec.Struct, frozen=True):
    """A whole configuration. `http` is None without a server; `digest` identifies the text, in audit records."""

    caches: Mapping[str, CacheSettings]
    policies: Mapping[str, Policy]
    audit: AuditSettings = msgspec.field(default_factory=AuditSettings)
    http: HttpSettings | None = msgspec.field(default_factory=HttpSettings)
    log: LogSettings = msgspec.field(default_factory=LogSettings)
    first_run: FirstRunSettings = msgspec.field(default_factory=FirstRunSettings)
    source: Path | None = None
    digest: str = ""
