"""Processor time of `chaos --help`, beside the bare interpreter and the stock toolkit's, measured in pairs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 15
PROGRAMS = {
    "interpreter": ("-c", "pass"),
    "ours": ("-m", "chaos", "--help"),
    "toolkit": ("-m", "chaostoolkit", "--help"),
}


def run() -> dict[str, Any]:
    """User and system milliseconds of each program (medians), what ours costs beyond the interpreter, and ratios."""
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for round_number in range(PAIRS + 1):
        for name, words in PROGRAMS.items():
            used = _processor_ms(words)
            if round_number:  # the first round writes the bytecode
                taken[name].append(used)
    beyond = [ours - bare for ours, bare in zip(taken["ours"], taken["interpreter"], strict=True)]
    ratios = [ours / theirs for ours, theirs in zip(taken["ours"], taken["toolkit"], strict=True)]
    return {
        "unit": "ms of processor time",
        "pairs": PAIRS,
        "medians": {name: round(statistics.median(values), 1) for name, values in taken.items()},
        "beyond_interpreter": {"median": round(statistics.median(beyond), 1), "worst": round(max(beyond), 1)},
        "ours_to_toolkit": {
            "median": round(statistics.median(ratios), 3),
            "range": [round(min(ratios), 3), round(max(ratios), 3)],
        },
    }


def _processor_ms(words: tuple[str, ...]) -> float:
    """What one process used, from the kernel's own account of that child."""
    child = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
