"""The smallest server that stacks of the tests are made of: it answers every request with `ok`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NODE = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = (*sys.argv[2:], "HTTP/1.0")[0]
    disable_nagle_algorithm = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def write_node(folder: Path) -> None:
    """Put its program there as `node.py PORT [HTTP/1.1]`; by default a connection ends with its answer."""
    (folder / "node.py").write_text(_NODE)
