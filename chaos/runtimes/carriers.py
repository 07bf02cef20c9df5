"""Who carries what here: each carrier is tried before a run, and one that cannot says why.

A carrier is found by trying it (rules in a throw-away network namespace, a file of the container's cgroup), never by
assuming it. The order is that of precision: the first that works is taken. What can be refused without a look, because
a runtime has no such thing at all, is refused in the same words, so that a plan lists everything that was thought of.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chaos.model.carrier import Ask, Survey, Tried
from chaos.model.link import LinkEffect
from chaos.model.stack import Site
from chaos.runtimes import clocks, sandbox


def _works(_: Ask) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Carrier:
    """Something that can do harm, and take it back."""

    name: str
    does: frozenset[str]
    """`Ask.what` of all that it may do."""
    says: str = ""
    """For the plan, where the name alone does not say it."""
    why_not: Callable[[Ask], str] = _works
    """What keeps it from an ask of these on this machine; empty: it works."""
    once: str = ""
    """Of carriers with the same word a link can have only one at a time: their effects do not add up."""

    @property
    def words(self) -> str:
        return self.says or self.name

    def refused(self, why: str) -> Carrier:
        """The same where a runtime has no place for it."""
        return replace(self, why_not=lambda _: why)

    def given(self, condition: Callable[[], str]) -> Carrier:
        """The same where something else has to work first."""
        return replace(self, why_not=lambda ask: condition() or self.why_not(ask))


def _node(name: str, does: str, says: str) -> Carrier:
    return Carrier(name, frozenset({does}), says)


def _in_kernel(ask: Ask, *, netem: bool = False) -> str:
    from chaos.runtimes import docker_shape  # noqa: PLC0415 - what a stack of processes never needs

    return docker_shape.why_not(ask.effect, netem=netem) if ask.effect is not None else ""


_found_far: dict[LinkEffect, tuple[str, str]] = {}
"""What keeps netem from an effect, and what keeps the others, where a helper container has tried them."""


def _in_far_kernel(ask: Ask, *, netem: bool = False) -> str:
    return _found_far[ask.effect][not netem] if ask.effect is not None else ""


def _try_far(asks: Iterable[Ask]) -> None:
    """All at once: a helper takes its time to come. Raises `UsageError`."""
    from chaos.runtimes import docker_helper  # noqa: PLC0415 - as above

    wanted = [ask.effect for ask in asks if ask.effect is not None and ask.effect not in _found_far]
    if wanted:
        _found_far.update(zip(wanted, docker_helper.tried(wanted), strict=True))


def _cuts(ask: Ask) -> str:
    if ask.effect is not None and ask.effect.key:
        return NO_KEYS
    from chaos.runtimes import kernel_cut  # noqa: PLC0415 - as above

    return kernel_cut.why_not()


def _boxed(carrier: Carrier) -> Carrier:
    """The same in a sandbox, which has to be there first."""
    return replace(carrier, why_not=lambda ask: sandbox.why_not(lambda: carrier.why_not(ask)))


def _rejects(_: Ask) -> str:
    from chaos.runtimes import docker_shape  # noqa: PLC0415 - as above

    return docker_shape.why_not(LinkEffect(block="loud"))


def _engine() -> str:
    return _engine_at(os.environ.get("DOCKER_HOST", ""))


@functools.cache
def _engine_at(_: str) -> str:
    from chaos.errors import ChaosError  # noqa: PLC0415 - as below
    from chaos.runtimes.docker_engine import Engine  # noqa: PLC0415 - the engine's library takes a while to import

    try:
        Engine().close()
    except ChaosError as error:
        return error.message
    return ""


NETEM = Carrier(
    "netem",
    frozenset({"delay", "reordering", "duplication", "loss", "burst loss", "corruption"}),
    why_not=functools.partial(_in_kernel, netem=True),
    once="class",
)
NFQUEUE = Carrier(
    "NFQUEUE", frozenset({"delay", "reordering", "duplication", "burst loss"}), why_not=_in_kernel, once="queue"
)
IPTABLES = Carrier("iptables", frozenset({"loss", "silent cut", "loud cut"}), why_not=_in_kernel)
HTB = Carrier("htb", frozenset({"rate"}), why_not=_in_kernel, once="class")
KERNEL = (NETEM, NFQUEUE, IPTABLES, HTB)
"""What meets packets, the most exact first."""
QUERIES = Carrier("iptables", frozenset({"naming"}), "iptables, on its queries of DNS", _rejects)
KERNEL_NAMES = frozenset(one.name for one in KERNEL)
SS = Carrier("ss", frozenset({"reset"}), "ss -K", why_not=_cuts)
STREAMS = frozenset(
    {
        "delay",
        "loss",
        "burst loss",
        "rate",
        "silent cut",
        "loud cut",
        "reset",
        "freeze",
        "corruption",
        "slow reading",
        "slow closing",
    },
)
PACKETS = frozenset({"reordering", "duplication"})
PROXY = Carrier(
    "proxy",
    STREAMS | PACKETS,
    "link proxy, on live connections",
    lambda ask: NO_PACKETS if ask.what in PACKETS else "",
)

ONE_RESOLVER = "all processes of this machine ask the same name server"
NO_PACKETS = "it carries a stream of bytes, in which nothing comes twice or out of turn"
NO_NAMESPACE = "the packets of processes can be met only in a network namespace of their own (--sandbox)"
NO_KEYS = "packets do not say which room or document they are for"
NO_PROXY = "no link proxy stands between containers"
NO_GROUP = "processes have no cgroup of their own; containers have"
NO_DISK = "the data of processes lie on this machine's own disk, which is nobody's to fill"

CLOCKS = Carrier("libfaketime", frozenset({"skewing"}), "libfaketime, preloaded")

SUPERVISOR = (
    _node("supervisor", "lifecycle", "SIGKILL by the supervisor"),
    _node("supervisor", "stopping", "SIGTERM, then SIGKILL, by the supervisor"),
    _node("supervisor", "pausing", "SIGSTOP by the supervisor"),
    _node("supervisor", "throttling", "SIGSTOP and SIGCONT in turn by the supervisor"),
    QUERIES.refused(ONE_RESOLVER),
    CLOCKS.given(lambda: "" if clocks.library() else clocks.NOT_INSTALLED),
    *(_node("cgroup", what, "limits of a cgroup").refused(NO_GROUP) for what in ("starving", "squeezing", "dragging")),
    _node("fill file", "filling", "a file in the node's own file system").refused(NO_DISK),
)
PROCESS: tuple[Carrier, ...] = (*(one.refused(NO_NAMESPACE) for one in KERNEL), PROXY, *SUPERVISOR)
IN_SANDBOX: tuple[Carrier, ...] = (*(_boxed(one) for one in (*KERNEL, SS)), PROXY, *SUPERVISOR)
DOCKER: tuple[Carrier, ...] = (
    *(one.given(_engine) for one in (*KERNEL, SS)),
    PROXY.refused(NO_PROXY),
    _node("engine", "lifecycle", "SIGKILL by the engine").given(_engine),
    _node("engine", "stopping", "its stop signal, then SIGKILL, by the engine").given(_engine),
    _node("engine", "pausing", "the engine's pause (cgroup freezer)").given(_engine),
    _node("cgroup", "throttling", "processor quota in the container's cgroup").given(_engine),
    QUERIES.given(_engine),
    CLOCKS.given(_engine),
    _node("cgroup", "starving", "the kernel's out-of-memory killer, in the container's cgroup").given(_engine),
    _node("cgroup", "squeezing", "memory limit of the container's cgroup").given(_engine),
    _node("cgroup", "dragging", "disk limits of the container's cgroup").given(_engine),
    _node("fill file", "filling", "a file in the container's own file system").given(_engine),
)
IN_HELPER: tuple[Carrier, ...] = tuple(
    replace(one, why_not=functools.partial(_in_far_kernel, netem=one.name == "netem"))
    if one.name in KERNEL_NAMES
    else one
    for one in DOCKER
)
SANDBOX, HELPER = "sandbox", "helper"
"""Stand for the runtime `process` in a private network, and for `docker` where only a helper container reaches them."""
RUNTIMES = {"process": PROCESS, SANDBOX: IN_SANDBOX, "docker": DOCKER}


Lacks = Mapping[str, Mapping[str, str]]
"""Of each node: capabilities that no carrier gives it, and why."""


def survey(runtime: str, asks: Iterable[Ask], lacks: Lacks | None = None) -> Survey:
    """Try every carrier of a runtime for each of these asks; touches nothing that was there before."""
    asks = tuple(dict.fromkeys(asks))
    if runtime == HELPER:
        _try_far(asks)
    return Survey({ask: _tried(runtime, ask, lacks or {}) for ask in asks})


def lacks(site: Site) -> Lacks:
    """What is known of the nodes of a stack that runs already."""
    if site.containers or site.clocks:
        return {node: one.lacks for node, one in site.containers.items()}
    return {node: {"skewing": clocks.NOT_PRELOADED} for node in site.spec.nodes()}


def shares(effect: LinkEffect) -> dict[str, LinkEffect]:
    """What of an effect each agent of a sandbox carries: `kernel`, and for what the kernel cannot do, `proxy`."""
    given: dict[str, dict[str, Any]] = {}
    for ask in Ask.parts(effect):
        able = [one for one in IN_SANDBOX if ask.what in one.does]
        agent = "proxy" if next((one for one in able if not one.why_not(ask)), PROXY) is PROXY else "kernel"
        given.setdefault(agent, {}).update(ask.effect.model_dump(exclude_defaults=True) if ask.effect else {})
    return {agent: LinkEffect.model_validate(figures) for agent, figures in given.items()}


def _tried(runtime: str, ask: Ask, lacks: Lacks) -> tuple[Tried, ...]:
    kind = "shaping" if ask.effect is not None else ask.what
    lacking = {node: one[kind] for node, one in lacks.items() if kind in one}
    able = [one for one in (IN_HELPER if runtime == HELPER else RUNTIMES[runtime]) if ask.what in one.does]
    return tuple(Tried(carrier=one.words, why_not=one.why_not(ask), not_on=lacking, once=one.once) for one in able)
