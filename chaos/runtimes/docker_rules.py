"""What is told to iptables and tc: pure text, marked as ours, for one fault in one container's network namespace.

Everything lies at the end of the link that listens: what comes in is the link's forward direction, what goes out its
backward one. In a sandbox both ends are in one namespace, and every packet is met as it comes in by `lo`. Drops live
in the table `filter` and delays in `mangle`, which is met first: so a later delay can never let past what an earlier
fault drops.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from chaos.model.bursts import gilbert_elliott
from chaos.model.link import LinkEffect
from chaos.runtimes.docker_delay import MARK

MAJOR = "ca05:"
"""Handle of every queueing discipline of ours."""
TABLES = ("filter", "mangle")
PROTOCOLS = ("tcp", "udp")
NETEM = {"delay", "reordering", "duplication", "loss", "burst loss", "corruption"}
"""Parts of an effect that netem knows."""
OTHERWISE = (NETEM - {"corruption"}) | {"rate", "silent cut", "loud cut", "reset"}
"""Those that something else in the kernel knows."""
WAYS_IN = {"i": "INPUT", "o": "OUTPUT"}
HOOKS = {*WAYS_IN.values(), "POSTROUTING"}
NOTHING = LinkEffect()
MTU = 1500
LEAST_LIMIT = 1000
"""Packets; netem's own default."""
DEVIATIONS = {"normal": 1.0, "uniform": math.sqrt(3), "pareto": 1.218}
"""What netem has to be told for a standard deviation of 1: it takes half the width of a uniform distribution, and its
table of Pareto's, (x - 1.5) * 4 / 3 cut off at 4, has one of 0.821."""
WIDE_KBPS = 10_000_000
"""Of a class that is there for its delay alone: as much as a pair of virtual devices carries."""
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
    lo: bool = False
    """Both ends of the links are in this namespace (a sandbox)."""
    netem: LinkEffect = NOTHING
    """What netem does of it; `effect` is the rest."""

    @property
    def classed(self) -> bool:
        """Whether its packets get a class of their own on the way out of a device."""
        return self.netem != NOTHING or self.effect.rate_kbps is not None

    @property
    def directions(self) -> tuple[str, ...]:
        """Forward is i, backward is o."""
        return {"forward": ("i",), "backward": ("o",), "both": ("i", "o")}[self.effect.direction]


def mark(fault: str) -> str:
    """The comment of every jump that we add."""
    return f"collab-chaos {fault}"


def slot(fault: str) -> int:
    """A fault's number: 1 to 16383, the same in every process."""
    return zlib.crc32(fault.encode()) % 0x3FFF + 1


def chain(fault: str, direction: str) -> str:
    """The name of a fault's chain; that of its class has a direction in capitals."""
    return f"cc-{zlib.crc32(fault.encode()):08x}-{direction}"


def queue(fault: str, direction: str) -> int:
    """The number of a fault's NFQUEUE, and of its class in tc."""
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
    """Whether packets have to be queued for somebody who delays, doubles or drops them."""
    return bool(effect.delay_ms or effect.jitter_ms or effect.reorder or effect.duplicate or effect.burst_loss)


def conflict(one: Order, other: Order) -> str:
    """Why two faults cannot be in the same container, or sandbox, in words; empty if they can."""
    if NOTHING not in {one.netem, other.netem} and (one.netem.duplicate or other.netem.duplicate):
        return f"{other.fault} is there already, and a netem that duplicates packets has to be the only one"
    both = ", ".join(sorted({way.link for way in one.ways} & {way.link for way in other.ways}))
    if not both or not set(one.directions) & set(other.directions):
        return ""
    if delays(one.effect) and delays(other.effect):
        return f"{both}: delayed by {other.fault} already, and delays do not add up here"
    if one.classed and other.classed:
        return f"{both}: in the class of {other.fault} already, and a packet has only one: they do not add up here"
    return ""


def install(order: Order, directions: tuple[str, ...], stop: str) -> str:
    """The input of `iptables-restore --noflush`; empty if there is nothing for iptables to do."""
    return "".join(_table(order, table, directions, stop) for table in TABLES)


def _table(order: Order, table: str, directions: tuple[str, ...], stop: str) -> str:
    lines: list[str] = []
    for direction in directions:
        endings = targets(order, table, direction)
        if endings:
            waited = [f"-m mark --mark {MARK:#x} -j RETURN"] if table == "mangle" else []
            hook = "INPUT" if order.lo else WAYS_IN[direction]
            lines += _chain(order, direction, hook, stop, [*waited, *_rules(order, direction, endings)])
        if table == "mangle" and order.classed and leased(order, direction):
            ending = f"-j CLASSIFY --set-class {class_of(order, direction)}"
            lines += _chain(order, direction.upper(), "POSTROUTING", stop, _rules(order, direction, (ending,)))
    return "\n".join([f"*{table}", *lines, "COMMIT", ""]) if lines else ""


def _chain(order: Order, direction: str, hook: str, stop: str, rules: Iterable[str]) -> list[str]:
    name = chain(order.fault, direction)
    return [
        f":{name} - [0:0]",
        *(f"-A {name} {rule}" for rule in rules),
        f"-I {hook} 1 {jump(order, direction, hook, stop)}",
    ]


def leased(order: Order, direction: str) -> bool:
    """Whether a class is fed by a rule that ends by itself: it can be where packets leave the namespace they are in.

    What comes in has passed the qdisc already when iptables sees it; its class is at the host's end of the veth pair,
    where bridged packets meet tc alone, and has to be taken out.
    """
    return order.lo or direction == "o"


def class_of(order: Order, direction: str) -> str:
    """An order's class in tc.

    On `lo` both directions share one, unless each has a rate of its own: a netem that duplicates has to be the only one
    of a device (Linux 6.1.140 and later).
    """
    return _class(order.fault, "i" if order.lo and order.effect.rate_kbps is None else direction)


def _class(fault: str, direction: str) -> str:
    return f"{MAJOR}{queue(fault, direction):x}"


def jump(order: Order, direction: str, hook: str, stop: str) -> str:
    """The rule that leads into our chain, and that ends to match by itself; what stays in a container is spared."""
    side = "i" if hook == "INPUT" else "o"
    where = f"-{side} lo" if order.lo else f"! -{side} lo"
    said = f'-m comment --comment "{mark(order.fault)}"'
    return f"{where} -m time --datestop {stop} {said} -j {chain(order.fault, direction)}"


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
    names = {chain(fault, direction) for direction in "ioIO"}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":") and (name := line[1:].split()[0]) in names:
            chains.setdefault(table, []).append(name)
        elif line.startswith("-A ") and line.split()[1] in HOOKS and line.split()[-1] in names:
            jumps.setdefault(table, []).append(line)
    return chains, jumps


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
        new = [re.sub(r"^-A (\S+) (.* --datestop) \S+", rf"-I \1 1 \2 {stop}", line) for line in lines]
        text += "\n".join([f"*{table}", *new, *(f"-D {line[3:]}" for line in lines), "COMMIT", ""])
    return text


def classes(order: Order, device: str, direction: str) -> tuple[tuple[str, ...], ...]:
    """The commands of tc that put an order's class on a device, and feed it where no leased rule can.

    The device's root has to be ours already.
    """
    own = class_of(order, direction)
    kbit = f"{order.effect.rate_kbps or WIDE_KBPS:.10g}kbit"
    wide = () if order.effect.rate_kbps else ("burst", "1mb", "cburst", "1mb", "quantum", "60000")
    commands: list[tuple[str, ...]] = [
        ("class", "replace", "dev", device, "parent", MAJOR, "classid", own, "htb", "rate", kbit, "ceil", kbit, *wide),
    ]
    if order.netem != NOTHING:
        commands.append(("qdisc", "replace", "dev", device, "parent", own, *netem(order.netem, order.effect.rate_kbps)))
    return tuple(commands) if leased(order, direction) else (*commands, *_filters(order, device, direction))


def _filters(order: Order, device: str, direction: str) -> Iterator[tuple[str, ...]]:
    number, own = slot(order.fault), class_of(order, direction)
    peer, port = ("src", "dport") if direction == "i" else ("dst", "sport")
    users = [way for way in order.ways if not way.sources]

    def one(prio: int, matches: tuple[str, ...], flow: str) -> tuple[str, ...]:
        head = ("filter", "add", "dev", device, "parent", MAJOR, "protocol", "ip", "prio", str(prio), "u32")
        return (*head, *matches, "flowid", flow)

    for way in order.ways:
        for source in way.sources:  # one filter, so that address AND port have to match
            yield one(number, ("match", "ip", peer, f"{source}/32", "match", "ip", port, str(way.port), "0xffff"), own)
    for address in order.nodes if users else ():
        yield one(EXCLUDED + number, ("match", "ip", peer, f"{address}/32"), MAJOR)
    for way in users:
        yield one(CAUGHT + number, ("match", "ip", port, str(way.port), "0xffff"), own)


def netem(effect: LinkEffect, rate_kbps: float | None = None) -> tuple[str, ...]:
    """The words of a netem qdisc that does an effect.

    Its queue holds half more than what is on its way at `rate_kbps`, or netem would drop packets of its own accord.
    """
    longest_ms = effect.delay_ms + 4 * effect.jitter_ms
    limit = 1.5 * (rate_kbps or WIDE_KBPS) * longest_ms / (8 * MTU)
    words = ["netem", "limit", str(max(LEAST_LIMIT, math.ceil(limit)))]
    if effect.delay_ms or effect.jitter_ms:
        words += ["delay", f"{effect.delay_ms:g}ms"]
    if effect.jitter_ms:
        table = () if effect.distribution == "uniform" else ("distribution", effect.distribution)
        words += [f"{effect.jitter_ms * DEVIATIONS[effect.distribution]:.6g}ms", *table]
    if effect.reorder:
        words += ["reorder", _percent(effect.reorder)]
    if effect.loss:
        words += ["loss", "random", _percent(effect.loss)]
    if effect.burst_loss:
        p, r = gilbert_elliott(effect.burst_loss, effect.burst, effect.density)
        words += ["loss", "gemodel", _percent(p), _percent(r), _percent(effect.density), "0%"]
    if effect.duplicate:
        words += ["duplicate", _percent(effect.duplicate)]
    if effect.corrupt:
        words += ["corrupt", _percent(effect.corrupt)]
    # With a rate, however large, no packet is due before the one that came before it.
    return (*words, "rate", f"{10 * WIDE_KBPS}kbit") if effect.jitter_ms else tuple(words)


def _percent(share: float) -> str:
    return f"{share * 100:.6g}%"


def unrate(fault: str, device: str) -> tuple[tuple[str, ...], ...]:
    """The commands that take a fault's filters and class out again."""
    number = slot(fault)
    place = ("dev", device, "parent", MAJOR, "protocol", "ip")
    filters = [("filter", "del", *place, "prio", str(base + number)) for base in (0, EXCLUDED, CAUGHT)]
    return (*filters, *(("class", "del", "dev", device, "classid", _class(fault, one)) for one in WAYS_IN))
