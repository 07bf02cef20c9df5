"""`python -m chaos.stacks.compose.image [--base IMAGE] [--tag NAME]`: build the image of the embedded servers.

Stand-alone, and no network: the packages that the servers import are copied from this Python's own. Needs the
`docker` command and an engine that answers; the exit code is docker's.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, PackagePath, files
from pathlib import Path

NEEDED = ("anyio", "idna", "msgpack", "pycrdt", "typing_extensions", "uvloop", "websockets")
"""Distributions that the servers import, with what those import; one that is not installed is left out."""
SERVERS = ("chaos/__init__.py", "chaos/stacks/__init__.py", "chaos/stacks/embedded")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
OFFICIAL = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"


def context() -> bytes:
    """The build's context as a tar: the Dockerfile, the servers, and what they import."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.add(HERE / "Dockerfile", "Dockerfile")
        for path in SERVERS:
            tar.add(ROOT / path, f"servers/{path}", filter=_no_caches)
        for package in _packages():
            tar.add(str(package.locate()), f"servers/{package}", filter=_no_caches)
    return buffer.getvalue()


def _packages() -> Iterator[PackagePath]:
    for name in NEEDED:
        try:
            found = files(name) or ()
        except PackageNotFoundError:
            continue
        # Scripts lie outside of the packages' folder; nothing here calls them.
        yield from (path for path in found if ".." not in path.parts and Path(str(path.locate())).is_file())


def _no_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return None if "__pycache__" in member.name else member


def build(base: str, tag: str) -> int:
    """Build it; returns docker's exit code, and docker says what went wrong."""
    words = ["docker", "build", "--quiet", "--build-arg", f"BASE={base}", "--tag", tag, "-"]
    return subprocess.run(words, input=context(), check=False).returncode


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="chaos.stacks.compose.image", description=__doc__)
    parser.add_argument("--base", default=OFFICIAL, help=f"image with this Python version ({OFFICIAL})")
    parser.add_argument("--tag", default="collab-chaos-embedded", help="name of the image that is made")
    options = parser.parse_args()
    return build(options.base, options.tag)


if __name__ == "__main__":
    sys.exit(main())
