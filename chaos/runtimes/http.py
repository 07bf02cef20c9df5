"""One HTTP GET to a server on this machine, timed from the moment of connecting; for probes of links and nodes."""

from __future__ import annotations

import http.client
import time
from typing import NamedTuple

from chaos.errors import StackFailed


class NoAnswer(StackFailed):
    """Refused, reset, silent until the timeout, or not HTTP."""


class Answer(NamedTuple):
    """What came back, and how long it took from connect to the last byte."""

    status: int
    body: bytes
    elapsed_s: float
    date: str = ""
    """The server's own time, as its header `Date` has it."""


def get(port: int, path: str = "/healthz", timeout_s: float = 5.0, host: str = "127.0.0.1") -> Answer:
    """GET `path` from `host`:`port` on a fresh connection. Raises `NoAnswer`.

    `timeout_s` bounds connect and each read, as sockets count it.
    """
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    began = time.perf_counter()
    try:
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
