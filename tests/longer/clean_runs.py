"""Runs every shipped experiment many times on the clean embedded stack and counts the verdicts.

Resumable: each finished run is one line of the results file, and a second start goes on where the first ended.
No FAIL is allowed, and at most one inconclusive run in a hundred; the record of every run that did not pass is kept.

    python -m tests.longer.clean_runs --times 20 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chaos.experiment.document import shipped

EXPERIMENTS = tuple(shipped())
NAMES = {0: "pass", 1: "fail", 3: "inconclusive"}
LONGEST_S = 240


def main() -> int:
    """Run what is missing, print the table, return 0 if the promise holds."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    results = options.directory / "results.jsonl"
    done = _done(results)
    wanted = [(name, seed) for seed in range(1, options.times + 1) for name in options.experiments]
    todo = [pair for pair in wanted if pair not in done]
    lock = threading.Lock()

    def one(pair: tuple[str, int]) -> None:
        line = _run(*pair, options.directory)
        with lock, results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)

    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        list(pool.map(one, todo))
    return _conclude([line for pair, line in _done(results).items() if pair in set(wanted)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time; each has a stack of its own")
    parser.add_argument("--directory", type=Path, default=Path("runs/clean"))
    parser.add_argument("--experiments", nargs="+", default=EXPERIMENTS, choices=EXPERIMENTS)
    return parser.parse_args()


def _done(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {(line["experiment"], line["seed"]): line for line in lines}


def _run(name: str, seed: int, directory: Path) -> dict[str, Any]:
    runs = directory / f"{name}-{seed}"
    shutil.rmtree(runs, ignore_errors=True)
    command = [sys.executable, "-m", "chaos", "run", name, "--seed", str(seed), "--json", "--runs-dir", str(runs)]
    began = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    line: dict[str, Any] = {
        "experiment": name,
        "seed": seed,
        "exit": ended.returncode,
        "seconds": round(time.monotonic() - began, 1),
    }
    if ended.returncode == 0:
        shutil.rmtree(runs, ignore_errors=True)
        return line
    line["kept"] = str(runs)
    line["why"] = _why(ended)
    return line


def _why(ended: subprocess.CompletedProcess[str]) -> list[str]:
    try:
        checks = json.loads(ended.stdout)["checks"]
    except (ValueError, KeyError):
        return ended.stderr.strip().splitlines()[-5:]
    return [
        f"{check['id']} {check['phase']} {check['outcome']}: {check['measured']} {'; '.join(check['reasons'])}"
        for check in checks
        if check["outcome"] != "pass"
    ]


def _conclude(lines: list[dict[str, Any]]) -> int:
    counts = {name: Counter(NAMES.get(line["exit"], "other") for line in lines if line["experiment"] == name)
              for name in dict.fromkeys(line["experiment"] for line in lines)}  # fmt: skip
    for name, count in counts.items():
        print(f"{name:20} " + ", ".join(f"{number} {outcome}" for outcome, number in count.items()))
    total = sum(counts.values(), Counter[str]())
    print(f"total                {dict(total)}")
    unclear = total["inconclusive"]
    good = not total["fail"] and not total["other"] and unclear * 100 <= max(len(lines), 100)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
