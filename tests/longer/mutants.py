"""Every mutant of the embedded stack against every check: prints the matrix, and keeps each run that surprises.

A mutant must fail the check that looks for it; what else it fails is shown. A run that misses it while our own machine
was late proves nothing and is made again, twice at most. Resumable: each run is a line of DIRECTORY/results.jsonl, and
what stands there is not run again.

    python -m tests.longer.mutants --times 5
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MUTANTS = {
    "stuck-leave": ("rejoin_churn", "M5"),
    "reentry": ("rejoin_churn", "M6"),
    "unlisted": ("network_congestion", "M2"),
    "ghost": ("network_congestion", "M3"),
    "split-room": ("network_congestion", "M4"),
    "flap": ("network_congestion", "M7"),
    "stale-roster": ("network_congestion", "M7"),
    "lost-at-resume": ("network_congestion", "M7"),
    "double": ("rejoin_churn", "M8"),
    "overfull": ("network_congestion", "M9"),
    "room-ended": ("rejoin_churn", "M10"),
    "lost-message": ("network_congestion", "M11"),
    "double-message": ("network_congestion", "M11"),
    "swapped-messages": ("network_congestion", "M11"),
    "shared-fate": ("region_slowdown", "M12"),
    "lost-edit": ("server_loss", "D1"),
    "forgets": ("server_loss", "D2"),
    "phantom": ("network_congestion", "D5"),
    "resurrect": ("network_congestion", "D6"),
    "reorder": ("network_congestion", "D7"),
    "stale-read": ("network_congestion", "D9"),
    "presence-ghost": ("network_congestion", "D10"),
    "stuck-document": ("network_congestion", "D11"),
    "two-owners": ("network_congestion", "D12"),
}
"""Mutant -> the experiment that shows it, and the check that must fail."""
LATENESS = ("generator", "null-target")
ATTEMPTS = 3
LONGEST_S = 240


def main() -> int:
    """Run what is missing, print the matrix, return 0 if every mutant was caught each time."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    results = options.directory / "results.jsonl"
    wanted = [(mutant, seed) for seed in range(1, options.times + 1) for mutant in options.mutants]
    done, lock = _done(results), threading.Lock()

    def one(pair: tuple[str, int]) -> None:
        line = _run(*pair, options.directory)
        with lock, results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)

    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        list(pool.map(one, [pair for pair in wanted if pair not in done]))
    done = _done(results)
    return _conclude([done[pair] for pair in wanted])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each has a stack of its own")
    parser.add_argument("--directory", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--mutants", nargs="+", default=list(MUTANTS), choices=list(MUTANTS))
    return parser.parse_args()


def _done(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {(line["mutant"], line["seed"]): line for line in lines}


def _run(mutant: str, seed: int, directory: Path) -> dict[str, Any]:
    """The first run that catches it, or in which our own machine was on time; else the last."""
    line: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        line = _run_once(mutant, seed, directory)
        if line["caught"] or not line.get("late"):
            break
    return line


def _run_once(mutant: str, seed: int, directory: Path) -> dict[str, Any]:
    experiment, wanted = MUTANTS[mutant]
    runs = directory / f"{mutant}-{seed}"
    shutil.rmtree(runs, ignore_errors=True)
    line: dict[str, Any] = {"mutant": mutant, "seed": seed, "experiment": experiment, "wanted": wanted}
    began = time.monotonic()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "chaos", "run", experiment, "--seed", str(seed), "--json", "--runs-dir", str(runs),
             "--set", f"embedded.mutant={mutant}"],
            capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return line | {"caught": False, "failed": [], "why": [f"no end within {LONGEST_S} s"]}
    line |= {"exit": ended.returncode, "seconds": round(time.monotonic() - began, 1)}
    try:
        checks = json.loads(ended.stdout)["checks"]
    except (ValueError, KeyError):
        return line | {"caught": False, "failed": [], "why": ended.stderr.strip().splitlines()[-5:]}
    line["failed"] = sorted({one["id"] for one in checks if one["outcome"] == "fail"})
    line["late"] = any(one["id"] in LATENESS and one["outcome"] != "pass" for one in checks)
    line["caught"] = wanted in line["failed"]
    if line["caught"]:
        shutil.rmtree(runs, ignore_errors=True)
    return line


def _conclude(lines: list[dict[str, Any]]) -> int:
    failed = {name for line in lines for name in (*line["failed"], line["wanted"])}
    columns = sorted((name for name in failed if name[0] in "MD" and name[1:].isdigit()), key=_order)
    print("mutant".ljust(20) + " ".join(name.rjust(4) for name in columns))
    for mutant in dict.fromkeys(line["mutant"] for line in lines):
        mine = [line for line in lines if line["mutant"] == mutant]
        counts = {name: sum(name in line["failed"] for line in mine) for name in columns}
        cells = [f"{counts[name] or '.'}{'*' if name == mine[0]['wanted'] else ''}".rjust(4) for name in columns]
        print(mutant.ljust(20) + " ".join(cells) + f"   of {len(mine)}")
    missed = sum(not line["caught"] for line in lines)
    print(f"{missed} of {len(lines)} runs missed their mutant (* marks the check that looks for it)")
    return 1 if missed or not lines else 0


def _order(name: str) -> tuple[str, int]:
    return name[:1], int(name[1:])


if __name__ == "__main__":
    sys.exit(main())
