"""Control groups of a container: the folder of one controller, version 1 or 2, found by a process in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.errors import StackFailed

ROOT = Path("/sys/fs/cgroup")
TAKES_ROOT = "it takes root on the engine's own host"


@dataclass(frozen=True, slots=True)
class Group:
    """The folder of a controller, and the version of the hierarchy that it is in."""

    folder: Path
    version: int

    def has(self, name: str) -> bool:
        """Whether this kernel has such a file."""
        return (self.folder / name).exists()

    def read(self, name: str) -> str:
        """A file of it. Raises `StackFailed`."""
        try:
            return (self.folder / name).read_text().strip()
        except OSError as error:
            raise unusable(self.folder / name, error) from error

    def write(self, name: str, text: str) -> None:
        """Set a file of it. Raises `StackFailed`."""
        try:
            (self.folder / name).write_text(text)
        except OSError as error:
            raise unusable(self.folder / name, error) from error

    @property
    def whole(self) -> bool:
        """Whether it is the one of the whole machine."""
        return self.has("release_agent") if self.version == 1 else not self.has("cgroup.events")


def group(pid: int, controller: str, proof: str) -> Group:
    """The group that limits a process in one respect; `proof` is a file that version 2 has only where it does.

    Raises `StackFailed`.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise unusable(Path(f"/proc/{pid}/cgroup"), error) from error
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            for mount in (controllers, controller):
                if (folder := ROOT / mount / path.lstrip("/")).is_dir():
                    return Group(folder, 1)
        if not controllers and (ROOT / path.lstrip("/") / proof).exists():
            return Group(ROOT / path.lstrip("/"), 2)
    hint = "see /proc/PID/cgroup"
    raise StackFailed(f"no cgroup with the controller {controller} is seen for process {pid}", hint=hint)


def unusable(path: Path, error: Exception) -> StackFailed:
    """A file of a group that cannot be read or set."""
    why = getattr(error, "strerror", None) or str(error)
    return StackFailed(f"{path} cannot be read or set: {why}", hint=TAKES_ROOT)
