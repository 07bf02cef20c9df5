"""The operator's policy file to a checked `Policy`, or to all its problems with file:line:col.

It is `/etc/collab-chaos/policy.yaml`, and where there is none, the file that `$COLLAB_CHAOS_POLICY` names: nobody
gets round the first by setting the second. A file that is named and missing, or that has a problem, lets nothing run.
"""

from __future__ import annotations

import json
import os
import re
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.errors import InvalidInput
from chaos.experiment.positions import load_text
from chaos.experiment.report import Report
from chaos.model.policy import Hours, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chaos.experiment.positions import KeyPath

VARIABLE = "COLLAB_CHAOS_POLICY"
DEFAULT = Path("/etc/collab-chaos/policy.yaml")
KEYS = ("hosts", "stacks", "docker", "blast_radius", "hours", "audit")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = 'for example "mon-fri 09:00-17:00 Europe/Berlin"'
_HOURS = re.compile(r"(?P<days>[a-z,-]+)\s+(?P<h1>\d\d?):(?P<m1>\d\d)-(?P<h2>\d\d?):(?P<m2>\d\d)(?:\s+(?P<zone>\S+))?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
DAY_MIN = 24 * 60


def find(env: Mapping[str, str] = os.environ) -> Path | None:
    """The file that rules here, if there is one."""
    try:
        DEFAULT.lstat()
    except (FileNotFoundError, NotADirectoryError):
        named = env.get(VARIABLE)
        return Path(named) if named else None
    except OSError:
        pass  # it may be there: reading it says why it cannot be read
    return DEFAULT


def load_policy(env: Mapping[str, str] = os.environ) -> Policy | None:
    """The policy that rules here; None where there is none. Raises `InvalidInput` with every problem of its file."""
    path = find(env)
    if path is None:
        return None
    hint = f"nothing runs while the operator's policy ({DEFAULT}, else ${VARIABLE}) cannot be read"
    try:
        located = load_text(path)
    except InvalidInput as error:
        raise InvalidInput(error.problems, hint=hint) from None
    report = Report(located)
    policy = _read(report, located.data, str(path)) if report.mapping((), located.data, KEYS) else None
    if report.problems or policy is None:
        raise InvalidInput(tuple(report.problems), hint=hint)
    return policy


def docker_context(env: Mapping[str, str]) -> str:
    """What Docker's client talks to: a host that is set, else a context that is set or chosen, else `default`."""
    if named := env.get("DOCKER_HOST") or env.get("DOCKER_CONTEXT"):
        return named
    config = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "~")).expanduser() / ".docker") / "config.json"
    try:
        return str(json.loads(config.read_text(encoding="utf-8")).get("currentContext") or "default")
    except (OSError, ValueError, AttributeError):
        return "default"


def _read(report: Report, data: dict[str, Any], file: str) -> Policy:
    docker, blast = (_part(report, data, *one) for one in _PARTS.items())
    places = {
        ".".join(path): report.located.place(path)
        for path in (
            *((key,) for key in data),
            *(("docker", key) for key in docker),
            *(("blast_radius", k) for k in blast),
        )
    }
    return Policy(
        file=file,
        hosts=_texts(report, ("hosts",), data),
        stacks=_texts(report, ("stacks",), data),
        docker_contexts=_texts(report, ("docker", "contexts"), docker),
        docker_labels=_texts(report, ("docker", "labels"), docker) or (),
        largest_nodes=_share(report, ("blast_radius", "nodes"), blast),
        largest_users=_share(report, ("blast_radius", "users"), blast),
        hours=_all_hours(report, data),
        audit=_audit(report, data),
        places=places,
    )


_PARTS = {"docker": ("contexts", "labels"), "blast_radius": ("nodes", "users")}


def _part(report: Report, data: dict[str, Any], name: str, known: tuple[str, ...]) -> dict[str, Any]:
    value = data.get(name, {})
    return value if report.mapping((name,), value, known) else {}


def _texts(report: Report, path: KeyPath, owner: dict[str, Any]) -> tuple[str, ...] | None:
    """A list of texts; None where the key is not there, for an empty list allows nothing."""
    if path[-1] not in owner:
        return None
    values = owner[str(path[-1])]
    if not report.typed(path, values, list):
        return ()
    return tuple(value for index, value in enumerate(values) if report.text((*path, index), value))


def _share(report: Report, path: KeyPath, owner: dict[str, Any]) -> float:
    value = owner.get(str(path[-1]), "100%")
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    share = float(found[1]) / 100 if found else float(value) if type(value) in {int, float} else -1.0
    if not 0 <= share <= 1:
        report.say(path, f"{path[-1]} must be a share, not {value!r}", "50% or 0.5")
        return 0.0
    return share


def _audit(report: Report, data: dict[str, Any]) -> str:
    value = data.get("audit", "")
    if "audit" not in data or not report.text(("audit",), value):
        return ""
    if not Path(value).is_absolute():
        report.say(("audit",), f"audit must be an absolute path, not {value!r}")
    return str(value)


def _all_hours(report: Report, data: dict[str, Any]) -> tuple[Hours, ...] | None:
    texts = _texts(report, ("hours",), data)
    if texts is None:
        return None
    return tuple(hours for index, text in enumerate(texts) for hours in _hours(report, ("hours", index), text))


def _hours(report: Report, path: KeyPath, text: str) -> Iterator[Hours]:
    found = _HOURS.fullmatch(text.strip().lower())
    if found is None:
        report.say(path, f"{text!r} are no hours", HOURS)
        return
    start, end = (int(found[f"h{n}"]) * 60 + int(found[f"m{n}"]) for n in (1, 2))
    if start >= DAY_MIN or end > DAY_MIN or int(found["m1"]) > 59 or int(found["m2"]) > 59:  # noqa: PLR2004
        report.say(path, f"{text!r}: there is no such time of day", "00:00 to 24:00")
        return
    days = _days(report, path, found["days"])
    zone = text.rsplit(maxsplit=1)[-1] if found["zone"] else ""
    if zone and not _is_zone(zone):
        report.say(path, f"{zone!r} is no time zone", "UTC, or a name such as Europe/Berlin; none: this machine's")
        return
    if days:
        yield Hours(text=text, days=days, start_min=start, end_min=end, zone=zone)


def _days(report: Report, path: KeyPath, text: str) -> tuple[int, ...]:
    """`mon-fri,sun` as numbers; `sat-mon` goes round the end of the week."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            report.say(path, f"{part!r} are no days", f"days are {' '.join(DAYS)}")
            return ()
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(start, end + 1 + 7 * (end < start))}
    return tuple(sorted(found))


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
