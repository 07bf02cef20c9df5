"""What a helper container does once: `python -m chaos.runtimes.docker_once ORDERS.json`; it answers on stdout.

It stands beside the containers, so it does by hand what is done on an engine's own host without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError
from chaos.model.link import LinkEffect
from chaos.runtimes import docker_marks, docker_shape, docker_undo
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.docker_far import check
from chaos.runtimes.report import tell


def main(argv: list[str]) -> int:
    """Entry point."""
    orders = json.loads(Path(argv[1]).read_text())
    try:
        with contextlib.closing(Engine()) as engine:
            check(engine, orders["engine"])
            tell({"ok": True, "value": _do(engine, orders["do"], orders["arguments"])})
    except ChaosError as error:
        why = "; ".join((error.message, *error.evidence))
        tell({"ok": False, "why": why, "hint": error.hint})
        return 1
    return 0


def _do(engine: Engine, do: str, arguments: dict[str, Any]) -> Any:
    if do == "release":
        return docker_undo.by_hand(engine, arguments["fault"], arguments["containers"])
    if do == "why_not":
        effects = [LinkEffect.model_validate(one) for one in arguments["effects"]]
        return [(docker_shape.why_not(one, netem=True), docker_shape.why_not(one)) for one in effects]
    return dataclasses.asdict(docker_marks.sweep(engine, dry=arguments["dry"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
