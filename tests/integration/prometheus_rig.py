"""A real Prometheus with one rule; skipped, with the reason, where the program is missing."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from chaos.runtimes import ports

UNPACKED = Path(__file__).parents[2] / ".cache" / "prometheus" / "usr" / "bin" / "prometheus"
"""Where `.ci/packages` puts it."""
CONFIG = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
scrape_configs: [{job_name: stack, static_configs: [%s]}]
"""
RULES = "groups: [{name: stack, rules: [{alert: %s, expr: '%s', for: 0s}]}]\n"


def prometheus_or_skip() -> str:
    """The program; Debian has it as the package `prometheus`."""
    found = shutil.which("prometheus") or (str(UNPACKED) if UNPACKED.exists() else None)
    if found is None:
        pytest.skip("prometheus is not installed")
    return found


def configure(folder: Path, targets: Mapping[str, int | str], alert: str, expr: str) -> Path:
    """The configuration that scrapes these ports of loopback, each with its name as the label `node`."""
    listed = ", ".join(f"{{targets: ['127.0.0.1:{port}'], labels: {{node: {name}}}}}" for name, port in targets.items())
    (folder / "rules.yml").write_text(RULES % (alert, expr))
    (folder / "prometheus.yml").write_text(CONFIG % listed)
    return folder / "prometheus.yml"


class Monitor:
    """A Prometheus that may be ended and started again on its port."""

    def __init__(self, config: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            prometheus_or_skip(),
            f"--config.file={config}",
            f"--storage.tsdb.path={config.parent / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self._log = config.parent / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def monitor(config: Path) -> Iterator[Monitor]:
    """Started, and ended whatever happens."""
    with contextlib.closing(ports.claim(1)) as claim:
        one = Monitor(config, claim.ports[0])
        one.start()
        try:
            yield one
        finally:
            one.end()
