"""Runs each defect of the embedded stack under an experiment that must show it, and prints the matrix mutant x check.

Resumable: each finished run is one line of the results file, and a second start goes on where the first ended. A mutant
counts as caught when its own check failed; other checks that its defect touches may fail with it. The record of every
run in which it was not caught is kept.

    python -m tests.longer.mutant_runs --times 5 --jobs 1
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
    "forgets": ("server_loss", "D2"),
    "lost-edit": ("server_loss", "D1"),
    "phantom": ("network_congestion", "D5"),
    "presence-ghost": ("network_congestion", "D10"),
    "reorder": ("network_congestion", "D7"),
    "resurrect": ("network_congestion", "D6"),
    "stale-read": ("network_congestion", "D9"),
    "stuck-document": ("network_congestion", "D11"),
    "two-owners": ("network_congestion", "D12"),
    "ghost": ("network_congestion", "M3"),
    "reentry": ("rejoin_churn", "M6"),
    "stuck-leave": ("rejoin_churn", "M5"),
}
"""Mutant -> the experiment, and the check that must fail."""
SHORT = ("phases.warm_up=2", "phases.baseline=4", "phases.recovery=10")
LONGEST_S = 200
LATENESS = ("generator", "null-target")
AGAIN = 2


def main() -> int:
    """Run what is missing, print the matrix, return 0 if each mutant was caught each time."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    results = options.directory / "results.jsonl"
    done = _done(results)
    wanted = [(name, seed) for seed in range(1, options.times + 1) for name in options.mutants]
    lock = threading.Lock()

    def one(pair: tuple[str, int]) -> None:
        line = _run(*pair, options.directory)
        with lock, results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)

    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        list(pool.map(one, [pair for pair in wanted if pair not in done]))
    return _conclude([line for pair, line in _done(results).items() if pair in set(wanted)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each has a stack of its own")
    parser.add_argument("--directory", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--mutants", nargs="+", default=tuple(MUTANTS), choices=MUTANTS)
    return parser.parse_args()


def _done(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {(line["mutant"], line["seed"]): line for line in lines}


def _run(mutant: str, seed: int, directory: Path) -> dict[str, Any]:
    """One run; a machine that was itself late proves nothing of a mutant that was not caught: then again."""
    for _ in range(AGAIN):
        line = _run_once(mutant, seed, directory)
        if line["caught"] or not line.get("late"):
            return line
    return _run_once(mutant, seed, directory)


def _run_once(mutant: str, seed: int, directory: Path) -> dict[str, Any]:
    experiment, check = MUTANTS[mutant]
    runs = directory / f"{mutant}-{seed}"
    shutil.rmtree(runs, ignore_errors=True)
    sets = [word for value in (*SHORT, f"embedded.mutant={mutant}") for word in ("--set", value)]
    command = [sys.executable, "-m", "chaos", "run", experiment, "--seed", str(seed), "--json", "--runs-dir", str(runs)]
    began = time.monotonic()
    ended = subprocess.run([*command, *sets], capture_output=True, text=True, timeout=LONGEST_S, check=False)
    line: dict[str, Any] = {"mutant": mutant, "seed": seed, "experiment": experiment, "exit": ended.returncode}
    line["seconds"] = round(time.monotonic() - began, 1)
    try:
        checks = json.loads(ended.stdout)["checks"]
    except (ValueError, KeyError):
        return line | {"caught": False, "kept": str(runs), "why": ended.stderr.strip().splitlines()[-5:]}
    line["failed"] = sorted({one["id"] for one in checks if one["kind"] == "safety" and one["outcome"] == "fail"})
    line["caught"] = check in line["failed"]
    line["late"] = any(one["id"] in LATENESS and one["outcome"] != "pass" for one in checks)
    if line["caught"]:
        shutil.rmtree(runs, ignore_errors=True)
        return line
    return line | {"kept": str(runs)}


def _conclude(lines: list[dict[str, Any]]) -> int:
    columns = sorted({check for _, check in MUTANTS.values()}, key=lambda name: (name[0], int(name[1:])))
    print(f"{'':16}" + "".join(f"{name:>5}" for name in columns))
    for mutant, (_, own) in MUTANTS.items():
        mine = [line for line in lines if line["mutant"] == mutant]
        counts = {name: sum(name in line.get("failed", ()) for line in mine) for name in columns}
        cells = (f"{f'[{counts[name]}]' if name == own else counts[name] or '.':>5}" for name in columns)
        print(f"{mutant:16}" + "".join(cells) + f"   of {len(mine)}")
    missed = sum(not line["caught"] for line in lines)
    print(f"{len(lines)} runs, {missed} in which the mutant was not caught")
    return 1 if missed or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
