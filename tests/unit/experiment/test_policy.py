"""The operator's policy: read with every problem at its place, and held against a plan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from experiment_twin import planned, twin

from chaos.errors import InvalidInput
from chaos.experiment import policyfile
from chaos.experiment.document import load
from chaos.experiment.policy import hosts, rulings
from chaos.experiment.policyfile import VARIABLE, docker_context, load_policy
from chaos.model.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.model.stack import StackSpec

MONDAY_TEN = datetime(2026, 3, 16, 10, 0, tzinfo=UTC)
WHOLE = """\
hosts: ["127.0.0.1", "*.staging.example.com"]
stacks: [embedded, "staging-*"]
docker:
  contexts: [staging]
  labels: [environment=staging, chaos]
blast_radius:
  nodes: 50%
  users: 0.5
hours: ["mon-fri 09:00-17:00 UTC", "sat 22:00-02:00 UTC"]
audit: /var/log/collab-chaos/audit.jsonl
"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def from_text(text: str) -> Policy:
        (tmp_path / "policy.yaml").write_text(text)
        policy = load_policy({VARIABLE: str(tmp_path / "policy.yaml")})
        assert policy is not None
        return policy

    return from_text


def said(
    policy: Policy, experiment: str = "network_congestion", *, spec: StackSpec | None = None, **facts: Any
) -> dict[str, tuple[bool, str]]:
    plan = planned(load(experiment), spec or twin())
    known: dict[str, Any] = {"stack": "embedded", "context": "default", "now": MONDAY_TEN} | facts
    return {one.rule: (one.allowed, one.says) for one in rulings(policy, plan, **known)}


def test_a_whole_file_is_read(read: Any) -> None:
    """Every rule, with its place; Saturday's night goes on into Sunday."""
    policy = read(WHOLE)
    assert policy.docker_labels == ("environment=staging", "chaos")
    assert (policy.largest_nodes, policy.largest_users) == (0.5, 0.5)
    assert [one.days for one in policy.hours] == [(0, 1, 2, 3, 4), (5,)]
    assert policy.audit == "/var/log/collab-chaos/audit.jsonl"
    place = policy.places["blast_radius.users"]
    assert (place.line, place.col) == (8, 10)


def test_without_a_file_nothing_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default path counts before the one that is named; a file that is named must be there."""
    monkeypatch.setattr(policyfile, "DEFAULT", tmp_path / "policy.yaml")
    assert load_policy({}) is None
    (tmp_path / "policy.yaml").write_text("hosts: []\n")
    assert load_policy({}) == Policy(
        file=str(tmp_path / "policy.yaml"),
        hosts=(),
        places=load_policy({}).places,  # type: ignore[union-attr]
    )
    assert load_policy({VARIABLE: str(tmp_path / "gone.yaml")}) == load_policy({})
    (tmp_path / "policy.yaml").unlink()
    with pytest.raises(InvalidInput, match="1 problem") as caught:
        load_policy({VARIABLE: str(tmp_path / "gone.yaml")})
    assert "nothing runs while" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("stack: [a]", "1:1", "unknown key 'stack' (did you mean stacks?)"),
        ("stacks: embedded", "1:9", "stacks must be a list, not a text"),
        ("hosts: [a, 7]", "1:12", "hosts[1] must be a text, not a whole number"),
        ("docker:\n  lables: [a]", "2:3", "unknown key 'lables' (did you mean labels?)"),
        ("blast_radius: {nodes: 150%}", "1:23", "nodes must be a share, not '150%' (50% or 0.5)"),
        ("blast_radius: {users: half}", "1:23", "users must be a share, not 'half'"),
        ("hours: [always]", "1:9", "'always' are no hours"),
        ("hours: [mon-fri 09:00-25:00]", "1:9", "there is no such time of day"),
        ("hours: [mon-fry 09:00-17:00]", "1:9", "'mon-fry' are no days"),
        ("hours: [mon 09:00-17:00 Mars/Olympus]", "1:9", "'Mars/Olympus' is no time zone"),
        ("audit: log.jsonl", "1:8", "audit must be an absolute path"),
        ("- hosts", "1:1", "must be a mapping, not a list"),
        ("hosts: [", "1:9", "YAML"),
    ],
)
def test_a_problem_is_said_at_its_place(text: str, at: str, says: str, read: Any, tmp_path: Path) -> None:
    """File, line and column; a policy with a problem lets nothing run."""
    with pytest.raises(InvalidInput) as caught:
        read(text)
    told = [str(problem) for problem in caught.value.problems]
    assert any(says in one and f"policy.yaml:{at}" in one for one in told), told


def test_what_the_policy_is_silent_about_is_allowed(read: Any) -> None:
    """No rule, no ruling."""
    assert said(read("audit: /tmp/a.jsonl")) == {}


def test_an_empty_list_allows_nothing(read: Any) -> None:
    """It is not the same as silence."""
    found = said(read("hosts: []\nstacks: []\nhours: []"))
    assert [allowed for allowed, _ in found.values()] == [False, False, False]


def test_stacks_are_known_by_name_by_file_or_by_id(read: Any) -> None:
    """One of the names is enough."""
    policy = read("stacks: [embedded-*]")
    assert not said(policy)["stacks"][0]
    assert said(policy, stack="embedded-1f3a")["stacks"][0]


def test_every_host_of_the_stack_must_be_allowed(read: Any) -> None:
    """Those of its addresses, and this machine, where its nodes are."""
    services = {
        name: one.model_copy(update={"urls": {"cn-east": "wss://gw.Prod.example.com:8443/x/{key}"} if one.urls else {}})
        for name, one in twin().services.items()
    }
    spec = twin(services=services)
    assert hosts(spec) == ("127.0.0.1", "gw.Prod.example.com")
    allowed, says = said(read("hosts: [127.0.0.1, '*.staging.example.com']"), spec=spec)["hosts"]
    assert not allowed
    assert "gw.Prod.example.com is not among" in says
    assert said(read("hosts: [127.0.0.1, '*.prod.example.com']"), spec=spec)["hosts"][0]


def test_the_blast_radius_outranks_the_experiments_own_reasons(read: Any) -> None:
    """Half of the users is half of the users, whatever the experiment allows itself."""
    policy = read("blast_radius: {users: 50%, nodes: 40%}")
    assert said(policy) == {
        "blast_radius.nodes": (True, "0% of the nodes of store, at most 40% may be hit"),
        "blast_radius.users": (True, "50% of all users, at most 50% may feel it"),
    }
    assert said(policy, "region_partition")["blast_radius.users"][0] is False
    assert said(policy, "region_slowdown")["blast_radius.nodes"][0] is False


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        (datetime(2026, 3, 16, 9, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 16, 8, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 16, 16, 59, 50, tzinfo=UTC), False),
        (datetime(2026, 3, 15, 10, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 21, 23, 59, 50, tzinfo=UTC), True),
        (datetime(2026, 3, 22, 1, 30, tzinfo=UTC), True),
        (datetime(2026, 3, 22, 2, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 22, 22, 30, tzinfo=UTC), False),
    ],
)
def test_a_run_must_begin_and_end_within_the_hours(now: datetime, allowed: bool, read: Any) -> None:
    """A night belongs to the day that it begins on; one that would end too late is not begun."""
    assert said(read(WHOLE), now=now)["hours"][0] is allowed


def test_hours_are_those_of_their_zone(read: Any) -> None:
    """Ten in the morning in London is six in the evening in Shanghai."""
    assert said(read("hours: [mon 17:30-18:30 Asia/Shanghai]"))["hours"][0]
    assert not said(read("hours: [mon 09:30-10:30 Asia/Shanghai]"))["hours"][0]


def test_containers_are_ruled_by_context_and_labels(read: Any) -> None:
    """A stack whose nodes are not found by the wanted labels might be anybody's; other runtimes are not asked."""
    policy = read("docker: {contexts: [staging], labels: [environment=staging]}")
    assert said(policy) == {}
    found = said(policy, spec=twin(runtime="docker"))
    assert found["docker.contexts"] == (False, "Docker context default is not among staging")
    assert found["docker.labels"][0] is False
    assert said(policy, spec=twin(runtime="docker"), context="staging")["docker.contexts"][0]


def test_the_docker_context_is_the_clients_own(tmp_path: Path) -> None:
    """A host outranks a context, a context outranks the one that is chosen, and without any it is the default."""
    assert docker_context({"DOCKER_HOST": "tcp://x", "DOCKER_CONTEXT": "y"}) == "tcp://x"
    assert docker_context({"DOCKER_CONTEXT": "y"}) == "y"
    assert docker_context({"DOCKER_CONFIG": str(tmp_path)}) == "default"
    (tmp_path / "config.json").write_text('{"currentContext": "staging"}')
    assert docker_context({"DOCKER_CONFIG": str(tmp_path)}) == "staging"
