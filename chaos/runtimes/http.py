"""One HTTP GET to a server on this machine, timed from the moment of connecting; for probes of links and nodes."""

from __future__ import annotations

import http.client
import math
import socket
import time
from typing import NamedTuple

from chaos.errors import StackFailed

APART_S = 0.001
"""Between the pieces of a request: relays on the way join what comes at once."""


class NoAnswer(StackFailed):
    """Refused, reset, silent until the timeout, or not HTTP."""


class Answer(NamedTuple):
    """What came back, and how long it took from connect to the last byte."""

    status: int
    body: bytes
    elapsed_s: float
    date: str = ""
    """The server's own time, as its header `Date` has it."""


def get(port: int, path: str = "/healthz", timeout_s: float = 5.0, host: str = "127.0.0.1", pieces: int = 1) -> Answer:
    """GET `path` from `host`:`port` on a fresh connection. Raises `NoAnswer`.

    `timeout_s` bounds connect and each read, as sockets count it. `pieces`: segments that the request is sent in, a
    little apart, for faults that do something to single packets.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    began = time.perf_counter()
    try:
        if pieces > 1:
            _piecemeal(connection, pieces)
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        elapsed_s = time.perf_counter() - began
        why = str(error) or type(error).__name__
        raise NoAnswer(f"GET {path} on port {port}: {why} after {elapsed_s:.2f} s") from error
    finally:
        connection.close()
    return Answer(response.status, body, time.perf_counter() - began, response.headers.get("Date", ""))


def hang_up(port: int, timeout_s: float, host: str = "127.0.0.1") -> float:
    """Seconds from the end of what we say, on a fresh connection, to the end of what the server says.

    Raises `NoAnswer` where none comes in time; a reset is an end too.
    """
    try:
        with socket.create_connection((host, port), timeout_s) as sock:
            began = time.perf_counter()
            try:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
            return time.perf_counter() - began
    except OSError as error:
        raise NoAnswer(f"hanging up on port {port}: {error or type(error).__name__}") from error


def _piecemeal(connection: http.client.HTTPConnection, pieces: int) -> None:
    """Let whatever the connection sends leave in so many segments."""
    connection.connect()
    sock = connection.sock
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(data: bytes) -> None:
        size = max(1, math.ceil(len(data) / pieces))
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
            time.sleep(APART_S)

    connection.send = send  # type: ignore[method-assign, assignment]
