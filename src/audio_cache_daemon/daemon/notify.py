"""What the service manager wants to know (sd_notify); without one nothing is said."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Tells systemd how the service is. `watchdog` is how often it wants to hear, in seconds; None: never."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._said = ""
        self.watchdog = _watchdog_seconds(environ)

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, words: str) -> None:
        """Say in one line what the service does; said once."""
        if words != self._said:
            self._said = words
            self._send("STATUS=" + words.replace("\n", " "))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # The service does its work whether anybody listens or not.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(self._address)
            sender.settimeout(0)
            sender.send(message.encode("utf-8", "backslashreplace"))


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Half the time after which systemd takes the service for dead, if it watches this process."""
    period, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not period.isdecimal() or int(period) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(period) / 2e6
