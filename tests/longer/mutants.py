"""Every mutant of the embedded stack against every check: prints the matrix, and keeps each run that surprises.

A mutant must fail the check that looks for it; what else it fails is shown. A run in which our own machine was late
proves nothing and is made again, twice at most. Resumable: what stands in DIRECTORY/results.jsonl is not run again.

    python -m tests.longer.mutants --times 5
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MUTANTS = {
    "ghost": ("network_congestion", "M3"),
    "stuck-leave": ("rejoin_churn", "M5"),
    "reentry": ("rejoin_churn", "M6"),
    "lost-edit": ("server_loss", "D1"),
    "unlisted": ("network_congestion", "M2"),
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
}
"""Mutant -> the experiment that shows it, and the check that must fail."""
LATENESS = ("generator", "null-target")
LONGEST_S = 240


def main() -> int:
    """Run what is missing, print the matrix, return 0 if every mutant was caught each time."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    results = options.directory / "results.jsonl"
    done = _done(results)
    for seed in range(1, options.times + 1):
        for mutant in options.mutants:
            if (mutant, seed) not in done:
                line = _run(mutant, seed, options.directory)
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
    return _conclude([line for (mutant, _), line in _done(results).items() if mutant in options.mutants])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--mutants", nargs="+", default=list(MUTANTS), choices=list(MUTANTS))
    return parser.parse_args()


def _done(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {(line["mutant"], line["seed"]): line for line in lines}


def _run(mutant: str, seed: int, directory: Path) -> dict[str, Any]:
    """The last of at most three runs: the first in which our own machine was on time."""
    experiment, wanted = MUTANTS[mutant]
    runs = directory / f"{mutant}-{seed}"
    line: dict[str, Any] = {"mutant": mutant, "seed": seed, "experiment": experiment, "wanted": wanted}
    for _ in range(3):
        shutil.rmtree(runs, ignore_errors=True)
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "chaos", "run", experiment, "--seed", str(seed), "--json", "--runs-dir", str(runs),
             "--set", f"embedded.mutant={mutant}"],
            capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
        line |= {"exit": ended.returncode, "seconds": round(time.monotonic() - began, 1)}
        try:
            checks = json.loads(ended.stdout)["checks"]
        except (ValueError, KeyError):
            return line | {"failed": [], "why": ended.stderr.strip().splitlines()[-5:]}
        line["failed"] = sorted({one["id"] for one in checks if one["outcome"] == "fail"})
        if all(one["outcome"] == "pass" for one in checks if one["id"] in LATENESS):
            break
    if wanted in line["failed"]:
        shutil.rmtree(runs, ignore_errors=True)
    return line


def _conclude(lines: list[dict[str, Any]]) -> int:
    failed = {name for line in lines for name in (*line["failed"], line["wanted"])}
    columns = sorted((name for name in failed if name[0] in "MD" and name[1:].isdigit()), key=_order)
    print("mutant".ljust(20) + " ".join(name.rjust(4) for name in columns))
    missed = 0
    for mutant in dict.fromkeys(line["mutant"] for line in lines):
        mine = [line for line in lines if line["mutant"] == mutant]
        counts = {name: sum(name in line["failed"] for line in mine) for name in columns}
        missed += counts[mine[0]["wanted"]] < len(mine)
        cells = [f"{counts[name] or '.'}{'*' if name == mine[0]['wanted'] else ''}".rjust(4) for name in columns]
        print(mutant.ljust(20) + " ".join(cells))
    print(f"{missed} mutants were missed at least once (* marks the check that looks for it)")
    return 1 if missed else 0


def _order(name: str) -> tuple[str, int]:
    return name[:1], int(name[1:])


if __name__ == "__main__":
    sys.exit(main())
