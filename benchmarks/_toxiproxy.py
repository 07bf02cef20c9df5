"""Toxiproxy as the yardstick of the link proxy: built from its module once, kept in the ignored `.cache`.

It is a program of others that is measured beside ours; nothing of it is in this repository.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = "2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
FOLDER = Path(__file__).resolve().parents[1] / ".cache" / f"toxiproxy-{VERSION}"
BUILD_S = 300
START_S = 10


def program() -> tuple[Path | None, str]:
    """The server, built where it is not there yet; or None and why not."""
    server = FOLDER / "server"
    if server.exists():
        return server, ""
    go = shutil.which("go")
    if go is None:
        return None, "no Go compiler to build it with"
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [go, "install", MODULE],
            env={**os.environ, "GOBIN": str(FOLDER)},
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"`go install {MODULE}` took longer than {BUILD_S} s"
    if done.returncode:
        return None, f"`go install {MODULE}`: {done.stderr.strip().splitlines()[-1:]}"
    return server, ""


class Toxiproxy:
    """A running server with one proxy."""

    def __init__(self, api: int, pid: int) -> None:
        self.pid = pid
        self._api = f"http://127.0.0.1:{api}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """One request; raises OSError when it is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._api + path, data=data, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
            answer.read()

    @contextlib.contextmanager
    def delayed(self, delay_ms: int) -> Iterator[None]:
        """With a delay each way."""
        for stream in ("upstream", "downstream"):
            toxic = {"name": stream, "type": "latency", "stream": stream, "attributes": {"latency": delay_ms}}
            self.ask("POST", "/proxies/link/toxics", toxic)
        try:
            yield
        finally:
            for stream in ("upstream", "downstream"):
                self.ask("DELETE", f"/proxies/link/toxics/{stream}")


@contextlib.contextmanager
def toxiproxy(server: Path, api: int, port: int, to: int) -> Iterator[Toxiproxy]:
    """Start one that leads from `port` to `to`, and end it. Raises TimeoutError when it does not answer."""
    process = subprocess.Popen(
        [server, "-port", str(api)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        one = Toxiproxy(api, process.pid)
        link = {"name": "link", "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{to}", "enabled": True}
        until = time.monotonic() + START_S
        while True:
            try:
                one.ask("POST", "/proxies", link)
                break
            except urllib.error.URLError as error:
                if time.monotonic() > until:
                    raise TimeoutError(f"Toxiproxy did not answer within {START_S} s") from error
                time.sleep(0.05)
        yield one
    finally:
        process.terminate()
        process.wait()
