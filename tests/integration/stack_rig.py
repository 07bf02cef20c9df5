"""A small stack of HTTP nodes for tests of the supervisor, and what they look at from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

NODE = """
import os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

mode = sys.argv[2] if len(sys.argv) > 2 else ""
if mode == "crash":
    print("loading configuration")
    print("fatal: no such table", file=sys.stderr)
    sys.exit(3)
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "mute":
    time.sleep(60)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"ok"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

print("serving", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

BURN = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def burn():
    while True:
        pass
threading.Thread(target=burn, daemon=True).start()
while True:
    listener.accept()[0].close()
"""

STACK = """
stack: tiny
environment: staging
services:
  web:
    role: gateway
    nodes:
      - {{name: one, command: ["${{python}}", "${{here}}/node.py", "${{port}}"]}}
      - {{name: two, command: ["${{python}}", "${{here}}/node.py", "${{port}}", "{mode}"]}}
links:
  - {{name: users--one, source: users, target: one, kind: access}}
"""


def write_stack(folder: Path, mode: str = "") -> Path:
    """A stack of two nodes; `mode` crash or mute makes the second one fail to start, deaf ignore SIGTERM."""
    (folder / "node.py").write_text(NODE)
    (folder / "burn.py").write_text(BURN)
    path = folder / "stack.yaml"
    path.write_text(STACK.format(mode=mode))
    return path


def until(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Wait for a condition; fails loudly when it does not come true."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)
    return value


def mentions(word: str) -> list[psutil.Process]:
    """Processes (no zombies) whose command line holds a word."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if word in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found
