"""The store's log on a disk that fills up: a real file system of 256 kB, in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENE = """
import asyncio, contextlib, json, os, sys
from pathlib import Path
from chaos.stacks.embedded.appendlog import AppendLog

async def scene(folder):
    log = AppendLog(folder / "store.log")
    list(log.replay())
    asyncio.create_task(log.run())
    heard = []
    def append(record):
        log.append(record)
        log.after(lambda: heard.append(record[:1].decode()))
    async def until(condition):
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.01)
    append(b"a" * 1000)
    await until(lambda: heard == ["a"])
    with (folder / "fill").open("wb") as fill, contextlib.suppress(OSError):
        while True:
            os.write(fill.fileno(), bytes(4096))
    append(b"b" * 100_000)
    await until(lambda: log.refused >= 2)
    append(b"c" * 10)
    await until(lambda: log.refused >= 4)
    full = list(heard), (folder / "store.log").stat().st_size
    (folder / "fill").unlink()
    await until(lambda: heard == ["a", "b", "c"])
    data = (folder / "store.log").read_bytes()
    os.close(log._fd)
    found = [record[:1].decode() for record in AppendLog(folder / "store.log").replay()]
    print(json.dumps({"full": full, "found": found, "size": len(data)}))

asyncio.run(scene(Path(sys.argv[1])))
"""


def test_on_a_full_disk_the_log_waits_and_loses_nothing(tmp_path: Path) -> None:
    """Without room nothing is promised and no half of a record stays; with room again everything is, in order."""
    words = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" -c "$3" "$1"', "sh"]
    done = subprocess.run(
        [*words, str(tmp_path), sys.executable, SCENE],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if "unshare" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["full"] == [["a"], 1008]
    assert said["found"] == ["a", "b", "c"]
    assert said["size"] == 1008 + 100_008 + 18
