"""A run on a stack whose own monitoring, a node of it, sees a server die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_rig import prometheus_or_skip
from stack_rig import mentions

ROOT = Path(__file__).parents[2]
MONITOR = """
import os, sys
sys.path.insert(0, {rig!r})
from pathlib import Path
from prometheus_rig import configure
program, port, data, *nodes = sys.argv[1:]
ports = dict(one.split("=") for one in nodes)
config = configure(Path(data), ports, "NodeDown", "up == 0")
os.execv(program, [program, f"--config.file={{config}}", "--storage.tsdb.path=" + data,
                   "--web.listen-address=127.0.0.1:" + port])
"""
WATCHED = ("doc-e1", "doc-e2", "doc-n1", "doc-n2")

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(300)]


def monitored(folder: Path) -> Path:
    """The embedded stack with a Prometheus beside its nodes, and an experiment on it that asks for a warning."""
    program = prometheus_or_skip()
    (folder / "monitor.py").write_text(MONITOR.format(rig=str(ROOT / "tests" / "integration")))
    targets = [f"{name}=${{nodes.{name}.port}}" for name in WATCHED]
    command = ["${python}", "${here}/monitor.py", program, "${port}", "${data}", *targets]
    node = {"name": "prometheus", "health": "/-/ready", "command": command}
    service = f"  monitoring: {{nodes: [{json.dumps(node)}]}}\n"
    text = (ROOT / "chaos" / "stacks" / "embedded" / "stack.yaml").read_text()
    text = text.replace("\nlinks:\n", f"\n{service}\nlinks:\n")
    stack = folder / "stack.yaml"
    stack.write_text(text + 'alerts: {prometheus: "http://127.0.0.1:${nodes.prometheus.port}"}\n')
    experiment = json.loads((ROOT / "experiments" / "server_loss.json").read_text())
    ours = experiment["extensions"][0]
    ours["stack"] = str(stack)
    ours["thresholds"]["run"].append("warning < 15 s")
    del experiment["method"][1]
    path = folder / "warned.json"
    path.write_text(json.dumps(experiment))
    return path


def test_the_stacks_own_alert_is_timed_from_the_fault(tmp_path: Path) -> None:
    """The line passes with the alert and its time, the record holds the looks, and Prometheus ends with the stack."""
    runs = tmp_path / "runs"
    words = [sys.executable, "-m", "chaos", "run", str(monitored(tmp_path)), "--json", "--runs-dir", str(runs)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=250, check=False)
    (line,) = (one for one in json.loads(done.stdout)["checks"] if one["id"] == "warning")
    assert (line["outcome"], line["threshold"]) == ("pass", "warning < 15 s"), line
    assert line["figures"]["alert"] == "NodeDown"
    assert 0 < line["figures"]["warning_s"] < 15
    words = [sys.executable, "-m", "chaos", "export", str(runs / "latest")]
    record = subprocess.run(words, capture_output=True, text=True, env=env, timeout=60, check=True).stdout
    looks = [event for event in map(json.loads, record.splitlines()) if event["f"] == "alerts"]
    assert sum(event["type"] == "obs" for event in looks) > 25
    assert not mentions(os.environ["COLLAB_CHAOS_STATE"])
