"""What a stack is made of: regions, services, nodes, links, bounds; and where a running one can be reached."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A value that never changes and takes no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Bounds(Frozen):
    """What the stack promises, in seconds; timed checks judge against these."""

    visibility_s: float = Field(2.0, gt=0)
    """After a join completes, every roster shows the participant within this."""
    join_s: float = Field(5.0, gt=0)
    """Deadline of a join, retries included."""
    leave_s: float = Field(3.0, gt=0)
    clean_ghost_s: float = Field(2.0, gt=0)
    """After a clean leave, no roster shows the participant later than this."""
    unclean_ghost_s: float = Field(30.0, gt=0)
    """The same after a participant vanished without a leave."""
    resume_s: float = Field(15.0, gt=0)
    """How long a cut session may be resumed."""
    edit_s: float = Field(5.0, gt=0)
    """Deadline of an edit's acknowledgement."""
    grace_s: float = Field(10.0, ge=0)
    """After a heal, what a fault reached stays excused this long."""
    convergence_s: float = Field(30.0, gt=0)
    """After heal and quiet, all views of a document are equal within this."""


class NodeSpec(Frozen):
    """One server process (or container) of a service."""

    name: str
    region: str | None = None
    command: tuple[str, ...] = ()
    """What starts it; `${...}` placeholders are filled in. Empty: attach only."""
    env: dict[str, str] = {}
    port: int | None = None
    """None: a free one is picked when the stack starts."""
    health: str | None = "/healthz"
    """HTTP path that answers 200 once the node serves; None: an open port is enough."""
    container: dict[str, str] = {}
    """Runtime docker: labels that, with those of the stack, pick this node's one container."""
    listens: int | None = Field(None, gt=0, lt=65536)
    """Runtime docker: the port inside the container; None: the only one that it exposes."""
    data: str | None = Field(None, pattern="^/")
    """Runtime docker: the directory inside the container that its data lie in, for faults of its disk."""


class ServiceSpec(Frozen):
    """A kind of node, and how users reach it."""

    role: str = ""
    """store, gateway, meetings, documents, or the team's own word."""
    backend: str | None = None
    """The protocol users speak (`chaos list backends`); None: users do not speak to it directly."""
    urls: dict[str, str] = {}
    """Entry per region (`default` where there are no regions); `{key}` becomes the room or document."""
    key: str = ""
    secret: str = Field("", repr=False)
    ack: str = ""
    """What an acknowledgement means here: local, received, applied or durable; empty: the backend's own word."""
    limits: dict[str, int] = {}
    """Rooms that admit only so many at a time, where the load shall try what happens to those beyond."""
    nodes: tuple[NodeSpec, ...] = ()


class LinkSpec(Frozen):
    """A directed way of bytes from `source` ("users" or a node) to the node `target`; passes a link proxy."""

    name: str
    source: str
    target: str
    kind: str
    """access (users -> gateway), internal (gateway -> node), storage (node -> store), region (region <-> region)."""
    regions: tuple[str, ...] = ()
    """The regions it belongs to; two for a region <-> region link."""


class Alerts(Frozen):
    """Where the stack's own monitoring says which of its alerts fire."""

    prometheus: str
    """Base URL of a Prometheus, as this machine reaches it; asked once a second for `/api/v1/alerts`."""


class StackSpec(Frozen):
    """A stack file, parsed, checked and not yet started."""

    stack: str
    environment: str = ""
    runtime: str = "process"
    """process: started here, or attached by port; docker: containers that run already, found by labels."""
    containers: dict[str, str] = {}
    """Runtime docker: labels that every container of the stack carries."""
    regions: dict[str, dict[str, str]] = {}
    services: dict[str, ServiceSpec]
    links: tuple[LinkSpec, ...] = ()
    bounds: Bounds = Bounds()
    alerts: Alerts | None = None
    """None: nobody is asked, and how soon the stack warns is not judged."""
    settings: dict[str, str] = {}
    """Free values for placeholders: `${settings.NAME}`; `--set STACK.NAME=VALUE` overrides one."""
    choices: dict[str, tuple[str, ...]] = {}
    """What a setting may be beside empty; a setting that is not named here may be anything."""

    def nodes(self) -> dict[str, tuple[str, NodeSpec]]:
        """Every node by name, with the name of its service."""
        return {node.name: (name, node) for name, service in self.services.items() for node in service.nodes}


class Container(Frozen):
    """A container as it was when the stack was attached."""

    id: str
    name: str
    started: str
    """StartedAt of the engine; with `id` and `sandbox` it tells a container from itself after a restart."""
    sandbox: str = ""
    """SandboxKey: the network namespace's name."""
    addresses: tuple[str, ...] = ()
    """IPv4, one per network."""
    listens: int
    """The port inside."""
    steady: bool = True
    """Whether its published ports are the same after a restart."""
    lacks: dict[str, str] = {}
    """What cannot be done to this very container (a capability's name in lower case), and why."""
    quota_us: int = -1
    """Processor time per period in its cgroup; -1: no limit."""
    period_us: int = 100_000


class Site(Frozen):
    """A stack that runs: everything that a load, a fault or a probe needs to reach it. Plain data, saved as JSON."""

    spec: StackSpec
    """With every placeholder filled in."""
    node_ports: dict[str, int] = {}
    link_ports: dict[str, int] = {}
    supervisor: str = ""
    """Path of the supervisor's control socket; empty: attached, nothing here is ours to start or stop."""
    proxy: str = ""
    """Path of the link proxy's control socket; empty: no links."""
    kernel: str = ""
    """Path of the control socket of what impairs links in the kernel of a sandbox; empty: no sandbox, or no links."""
    containers: dict[str, Container] = {}
    """Runtime docker: node -> its container."""
    clocks: dict[str, str] = {}
    """Runtime process: node -> the file that sets its wall clock; empty: started with clocks that nobody can set."""
    helper: bool = False
    """Runtime docker: only a helper container beside them reaches them."""
    directory: str = ""
    """Holds logs, data and this value as `site.json`."""

    @property
    def id(self) -> str:
        """What `chaos stack ps` calls it: the name of its directory; empty for an attached one."""
        return self.directory.rpartition("/")[2]
