"""Puts a fault's rules into a container's network namespace, prolongs them, counts with them, takes them out.

State lives in the kernel alone and is found again by its marks, so another process can take out what this one put
in. A root queueing discipline that is not ours is refused, before anything is changed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from chaos.errors import StackFailed
from chaos.model.link import LinkEffect
from chaos.runtimes import docker_rules as rules
from chaos.runtimes.docker_net import CommandFailed, run

TOOLS = ("nsenter", "iptables", "iptables-save", "iptables-restore", "tc", "ip", "ss")
SEEN = {
    "duplicated": ("TcpExt:TCPDSACKOldSent", "TcpExt:TCPDSACKOfoSent"),
    "reordered": ("TcpExt:TCPOFOQueue",),
    "corrupted": ("Tcp:InCsumErrors", "Udp:InCsumErrors", "Ip:InHdrErrors"),
}
"""Counters of the end that receives."""
SENT = {
    "duplicated": ("TcpExt:TCPDSACKRecv", "TcpExt:TCPDSACKOfoRecv"),
    "reordered": ("TcpExt:TCPSACKReorder", "TcpExt:TCPTSReorder"),
    "corrupted": (),
}
"""Counters of the end that sent, and was told."""
CALM_HANDLE = "0:"
"""Handle of what the kernel itself puts on a device."""


class Foreign(StackFailed):
    """Somebody else's queueing discipline is where ours would have to go."""


class Device(NamedTuple):
    """A network device: the namespace it is in (a pid; 0: the host's), its name, and the direction that leaves it."""

    pid: int
    name: str
    direction: str


def missing() -> str:
    """Which programs of the host are missing, in words; empty if none is."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not on this host: {', '.join(absent)}" if absent else ""


def put(pid: int, order: rules.Order, term_s: float) -> None:
    """Put everything of an order in; half of it is taken out again if the rest fails. Raises `StackFailed`."""
    devices = _devices(pid, order) if order.classed else ()
    for device in devices:
        _refuse_foreign(device)
    try:
        for device in devices:
            _narrow(device, order)
        _filter(pid, order, term_s)
    except StackFailed:
        with contextlib.suppress(StackFailed):
            take_out(pid, order.fault)
        raise


def prolong(pid: int, fault: str, term_s: float) -> None:
    """Give the rules a new end."""
    text = rules.prolong(_saved(pid), fault, rules.until(term_s))
    if text:
        run(pid, "iptables-restore", "--noflush", "--wait", "5", stdin=text)


def take_out(pid: int, fault: str) -> bool:
    """Take out everything of a fault, whoever put it in; says whether there was anything. Raises `StackFailed`."""
    text = rules.remove(_saved(pid), fault)
    if text:
        run(pid, "iptables-restore", "--noflush", "--wait", "5", stdin=text)
    found = [_widen(device, fault) for device in _all_devices(pid)]
    return bool(text) or any(found)


def split(effect: LinkEffect) -> tuple[LinkEffect, LinkEffect]:
    """What netem can do of an effect on this host, and the rest; each part goes to the first carrier that works."""
    first, rest = dict[str, Any](), dict[str, Any]()
    for what, part in effect.parts().items():
        kernel = what in rules.NETEM and not why_not(part, netem=True)
        (first if kernel else rest).update(part.model_dump(exclude_unset=True))
    rest["direction"] = effect.direction
    return LinkEffect.model_validate(first) if first else rules.NOTHING, LinkEffect.model_validate(rest)


def counted(pid: int, order: rules.Order, since: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Fields of `LinkStats` per link, and under no name what cannot be told apart by link.

    `since` is what was `seen` before the order was put in.
    """
    found: dict[str, dict[str, int]] = {}
    names = {rules.chain(order.fault, direction) for direction in rules.WAYS_IN}
    for line in run(pid, "iptables-save", "-c", "-t", "filter").splitlines():
        words = line.split()
        if len(words) > 2 and words[1] == "-A" and words[2] in names and "--comment" in words:  # noqa: PLR2004
            packets, _, size = words[0].strip("[]").partition(":")
            link = found.setdefault(words[words.index("--comment") + 1].strip('"'), {"stalls": 0, "blocked_bytes": 0})
            link["stalls"] += int(packets)
            link["blocked_bytes"] += int(size)
    whole = Counter[str]()
    places = {(one.name, rules.class_of(order, one.direction)): one for one in _devices(pid, order) if order.classed}
    for device in places.values():
        whole.update(_class_counts(device, order))
    asked = {"duplicated": order.netem.duplicate, "reordered": order.netem.reorder, "corrupted": order.netem.corrupt}
    if any(asked.values()):
        now = seen(pid, lo=order.lo)
        whole.update({name: now[name] - since.get(name, 0) for name, share in asked.items() if share})
    return {**found, "": dict(whole)} if whole else found


def seen(pid: int, *, lo: bool) -> dict[str, int]:
    """What the namespace's own TCP says of packets that came twice, late or damaged: netem counts none of them.

    In a sandbox both ends of a link are in it, and only what the receiving one says is taken.
    """
    found = Counter[str]()
    for name in ("netstat", "snmp"):
        lines = Path(f"/proc/{pid or 'self'}/net/{name}").read_text().splitlines()
        for heads, values in zip(lines[::2], lines[1::2], strict=True):
            kind, *rest = heads.split()
            found.update({kind + head: int(value) for head, value in zip(rest, values.split()[1:], strict=True)})
    return {name: sum(found[field] for field in SEEN[name] + (() if lo else SENT[name])) for name in SEEN}


def _filter(pid: int, order: rules.Order, term_s: float) -> None:
    """Incoming first: a live socket that is cut tells its peer so before nothing can leave any more."""
    stop = rules.until(term_s)
    loud = order.effect.block == "loud"
    for directions in [(one,) for one in order.directions] if loud else [order.directions]:
        text = rules.install(order, directions, stop)
        if text:
            run(pid, "iptables-restore", "--noflush", "--wait", "5", stdin=text)
        if loud and directions == order.directions[:1]:
            _cut(pid, order)


def _cut(pid: int, order: rules.Order) -> None:
    """End the live connections of the order's links."""
    for way in order.ways:
        for source in way.sources:
            run(pid, "ss", "-K", "-t", "state", "connected", "sport", "=", f":{way.port}", "dst", source)
        if not way.sources:
            spare = [word for address in order.nodes for word in ("and", "not", "dst", address)]
            run(pid, "ss", "-K", "-t", "state", "connected", "sport", "=", f":{way.port}", *spare)


def _saved(pid: int) -> str:
    return "".join(run(pid, "iptables-save", "-t", table) for table in rules.TABLES)


def _devices(pid: int, order: rules.Order) -> tuple[Device, ...]:
    return tuple(device for device in _all_devices(pid) if device.direction in order.directions)


def _all_devices(pid: int) -> Iterator[Device]:
    """Both ends of each of the container's veth pairs; in our own namespace, a sandbox, `lo` for both directions."""
    if not pid:
        yield from (Device(0, "lo", direction) for direction in rules.WAYS_IN)
        return
    here = {link["ifindex"]: link for link in _links(0)}
    for link in _links(pid):
        if link["ifname"] == "lo":
            continue
        yield Device(pid, link["ifname"], "o")
        peer = here.get(link.get("link_index", 0))
        if peer is not None and peer.get("link_index") == link["ifindex"]:
            yield Device(0, peer["ifname"], "i")


def _links(pid: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(pid, "ip", "-j", "link", "show") or "[]")
    return found


def _root(device: Device) -> str:
    """The handle of the root queueing discipline; empty if the device is gone."""
    with contextlib.suppress(CommandFailed):
        for line in run(device.pid, "tc", "qdisc", "show", "dev", device.name, "root").splitlines():
            return line.split()[2]
    return CALM_HANDLE


def _refuse_foreign(device: Device) -> None:
    if (handle := _root(device)) not in {CALM_HANDLE, rules.MAJOR}:
        raise Foreign(
            f"{device.name} has a queueing discipline of somebody else ({handle}): not touched",
            hint=f"tc qdisc show dev {device.name}",
        )


def _narrow(device: Device, order: rules.Order) -> None:
    if _root(device) != rules.MAJOR:
        run(device.pid, "tc", "qdisc", "add", "dev", device.name, "root", "handle", rules.MAJOR, "htb")
    for command in rules.classes(order, device.name, device.direction):
        run(device.pid, "tc", *command)


def _widen(device: Device, fault: str) -> bool:
    if _root(device) != rules.MAJOR:
        return False
    for command in rules.unrate(fault, device.name):
        with contextlib.suppress(CommandFailed):  # a fault has not all kinds of filters
            run(device.pid, "tc", *command)
    if not run(device.pid, "tc", "class", "show", "dev", device.name).strip():
        run(device.pid, "tc", "qdisc", "del", "dev", device.name, "root")
    return True


def _class_counts(device: Device, order: rules.Order) -> dict[str, int]:
    """Bytes through the order's class, once it was the bottleneck or delayed them, and packets that netem dropped."""
    if _root(device) != rules.MAJOR:
        return {}
    own = rules.class_of(order, device.direction)
    text = run(device.pid, "tc", "-s", "class", "show", "dev", device.name, "classid", own)
    words = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
    figures = {word: words[place + 1] for place, word in enumerate(words[:-1])}
    late = order.netem.delay_ms or order.netem.jitter_ms or int(figures.get("overlimits", 0))
    counts = {"delayed_bytes": int(figures.get("Sent", 0)) if late else 0}
    if order.netem.loss or order.netem.burst_loss:
        discs = json.loads(run(device.pid, "tc", "-s", "-j", "qdisc", "show", "dev", device.name) or "[]")
        counts["stalls"] = sum(disc.get("drops", 0) for disc in discs if disc.get("parent") == own)
    return counts


@functools.cache
def why_not(effect: LinkEffect, *, netem: bool = False) -> str:
    """Try an effect in a throw-away namespace, by netem or by everything else; why this host cannot, or nothing."""
    if why := missing():
        return why
    if not netem and (left := effect.parts().keys() - rules.OTHERWISE):
        return f"only netem does {', '.join(sorted(left))}"
    parts = (rules.NOTHING, effect) if netem else (effect, rules.NOTHING)
    order = rules.Order("trial", (rules.Way("trial", ("192.0.2.1",), 9),), (), parts[0], netem=parts[1])
    script = ["set -e", "ip link add cc0 type veth peer name cc1"]
    if order.classed:
        for device, direction in zip(("cc0", "cc1"), rules.WAYS_IN, strict=True):
            script.append(f"tc qdisc add dev {device} root handle {rules.MAJOR} htb")
            script += [f"tc {' '.join(command)}" for command in rules.classes(order, device, direction)]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "rules"
        text.write_text(rules.install(order, tuple(rules.WAYS_IN), rules.until(60)))
        if text.stat().st_size:
            script.append(f"iptables-restore --noflush {text}")
        try:
            run(0, "unshare", "--net", "sh", "-c", "\n".join(script))
        except CommandFailed as error:
            return _last_words(error)
    return ""


def _last_words(error: CommandFailed) -> str:
    """What the tool said, without the script that it was told."""
    lines = [line for line in error.message.splitlines() if line.strip()]
    return lines[-1].rpartition("`: ")[2].strip()
