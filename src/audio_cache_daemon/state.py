"""What is remembered of a cache between runs, in a small file in its state directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from audio_cache_daemon.errors import MaintenanceError
from audio_cache_daemon.held import unpack_held
from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.model import Memory
from audio_cache_daemon.own_files import decode_own, encode_own

_NAME = "state.json"
AUDIT_HEAD_NAME = "audit-head.json"


class _StateFile(msgspec.Struct, frozen=True):
    version: Literal[1]
    memory: Memory

    def __post_init__(self) -> None:
        if not 0 <= self.memory.rows < 2**63:
            raise ValueError(f"an index of {self.memory.rows} rows can't be")
        if self.memory.aligned is not None and not 0 <= self.memory.aligned.rows < 2**63:
            raise ValueError(f"{self.memory.aligned.rows} aligned rows can't be")
        unpack_held(self.memory.held)


class _AuditHead(msgspec.Struct, frozen=True):
    seq: int
    hash: str


def memory_path(location: CacheLocation) -> Path:
    """Where the memory of a cache is kept."""
    return location.state_directory / _NAME


def load_memory(location: CacheLocation) -> Memory | None:
    """What is remembered of a cache, or None; MaintenanceError when the file is there and can't be read."""
    path = memory_path(location)
    try:
        return decode_own(path.read_bytes(), _StateFile).memory
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise MaintenanceError(
            f"{path} can't be read: {error}; move it away to begin with an empty memory (files missing since long "
            "count as missing since now)"
        ) from None


def encode_memory(memory: Memory) -> bytes:
    """The content of the file."""
    return encode_own(_StateFile(1, memory))


def load_audit_head(location: CacheLocation) -> tuple[int, str] | None:
    """Number and hash of the last audit record, as the last run published them; None if none did.

    MaintenanceError when the file is there and can't be read: without it a log that was cut short would pass as whole.
    """
    path = location.state_directory / AUDIT_HEAD_NAME
    try:
        head = decode_own(path.read_bytes(), _AuditHead)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise MaintenanceError(
            f"{path} can't be read: {error}; move it away to check the audit log without knowing where it ended"
        ) from None
    return head.seq, head.hash
