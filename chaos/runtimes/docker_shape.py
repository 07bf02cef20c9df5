"""Puts a fault's rules into a container's network namespace, prolongs them, counts with them, takes them out.

State lives in the kernel alone and is found again by its marks, so another process can take out what this one put
in. A root queueing discipline that is not ours is refused, before anything is changed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from chaos.errors import StackFailed
from chaos.model.link import LinkEffect
from chaos.runtimes import docker_rules as rules
from chaos.runtimes.docker_net import CommandFailed, run

TOOLS = ("nsenter", "iptables", "iptables-save", "iptables-restore", "tc", "ip", "ss")
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
    devices = _devices(pid, order) if order.effect.rate_kbps else ()
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


def marked(pid: int) -> tuple[str, ...]:
    """What carries our marks, whatever fault put it in: ids of faults, and devices with our handle."""
    devices = (device.name for device in _all_devices(pid) if _root(device) == rules.MAJOR)
    return (*rules.faults(_saved(pid)), *devices)


def clear(pid: int) -> None:
    """Take out everything that `marked` finds. Raises `StackFailed`."""
    for fault in rules.faults(_saved(pid)):
        take_out(pid, fault)
    for device in _all_devices(pid):
        if _root(device) == rules.MAJOR:
            run(device.pid, "tc", "qdisc", "del", "dev", device.name, "root")


def counted(pid: int, fault: str) -> dict[str, dict[str, int]]:
    """Per link what the fault dropped (packets, bytes), and what it made wait (bytes)."""
    found: dict[str, dict[str, int]] = {}
    names = {rules.chain(fault, direction) for direction in rules.WAYS_IN}
    for line in run(pid, "iptables-save", "-c", "-t", "filter").splitlines():
        words = line.split()
        if len(words) > 2 and words[1] == "-A" and words[2] in names and "--comment" in words:  # noqa: PLR2004
            packets, _, size = words[0].strip("[]").partition(":")
            link = found.setdefault(words[words.index("--comment") + 1].strip('"'), {"packets": 0, "bytes": 0})
            link["packets"] += int(packets)
            link["bytes"] += int(size)
    late = sum(_late_bytes(device, fault) for device in _all_devices(pid))
    return {**found, "": {"late": late}} if late else found


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
    """Both ends of each of the container's veth pairs."""
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
    for command in rules.rate(order, device.name, device.direction):
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


def _late_bytes(device: Device, fault: str) -> int:
    """Bytes through the fault's class, once it was the bottleneck."""
    if _root(device) != rules.MAJOR:
        return 0
    text = run(device.pid, "tc", "-s", "class", "show", "dev", device.name, "classid", f"ca05:{rules.slot(fault):x}")
    words = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
    figures = {word: words[place + 1] for place, word in enumerate(words[:-1])}
    return int(figures.get("Sent", 0)) if int(figures.get("overlimits", 0)) else 0


def try_carrier(effect: LinkEffect) -> str:
    """Try in a throw-away namespace whether the kernel can do this; returns why it cannot, or nothing."""
    order = rules.Order("trial", (rules.Way("trial", ("192.0.2.1",), 9),), (), effect)
    script = ["set -e", "ip link add cc0 type veth peer name cc1"]
    if effect.rate_kbps:
        script.append(f"tc qdisc add dev cc0 root handle {rules.MAJOR} htb")
        script += [f"tc {' '.join(command)}" for command in rules.rate(order, "cc0", "i")]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "rules"
        text.write_text(rules.install(order, order.directions, rules.until(60)))
        if text.stat().st_size:
            script.append(f"iptables-restore --noflush {text}")
        try:
            run(0, "unshare", "--net", "sh", "-c", "\n".join(script))
        except CommandFailed as error:
            return error.message.splitlines()[-1].strip("`")
    return ""
