"""The document nodes against the real client: @hocuspocus/provider of the npm package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from embedded_harness import running

VERSION = "4.7.0"

pytestmark = [pytest.mark.needs_node, pytest.mark.timeout(180)]


def _install() -> Path:
    """The folder with the package, installed once into the repository's cache."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = Path(__file__).parents[2] / ".cache" / f"hocuspocus-provider-{VERSION}"
    if not (folder / "node_modules" / "@hocuspocus" / "provider" / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        packages = (f"@hocuspocus/provider@{VERSION}", "yjs@13", "y-protocols@1", "ws@8")
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm could not install @hocuspocus/provider: {done.stderr.strip()[-300:]}")
    script = Path(__file__).with_name("embedded_provider.mjs")
    shutil.copy(script, folder / script.name)
    return folder


def test_real_provider_syncs_edits_offline_and_shows_presence() -> None:
    """Two real providers in two regions converge, get their acknowledgements, merge offline edits and see presence."""
    folder = _install()
    with running() as stack:
        done = subprocess.run(
            ["node", "embedded_provider.mjs", stack.url("cn-east", ""), stack.url("cn-north", "")],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all holds"
