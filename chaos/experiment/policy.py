"""What the operator's policy says of a plan, rule by rule; pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from chaos.model.policy import Hours, Policy, Ruling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chaos.model.plan import Plan
    from chaos.model.stack import StackSpec

HERE = "127.0.0.1"
"""Where the process runtime's nodes are."""
_HOST = re.compile(r"://(?:[^/@]*@)?(\[[^\]]*\]|[^/:]+)")


def rulings(policy: Policy, plan: Plan, *, stack: str, context: str, now: datetime) -> tuple[Ruling, ...]:
    """Every rule of the policy that concerns this plan.

    `stack` is what the user named (a name, a file, the id of a running stack), `context` the engine that Docker's
    client talks to, `now` has a time zone.
    """
    found = [*_names(policy, plan.spec, stack), *_docker(policy, plan.spec, context)]
    found += [*_blast(policy, plan), *_hours(policy, plan, now)]
    return tuple(one.model_copy(update={"place": policy.places.get(one.rule)}) for one in found)


def hosts(spec: StackSpec) -> tuple[str, ...]:
    """Every host that a run on this stack touches: those of its addresses, and this one."""
    urls = (url for service in spec.services.values() for url in service.urls.values())
    found = {match[1].strip("[]") for url in urls if (match := _HOST.search(url))}
    return tuple(sorted(found | {HERE})) if spec.nodes() else tuple(sorted(found))


def _names(policy: Policy, spec: StackSpec, stack: str) -> Iterator[Ruling]:
    if policy.stacks is not None:
        known = {spec.stack, stack} - {""}
        allowed = any(_fits(name, policy.stacks) for name in known)
        yield _ruling("stacks", f"stack {spec.stack}", policy.stacks, allowed=allowed)
    if policy.hosts is not None:
        foreign = [host for host in hosts(spec) if not _fits(host, policy.hosts)]
        said = f"host {', '.join(foreign)}" if foreign else ", ".join(hosts(spec)) or "no host"
        yield _ruling("hosts", said, policy.hosts, allowed=not foreign)


def _docker(policy: Policy, spec: StackSpec, context: str) -> Iterator[Ruling]:
    if spec.runtime != "docker":
        return
    if policy.docker_contexts is not None:
        allowed = _fits(context, policy.docker_contexts)
        yield _ruling("docker.contexts", f"Docker context {context}", policy.docker_contexts, allowed=allowed)
    if policy.docker_labels:
        bare = [
            name for name, labels in _labels(spec).items() if not all(_has(labels, x) for x in policy.docker_labels)
        ]
        said = f"not asked for by the labels of {', '.join(bare)}" if bare else "asked for by every node"
        yield Ruling(rule="docker.labels", allowed=not bare, says=f"{', '.join(policy.docker_labels)}: {said}")


def _labels(spec: StackSpec) -> dict[str, Mapping[str, str]]:
    """The labels that each node's container is found by, so carries."""
    plain: dict[str, Any] = spec.model_dump(mode="json")
    shared = plain.get("containers") or {}
    nodes = (node for service in plain["services"].values() for node in service["nodes"])
    return {node["name"]: {**shared, **(node.get("container") or {})} for node in nodes}


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)


def _blast(policy: Policy, plan: Plan) -> Iterator[Ruling]:
    if "blast_radius.nodes" in policy.places:
        service, share = max(plan.blast.services.items(), key=lambda one: one[1], default=("nothing", 0.0))
        says = f"{share:.0%} of the nodes of {service}, at most {policy.largest_nodes:.0%} may be hit"
        yield Ruling(rule="blast_radius.nodes", allowed=share <= policy.largest_nodes, says=says)
    if "blast_radius.users" in policy.places:
        users = plan.blast.users
        share = sum(users.values()) / len(users) if users else 0.0
        says = f"{share:.0%} of all users, at most {policy.largest_users:.0%} may feel it"
        yield Ruling(rule="blast_radius.users", allowed=share <= policy.largest_users, says=says)


def _hours(policy: Policy, plan: Plan, now: datetime) -> Iterator[Ruling]:
    if policy.hours is None:
        return
    allowed = ", ".join(one.text for one in policy.hours) or "never"
    ends = now + timedelta(seconds=plan.horizon_s)
    if not any(_within(one, now) for one in policy.hours):
        yield Ruling(rule="hours", allowed=False, says=f"now is {now:%a %H:%M}, allowed: {allowed}")
    elif not any(_within(one, ends) for one in policy.hours):
        yield Ruling(rule="hours", allowed=False, says=f"it may last until {ends:%a %H:%M}, allowed: {allowed}")
    else:
        yield Ruling(rule="hours", allowed=True, says=f"now is {now:%a %H:%M}, allowed: {allowed}")


def _within(hours: Hours, at: datetime) -> bool:
    there = at.astimezone(ZoneInfo(hours.zone) if hours.zone else None)
    minute, day = there.hour * 60 + there.minute, there.weekday()
    if hours.start_min < hours.end_min:
        return day in hours.days and hours.start_min <= minute < hours.end_min
    late = day in hours.days and minute >= hours.start_min
    return late or ((day - 1) % 7 in hours.days and minute < hours.end_min)


def _ruling(rule: str, said: str, allowed_names: tuple[str, ...], *, allowed: bool) -> Ruling:
    names = ", ".join(allowed_names) or "none"
    return Ruling(rule=rule, allowed=allowed, says=said if allowed else f"{said} is not among {names}")


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
