"""The HTTP server answers in time, whatever others do to it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from audio_cache_daemon.config.settings import HttpSettings
from audio_cache_daemon.daemon.http_server import MAX_CONNECTIONS, Answer, HttpServer
from audio_cache_daemon.errors import MaintenanceError

LARGE = 50_000_000
"""Bytes: more than the kernel takes from us for a client that doesn't read."""

DEADLINE = 1.5

PAGES = {"/": Answer(b"hello"), "/large": Answer(b"x" * LARGE)}


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[HttpServer]:
    server = HttpServer(HttpSettings(request.param, 0), PAGES.get, DEADLINE)
    yield server
    server.close()


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection((server.address.host, server.address.port), timeout=20)


def ask(server: HttpServer, path: str = "/", method: str = "GET") -> tuple[int, bytes]:
    """Status and body of the answer, which must come within two seconds."""
    connection = http.client.HTTPConnection(server.address.host, server.address.port, timeout=2)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_cut_off(client: socket.socket) -> bool:
    """Whether the server ends a connection, sooner or later; what it still sends is passed over."""
    with suppress(ConnectionError):
        while client.recv(2**20):
            pass
    return True


def test_a_page_has_an_answer_and_another_path_has_none(server: HttpServer) -> None:
    assert ask(server) == (200, b"hello")
    assert ask(server, "/?x=1") == (200, b"hello")
    assert ask(server, method="HEAD") == (200, b"")
    assert ask(server, "/../etc/passwd")[0] == 404
    assert ask(server, "/large") == (200, b"x" * LARGE)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "NONSENSE"])
def test_nothing_can_be_changed(server: HttpServer, method: str) -> None:
    assert ask(server, method=method)[0] == 501


def test_the_oldest_connection_makes_room() -> None:
    """Long before its deadline; the younger ones stay."""
    server = HttpServer(HttpSettings("127.0.0.1", 0), PAGES.get, deadline=600.0)
    with ExitStack() as stack:
        stack.callback(server.close)
        silent = [stack.enter_context(connect(server)) for _ in range(MAX_CONNECTIONS + 5)]
        assert ask(server) == (200, b"hello")
        assert all(is_cut_off(client) for client in silent[:6])
        assert threading.active_count() < MAX_CONNECTIONS + 10
        silent[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello" in b"".join(iter(lambda: silent[-1].recv(1000), b""))


def test_silent_connections_are_ended_at_their_deadline(server: HttpServer) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(5)]
        assert all(is_cut_off(client) for client in silent)
    assert ask(server) == (200, b"hello")


def test_a_client_that_sends_byte_by_byte_is_cut_off(server: HttpServer) -> None:
    """The deadline is that of the whole request, and not of each read."""
    with connect(server) as client:
        begun = time.monotonic()
        client.settimeout(DEADLINE / 8)
        with suppress(ConnectionError):
            while time.monotonic() - begun < DEADLINE + 10:
                client.sendall(b"G")
                assert ask(server) == (200, b"hello")
                with suppress(TimeoutError):
                    if not client.recv(1):
                        break
        assert time.monotonic() - begun < DEADLINE + 3


def test_a_client_that_reads_byte_by_byte_is_cut_off(server: HttpServer) -> None:
    with connect(server) as client:
        begun = time.monotonic()
        client.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        while time.monotonic() - begun < DEADLINE + 1:
            assert client.recv(1)
            assert ask(server) == (200, b"hello")
            threading.Event().wait(DEADLINE / 8)
        received = 0
        with suppress(ConnectionError):
            while chunk := client.recv(2**20):
                received += len(chunk)
        assert received < LARGE


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 500,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        b"",
    ],
    ids=["bytes", "tls", "short", "version", "headers", "long", "host", "length", "nothing"],
)
def test_nonsense_is_answered_or_cut_off_and_harms_nobody(server: HttpServer, nonsense: bytes) -> None:
    with connect(server) as client:
        with suppress(OSError):  # it may be cut off by now
            client.sendall(nonsense)
            client.shutdown(socket.SHUT_WR)
        assert is_cut_off(client)
    assert ask(server) == (200, b"hello")


def test_an_answer_that_fails_ends_its_own_connection_alone() -> None:
    def respond(path: str) -> Answer | None:
        return Answer(b"fine") if path == "/" else PAGES["nonexistent"]

    server = HttpServer(HttpSettings("127.0.0.1", 0), respond)
    try:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server, "/fails")
        assert ask(server) == (200, b"fine")
    finally:
        server.close()


def test_an_address_that_is_taken_is_said_with_what_to_do(server: HttpServer) -> None:
    with pytest.raises(
        MaintenanceError, match=r"can't be used \(Address already in use\).*set another address, or none"
    ):
        HttpServer(server.address, PAGES.get)


def test_a_closed_server_lets_go_of_its_port() -> None:
    first = HttpServer(HttpSettings("127.0.0.1", 0), PAGES.get)
    address = first.address
    assert ask(first) == (200, b"hello")
    first.close()
    second = HttpServer(address, PAGES.get)
    assert ask(second) == (200, b"hello")
    second.close()
