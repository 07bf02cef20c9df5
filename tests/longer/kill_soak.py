"""Kills the conductor again and again, at random steps and moments of random faults, and counts what is left.

One detached stack lives through all of it. After most kills it is healed; after every tenth nobody heals, and
the leases must run out by themselves. Nothing may ever be left within the promised ten seconds.

    python -m tests.longer.kill_soak --times 200 --seed 1
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.engine.leftovers import heal
from chaos.engine.steps import Step
from tests.conformance.kill_rig import FAULTS, Conductors, detached, settled, snapshot

if TYPE_CHECKING:
    from chaos.runtimes.process import RunningStack

HOLD_S = 0.3
LONGEST_S = 0.6
"""Of the moments at which a kill may come; a run of such a fault takes about as long."""
WAITED_FOR = 10
"""Every so many kills the leases are left to run out; the others are healed at once."""


def main() -> int:
    """Kill as often as asked for; return 0 if nothing was ever left."""
    options = _options()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ["COLLAB_CHAOS_STATE"] = str(Path(folder) / "state")
        with detached(Path(folder)) as stack, Conductors() as conductors:
            return _soak(stack, conductors, chance, options.times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _soak(stack: RunningStack, conductors: Conductors, chance: random.Random, times: int) -> int:
    before = snapshot(stack)
    left = 0
    ends: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(1, times + 1):
        what, how = _point(chance)
        code = conductors.run(stack.site, what, duration=HOLD_S, **how)
        ends["killed" if code == -signal.SIGKILL else "too late, it had ended"] += 1
        found = _left(stack, before, wait=number % WAITED_FOR == 0)
        if found or code not in {0, -signal.SIGKILL}:
            left += 1
            print(f"{number:>4}  {what} {how}, code {code}: {found}", flush=True)
        elif number % 20 == 0:
            print(f"{number:>4}  {time.monotonic() - began:5.0f} s  {left} leftovers", flush=True)
    print(f"{times} kill points ({', '.join(f'{n} {word}' for word, n in ends.items())}): {left} leftovers")
    return 1 if left else 0


def _point(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """A fault, and a step or a moment."""
    what = chance.choice(sorted(FAULTS))
    if chance.random() < 0.5:
        return what, {"at": chance.choice(list(Step))}
    return what, {"after_s": round(chance.uniform(0.001, LONGEST_S), 3)}


def _left(stack: RunningStack, before: dict[str, Any], *, wait: bool) -> list[str]:
    """What is not as it was before, in words."""
    found = []
    if wait:
        outside = [part for part in before if part != "files"]
        now = settled(stack, before, *outside)
        found += [f"without a heal, {part}: {now[part]}" for part in outside if now[part] != before[part]]
    found += heal().left
    now = settled(stack, before)
    return found + [f"{part}: {now[part]}" for part in before if now[part] != before[part]]


if __name__ == "__main__":
    sys.exit(main())
