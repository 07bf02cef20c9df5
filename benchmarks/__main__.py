"""Run benchmarks: every module of this folder that has `run() -> dict`, or those that are named.

    python -m benchmarks [NAME ...]

Each result is written to `benchmarks/results/NAME.json`, beside what is needed to read it: machine and versions.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def main(wanted: list[str]) -> int:
    """Run and write; 1 if one of them failed."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    return max([_one(name) for name in wanted or names])


def _one(name: str) -> int:
    run = getattr(importlib.import_module(f"benchmarks.{name}"), "run", None)
    if run is None:
        return 0
    print(f"== {name}", flush=True)
    began = time.monotonic()
    try:
        result = run()
    except Exception as error:  # noqa: BLE001 - the others are still worth their time
        print(f"failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    took_s = round(time.monotonic() - began, 1)
    text = json.dumps({"name": name, "took_s": took_s, "result": result, "machine": _machine()}, indent=2)
    file = FOLDER / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return 0


def _machine() -> dict[str, Any]:
    from chaos import __version__

    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "collab-chaos": __version__,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
