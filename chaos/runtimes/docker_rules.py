"""What is told to iptables and tc: pure text, marked as ours, for one fault in one container's network namespace.

Everything lies at the end of the link that listens: what comes in is the link's forward direction, what goes out its
backward one. Drops live in the table `filter` and delays in `mangle`, which is met first: so a later delay can
never let past what an earlier fault drops.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from chaos.model.link import LinkEffect
from chaos.runtimes.docker_delay import MARK

MAJOR = "ca05:"
"""Handle of every queueing discipline of ours."""
TABLES = ("filter", "mangle")
PROTOCOLS = ("tcp", "udp")
WAYS_IN = {"i": "INPUT", "o": "OUTPUT"}
EXCLUDED, CAUGHT = 0x4000, 0x8000
"""Filters that name a peer come first, then those that spare the nodes, then those that catch everybody else."""


@dataclass(frozen=True, slots=True)
class Way:
    """A link, seen from its target."""

    link: str
    sources: tuple[str, ...]
    """Addresses of the source; none: users, which is everybody that is no node."""
    port: int


@dataclass(frozen=True, slots=True)
class Order:
    """One fault on the links that end in one container."""

    fault: str
    ways: tuple[Way, ...]
    nodes: tuple[str, ...]
    """Addresses of all nodes: no user has one of these."""
    effect: LinkEffect
    seed: int = 0

    @property
    def directions(self) -> tuple[str, ...]:
        """Forward is i, backward is o."""
        return {"forward": ("i",), "backward": ("o",), "both": ("i", "o")}[self.effect.direction]


def mark(fault: str) -> str:
    """The comment of every jump that we add."""
    return f"collab-chaos {fault}"


def slot(fault: str) -> int:
    """A fault's number in tc and in NFQUEUE: 1 to 16383, the same in every process."""
    return zlib.crc32(fault.encode()) % 0x3FFF + 1


def chain(fault: str, direction: str) -> str:
    """The name of a fault's chain."""
    return f"cc-{zlib.crc32(fault.encode()):08x}-{direction}"


def queue(fault: str, direction: str) -> int:
    """The number of a fault's NFQUEUE."""
    return slot(fault) * 2 + (direction == "o")


def until(seconds: float) -> str:
    """A moment from now as the match `time` wants it: UTC, whole seconds."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + seconds + 1, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def targets(order: Order, table: str, direction: str) -> tuple[str, ...]:
    """What happens to a packet, as rule endings; `{how}` is still open."""
    effect = order.effect
    if table == "mangle":
        return (f"-j NFQUEUE --queue-num {queue(order.fault, direction)} --queue-bypass",) if delays(effect) else ()
    found = []
    if effect.block:
        found.append("-j DROP" if effect.block == "silent" else "-j REJECT{how}")
    if effect.loss:
        found.append(f"-m statistic --mode random --probability {effect.loss:.6f} -j DROP")
    return tuple(found)


def delays(effect: LinkEffect) -> bool:
    """Whether packets have to wait."""
    return bool(effect.delay_ms or effect.jitter_ms)


def install(order: Order, directions: tuple[str, ...], stop: str) -> str:
    """The input of `iptables-restore --noflush`; empty if there is nothing for iptables to do."""
    return "".join(_table(order, table, directions, stop) for table in TABLES)


def _table(order: Order, table: str, directions: tuple[str, ...], stop: str) -> str:
    lines: list[str] = []
    for direction in directions:
        endings = targets(order, table, direction)
        if endings:
            name = chain(order.fault, direction)
            waited = [f"-A {name} -m mark --mark {MARK:#x} -j RETURN"] if table == "mangle" else []
            lines += [f":{name} - [0:0]", *waited, *(f"-A {name} {rule}" for rule in _rules(order, direction, endings))]
            lines.append(f"-I {WAYS_IN[direction]} 1 {jump(order.fault, direction, stop)}")
    return "\n".join([f"*{table}", *lines, "COMMIT", ""]) if lines else ""


def jump(fault: str, direction: str, stop: str) -> str:
    """The rule that leads into our chain, and that ends to match by itself; what stays in the container is spared."""
    return (
        f'! -{direction} lo -m time --datestop {stop} -m comment --comment "{mark(fault)}" -j {chain(fault, direction)}'
    )


def _rules(order: Order, direction: str, endings: tuple[str, ...]) -> Iterator[str]:
    peer, port = ("-s", "--dport") if direction == "i" else ("-d", "--sport")
    for way in order.ways:
        for source in way.sources:
            yield from _endings(f"{peer} {source}", port, way, endings)
    users = [way for way in order.ways if not way.sources]
    if users:
        yield from (f"{peer} {address} -j RETURN" for address in order.nodes)
    for way in users:
        yield from _endings("", port, way, endings)


def _endings(peer: str, port: str, way: Way, endings: tuple[str, ...]) -> Iterator[str]:
    for protocol in PROTOCOLS:
        for ending in endings:
            loud = protocol == "tcp" and "{how}" in ending
            # A reset is let out: it is what tells the other end.
            match = f"{peer} -p {protocol} -m {protocol} {port} {way.port}{' --tcp-flags RST NONE' * loud}"
            how = " --reject-with tcp-reset" if loud else ""
            yield f"{match} -m comment --comment {way.link} {ending.replace('{how}', how)}".strip()


def ours(saved: str, fault: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What of a fault stands in the output of `iptables-save`: chains and jumps (`-A ...`), by table."""
    chains: dict[str, list[str]] = {}
    jumps: dict[str, list[str]] = {}
    names = {chain(fault, direction) for direction in WAYS_IN}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":") and (name := line[1:].split()[0]) in names:
            chains.setdefault(table, []).append(name)
        elif line.startswith("-A ") and line.split()[1] in WAYS_IN.values() and line.split()[-1] in names:
            jumps.setdefault(table, []).append(line)
    return chains, jumps


def faults(saved: str) -> tuple[str, ...]:
    """Ids of the faults whose jumps stand in the output of `iptables-save`; a chain of the name alone is not ours."""
    found = re.findall(rf'^-A .*--comment "{mark("(.+?)")}" -j (cc-[0-9a-f]{{8}}-[io])$', saved, re.MULTILINE)
    return tuple(dict.fromkeys(fault for fault, name in found if name == chain(fault, name[-1])))


def remove(saved: str, fault: str) -> str:
    """The input of `iptables-restore --noflush` that takes a fault out; empty if nothing is there."""
    chains, jumps = ours(saved, fault)
    text = ""
    for table in {**chains, **jumps}:
        lines = [f"-D {line[3:]}" for line in jumps.get(table, ())]
        lines += [f"{verb} {name}" for verb in ("-F", "-X") for name in chains.get(table, ())]
        text += "\n".join([f"*{table}", *lines, "COMMIT", ""])
    return text


def prolong(saved: str, fault: str, stop: str) -> str:
    """The input that gives a fault's jumps a new end, each in one step."""
    text = ""
    for table, lines in ours(saved, fault)[1].items():
        new = [f"-I {line.split()[1]} 1 {jump(fault, line.split()[-1][-1], stop)}" for line in lines]
        text += "\n".join([f"*{table}", *new, *(f"-D {line[3:]}" for line in lines), "COMMIT", ""])
    return text


def rate(order: Order, device: str, direction: str) -> tuple[tuple[str, ...], ...]:
    """The commands of tc that narrow a device for the order's links; its root has to be ours already."""
    number = slot(order.fault)
    kbit = f"{order.effect.rate_kbps:g}kbit"
    own = f"{MAJOR}{number:x}"
    shape = ("class", "replace", "dev", device, "parent", MAJOR, "classid", own, "htb", "rate", kbit, "ceil", kbit)
    commands: list[tuple[str, ...]] = [shape]
    peer, port = ("src", "dport") if direction == "i" else ("dst", "sport")
    users = [way for way in order.ways if not way.sources]

    def add(prio: int, matches: tuple[str, ...], flow: str) -> None:
        head = ("filter", "add", "dev", device, "parent", MAJOR, "protocol", "ip", "prio", str(prio), "u32")
        commands.append((*head, *matches, "flowid", flow))

    for way in order.ways:
        for source in way.sources:  # one filter, so that address AND port have to match
            add(number, ("match", "ip", peer, f"{source}/32", "match", "ip", port, str(way.port), "0xffff"), own)
    for address in order.nodes if users else ():
        add(EXCLUDED + number, ("match", "ip", peer, f"{address}/32"), MAJOR)
    for way in users:
        add(CAUGHT + number, ("match", "ip", port, str(way.port), "0xffff"), own)
    return tuple(commands)


def unrate(fault: str, device: str) -> tuple[tuple[str, ...], ...]:
    """The commands that take a fault's filters and class out again."""
    number = slot(fault)
    place = ("dev", device, "parent", MAJOR, "protocol", "ip")
    filters = [("filter", "del", *place, "prio", str(base + number)) for base in (0, EXCLUDED, CAUGHT)]
    return (*filters, ("class", "del", "dev", device, "classid", f"{MAJOR}{number:x}"))
