"""The daemon's own log, on standard error: text for people at a terminal, JSON lines for everything else."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from typing import TextIO

from audio_cache_daemon.config.settings import LogSettings
from audio_cache_daemon.reporting.encoding import encode_json
from audio_cache_daemon.reporting.terminal import clean, screen_for
from audio_cache_daemon.units import format_time

LOG = logging.getLogger("audio_cache_daemon")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NOISE = "called when the thread is inactive"
"""What watchdog calls an error when an event and its end fall together."""

_COLORS = {logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31, logging.DEBUG: 2}


def set_up_log(settings: LogSettings, environ: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Send all that is logged in this process to a stream, standard error if none is given. Harmless to repeat."""
    out = stream or sys.stderr
    screen = screen_for(out, environ)
    as_text = settings.format == "text" or (settings.format == "auto" and screen.is_terminal)
    handler = logging.StreamHandler(out)
    handler.setFormatter(_TextFormatter(color=screen.color) if as_text else _JsonFormatter())
    handler.addFilter(lambda record: _NOISE not in str(record.msg))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(_LEVELS[settings.level])
    # A reader that went away must not end the service.
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_end_of_thread


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "of unknown name"
    if ended.exc_value is not None:
        LOG.error("the thread %s ended with an error", name, exc_info=ended.exc_value)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """The `extra` of a log record: what it says beside its message, such as the cache and the run."""
    return {"fields": values}


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object, which is one line whatever the message holds."""
        entry: dict[str, object] = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return encode_json(entry).decode()


class _TextFormatter(logging.Formatter):
    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, and the run that it is about; harmless on a terminal."""
        said: Mapping[str, object] = getattr(record, "fields", {})
        run = f" (run {said['run']})" if "run" in said else ""
        line = f"{format_time(record.created)} {record.levelname.lower():7} {clean(record.getMessage())}{run}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        code = _COLORS.get(record.levelno)
        return f"\x1b[{code}m{line}\x1b[0m" if self._color and code else line
