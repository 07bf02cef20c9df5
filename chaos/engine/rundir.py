"""The directory of a run: created so that no two runs collide, written so that no file is ever half there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.errors import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def storage(path: Path, *, hint: str = "free some space, or point --runs-dir at another disk") -> Iterator[None]:
    """Turn what the disk says into a failure that a user understands."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


class RunDirectory:
    """`runs/<utc>-<name>-<4 hex>/`, and `runs/latest` pointing at it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The directory's name; unique on this machine."""
        return self.path.name

    @classmethod
    def named(cls, root: Path, name: str) -> RunDirectory:
        """A fresh one that is not made yet: a run that is refused leaves nothing."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "run"
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return cls((root / f"{stamp}-{slug}-{secrets.token_hex(2)}").absolute())

    @classmethod
    def create(cls, root: Path, name: str) -> RunDirectory:
        """Name and make one; raises `StorageFailed`."""
        directory = cls.named(root, name)
        directory.make()
        return directory

    def make(self) -> None:
        """Make it, and point `latest` at it; raises `StorageFailed`."""
        with storage(self.path):
            self.path.mkdir(parents=True)
            (self.path / "logs").mkdir()
            (self.path / "events").mkdir()
            _point(self.path.parent / "latest", self.path.name)

    def write(self, name: str, text: str) -> Path:
        """Write a file whole or not at all."""
        target = self.path / name
        with storage(target):
            partial = target.with_name(f".{target.name}.partial")
            try:
                partial.write_text(text, encoding="utf-8")
                partial.replace(target)
            except OSError:
                with contextlib.suppress(OSError):
                    partial.unlink()
                raise
        return target

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as JSON, for people to read too."""
        return self.write(name, json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def _point(link: Path, name: str) -> None:
    # A file system without symbolic links loses the shortcut, not the run.
    with contextlib.suppress(OSError):
        fresh = link.with_name(f".latest-{os.getpid()}")
        fresh.symlink_to(name)
        fresh.replace(link)
