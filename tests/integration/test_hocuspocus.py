"""The Hocuspocus backend against the real server of the npm package."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chaos.backends.base import Entry
from chaos.backends.conformance import DOCUMENTS, Stage
from chaos.backends.hocuspocus import backend

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "3.4.4"
"""The newest release whose package runs on Node 20."""

SERVER = """
import { Server } from "@hocuspocus/server";
const server = new Server({
  port: Number(process.env.PORT), address: "127.0.0.1", quiet: true, stopOnSignals: true, debounce: 100,
  async onAuthenticate({ token }) { if (!token) throw new Error("no token"); },
});
await server.listen();
console.log("listening");
"""

pytestmark = [pytest.mark.needs_node, pytest.mark.timeout(180)]


def _install() -> Path:
    """The folder with the package, installed once into the repository's cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    major = int(
        subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout[1:].split(".")[0]
    )
    if major < 20:
        pytest.skip(f"Node 20 or later is needed, here is {major}")
    folder = Path(__file__).parents[2] / ".cache" / f"hocuspocus-{VERSION}"
    if not (folder / "node_modules" / "@hocuspocus" / "server" / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"@hocuspocus/server@{VERSION}", "yjs@13"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm could not install @hocuspocus/server: {done.stderr.strip()[-300:]}")
    (folder / "server.mjs").write_text(SERVER)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a running server."""
    folder = _install()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / f"server-{port}.log").open("w") as log:
        process = subprocess.Popen(
            ["node", "server.mjs"], cwd=folder, stdout=log, stderr=log, env={**os.environ, "PORT": str(port)}
        )
    try:
        end = time.monotonic() + 20
        while "listening" not in Path(log.name).read_text():
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < end, Path(log.name).read_text()
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}/docs/{{key}}"
    finally:
        process.kill()
        process.wait()
        Path(log.name).unlink()


@pytest.mark.parametrize("scenario", DOCUMENTS)
def test_real_server_keeps_the_contract(server: str, scenario: str) -> None:
    """Each document scenario holds against the real Hocuspocus server."""
    entry = Entry(url=server, region="here", key="", user="", session="")
    stage = Stage(backend, entry, prefix=uuid.uuid4().hex[:8])
    asyncio.run(asyncio.wait_for(DOCUMENTS[scenario](stage), 30))


def test_refused_token_is_a_refusal(server: str) -> None:
    """A client whom the server's authentication turns away gets `Refused`, with the reason."""
    from chaos.backends.base import Refused

    async def go() -> str:
        session = backend.session(Entry(url=server, region="here", key="private", user="", session="x"))
        with pytest.raises(Refused) as caught:
            await asyncio.wait_for(session.open(), 10)
        return caught.value.reason

    assert asyncio.run(go()) == "permission-denied"
