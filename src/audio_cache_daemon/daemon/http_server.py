"""A small HTTP server that nobody can hold up: few connections at once, and little time for each.

When all are taken the oldest makes room. Nothing that is asked for changes anything.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TypeAlias, cast

import msgspec

from audio_cache_daemon.config.settings import HttpSettings
from audio_cache_daemon.daemon.log import LOG
from audio_cache_daemon.errors import MaintenanceError

MAX_CONNECTIONS = 32
"""A scrape takes milliseconds and Prometheus opens one connection, so 32 at once are no honest clients."""

DEADLINE_SECONDS = 5.0
"""For a whole request, from its connection to its last byte: less than Prometheus' own timeout of 10 s."""

_POLL_SECONDS = 1.0
"""Between two looks for connections that take too long; a new connection is seen at once."""


class Answer(msgspec.Struct, frozen=True):
    """What is said to a request."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = msgspec.field(default=())


Responder: TypeAlias = Callable[[str], Answer | None]
"""From the path of a request to its answer; None: there is nothing. Called in many threads; must return at once."""


class HttpServer:
    """Serves until it is closed. MaintenanceError when the address can't be had."""

    def __init__(self, settings: HttpSettings, respond: Responder, deadline: float = DEADLINE_SECONDS) -> None:
        self.settings = settings
        try:
            self._server = _Server(settings, respond, deadline)
        except OSError as error:
            raise MaintenanceError(
                f"http.listen: {settings} can't be used ({error.strerror or error}): is another program there, or "
                "another audio-cache-daemon? Stop that, or set another address, or none"
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> HttpSettings:
        """Where it listens, with the port that was found if none was said."""
        return HttpSettings(self.settings.host, self._server.server_port)

    def close(self) -> None:
        """Serve no more; requests in progress are cut off."""
        with suppress(OSError):
            # Wakes the thread, which otherwise learns of its end at the next poll; not all systems allow it.
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # The kernel keeps so many connections for us while one is being accepted.
    request_queue_size = 256

    def __init__(self, settings: HttpSettings, respond: Responder, deadline: float) -> None:
        self.respond = respond
        self._deadline = deadline
        self.address_family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__((settings.host, settings.port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the name service what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Begin to answer in a thread; the oldest connection makes room if there are too many."""
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS:
                # In the order in which they came.
                _cut_off(next(iter(self._open)))
                del self._open[next(iter(self._open))]
            self._open[request] = time.monotonic() + self._deadline
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Called after each connection and each poll: cut off what takes too long."""
        now = time.monotonic()
        with self._lock:
            for request in [request for request, deadline in self._open.items() if deadline < now]:
                _cut_off(request)
                del self._open[request]

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Forget a connection and close it."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 -- not ours to name
        """A client that went away, or was cut off, is no error of ours."""
        LOG.debug("http: a request of %s broke off", client_address, exc_info=True)


def _cut_off(request: socket.socket) -> None:
    # Its thread closes it: here the number of a closed one could be another's already.
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server_version = "audio-cache-daemon"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        answer = cast(_Server, self.server).respond(path)
        if answer is None:
            answer = Answer(b"there is nothing here; / says what there is\n", status=HTTPStatus.NOT_FOUND)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name for it
        """Requests are of interest only to who looks for a fault."""
        LOG.debug("http: %s: %s", self.address_string(), format % args)
