"""Name servers that fail for a container: rules on its queries of DNS, in its own network namespace.

The engine's own name server, 127.0.0.11, listens within the namespace on a port that the engine redirects 53 to. So a
query to it is met where it arrives, by its address; a query to any other server by port 53. Chains have the names of a
fault's other chains, so that what prolongs and takes out those does it for these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chaos.runtimes import docker_rules as rules
from chaos.runtimes import docker_shape
from chaos.runtimes.docker_engine import Facts
from chaos.runtimes.docker_net import run

EMBEDDED = "127.0.0.11/32"
WAYS = ("timeout", "refused")


class Names(NamedTuple):
    """A failure of name servers by one fault."""

    fault: str
    how: str
    term_s: float
    """For how long the kernel keeps it without being told again."""


def install(fault: str, how: str, stop: str) -> str:
    """The input of `iptables-restore --noflush`.

    A time-out drops answers as they come in, for a query that is dropped as it leaves is an error to who sends it.
    """
    lines = []
    for direction, found in _rules(how).items():
        name = rules.chain(fault, direction)
        said = f'-m time --datestop {stop} -m comment --comment "{rules.mark(fault)}"'
        lines += [f":{name} - [0:0]", *(f"-A {name} {rule}" for rule in found)]
        lines.append(f"-I {rules.WAYS_IN[direction]} 1 {said} -j {name}")
    return "\n".join(["*filter", *lines, "COMMIT", ""])


def _rules(how: str) -> dict[str, list[str]]:
    def each(match: str, ending: str) -> Iterator[str]:
        for protocol in rules.PROTOCOLS:
            reset = " --reject-with tcp-reset" if ending == "REJECT" and protocol == "tcp" else ""
            yield match.format(protocol=f"-p {protocol} -m {protocol}") + f" -j {ending}{reset}"

    if how == "timeout":
        return {"i": [*each(f"-s {EMBEDDED} {{protocol}}", "DROP"), *each("{protocol} --sport 53", "DROP")]}
    arriving = [*each(f"-d {EMBEDDED} {{protocol}}", "REJECT")]
    return {"i": arriving, "o": [*each("{protocol} --dport 53", "REJECT")]}


class NameRules:
    """What of this is in the containers of a site; blocking, for the thread that touches them."""

    def __init__(self) -> None:
        self._put: dict[tuple[str, str], tuple[str, str]] = {}
        """(node, fault) -> the StartedAt that the rules were put in under, and how names fail."""

    def holds(self, node: str, fault: str) -> bool:
        """Whether the fault has rules there."""
        return (node, fault) in self._put

    def forget(self, node: str) -> None:
        """Its namespace is gone."""
        self._put = {key: stamp for key, stamp in self._put.items() if key[0] != node}

    def settle(self, node: str, facts: Facts, wanted: tuple[Names, ...]) -> None:
        """Bring one container's rules into the wanted condition. Raises `StackFailed`."""
        stamps = {one.fault: (facts.started, one.how) for one in wanted}
        for key in [key for key in self._put if key[0] == node]:
            if stamps.get(key[1]) != self._put[key]:
                docker_shape.take_out(facts.pid, key[1])
                del self._put[key]
        for one in wanted:
            if (node, one.fault) not in self._put:
                self._put[node, one.fault] = stamps[one.fault]
                text = install(one.fault, one.how, rules.until(one.term_s))
                run(facts.pid, "iptables-restore", "--noflush", "--wait", "5", stdin=text)
