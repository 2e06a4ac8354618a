"""Sizes, durations and percentages: parse what people write, format what they read.

Sizes are bytes (int), durations are seconds (float), percentages are numbers from 0 to 100 (float).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_BYTES_PER_UNIT = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_LIMIT = 2.0**63
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 and 9999: RFC 3339 writes no others."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])", re.IGNORECASE)
_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_size(text: str) -> int:
    """Bytes of "20GiB", "500 MB" or "1024"; ValueError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    factor = _BYTES_PER_UNIT.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"not a size: {text!r}; expected a number and a unit, such as 20GiB or 500MB")
    size = float(match[1]) * factor
    if size >= _SIZE_LIMIT:
        raise ValueError(f"not a size: {text[:40]!r} is more than any file system holds")
    # A float is exact up to 8 PiB, a whole number beyond that too.
    return int(match[1]) * factor if "." not in match[1] else round(size)


def parse_duration(text: str) -> float:
    """Seconds of "30d", "1h30m" or "90s"; ValueError for anything else, a bare number included."""
    compact = text.strip()
    parts = list(_DURATION_PART.finditer(compact))
    covered = "".join(part[0] for part in parts)
    if not parts or covered.replace(" ", "") != compact.replace(" ", ""):
        raise ValueError(f"not a duration: {text!r}; expected a number and a unit, such as 30d, 12h or 90s")
    seconds = math.fsum(float(part[1]) * _SECONDS_PER_UNIT[part[2].lower()] for part in parts)
    if not math.isfinite(seconds):
        raise ValueError(f"not a duration: {text[:40]!r} is longer than any time")
    return seconds


def parse_percentage(text: str) -> float:
    """The number of "10%"; ValueError for anything else, or outside 0 to 100."""
    match = _PERCENTAGE.fullmatch(text.strip())
    if match is None or float(match[1]) > 100:
        raise ValueError(f"not a percentage: {text!r}; expected a number from 0 to 100 and a %, such as 10%")
    return float(match[1])


def format_size(size: float) -> str:
    """A size for people, in binary units: "1.5 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def format_duration(seconds: float) -> str:
    """A duration for people, in its largest fitting unit: "3.5d", "12h", "45s"."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if abs(seconds) >= length:
            return f"{round(seconds / length, 1):g}{unit}"
    return f"{round(seconds, 1):g}s"


def format_time(timestamp: float) -> str:
    """A point in time (seconds since the epoch) in RFC 3339, UTC, to the second.

    One that has no year of four digits, as of a writer that counts milliseconds, is shown as the last that has.
    """
    second = int(min(max(timestamp, FIRST_SECOND), LAST_SECOND))
    # isoformat takes a third of the time of strftime.
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00") + "Z"
