"""Stack files: what they become, and every way in which they are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaos.errors import InvalidInput, Problem
from chaos.runtimes.stackfile import builtin_stacks, fill, load_stack

GOOD = """\
stack: shop
environment: staging
regions: {east: , west: {}}
settings: {mutant: "", window: 5, loud: true}
services:
  store:
    nodes:
      - name: store
        command: ["${python}", -m, store, --port, "${port}", --data, "${data}", --window, "${settings.window}"]
  rooms:
    role: meetings
    secret: ${SHOP_SECRET}
    urls: {east: "ws://127.0.0.1:${links.users--a.port}/rooms/{key}"}
    nodes:
      - name: a
        region: east
        command: [serve, "${name}@${region}", "${nodes.store.port}", 7]
        env: {HOME_OF: "${here}", LOUD: "${settings.loud}", N: 3}
      - {name: b, region: west, port: 8123, health: null}
links:
  - {name: users--a, source: users, target: a, kind: access, regions: [east]}
  - {name: a--store, source: a, target: store, kind: storage}
"""

HOW = "write it as http://HOST:PORT"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_SECRET", "pst")
    return Path("stack.yaml")


def refused(path: Path, text: str, settings: dict[str, str] | None = None) -> tuple[Problem, ...]:
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_stack(str(path), settings or {})
    return caught.value.problems


def test_good_file_is_loaded_and_filled(write: Path) -> None:
    """Settings and environment are filled in at loading, ports and directories at the start, `{key}` never."""
    write.write_text(GOOD)
    spec = load_stack("stack.yaml", {"window": "9"})
    assert spec.regions == {"east": {}, "west": {}}
    assert spec.settings == {"mutant": "", "window": "9", "loud": "true"}
    assert spec.services["rooms"].secret == "pst"
    filled = fill(spec, {"store": 1, "a": 2, "b": 8123}, {"users--a": 3, "a--store": 4}, {"store": Path("/d/store")})
    store, a, b = (node for _, node in filled.nodes().values())
    assert store.command == (
        sys.executable,
        "-m",
        "store",
        "--port",
        "1",
        "--data",
        "/d/store",
        "--window",
        "9",
    )
    assert a.command == ("serve", "a@east", "1", "7")
    assert a.env == {"HOME_OF": str(write.parent.absolute()), "LOUD": "true", "N": "3"}
    assert (a.port, b.port, b.health) == (2, 8123, None)
    assert filled.services["rooms"].urls == {"east": "ws://127.0.0.1:3/rooms/{key}"}


def test_directory_stands_for_its_stack_file(write: Path) -> None:
    """A folder is read as the stack.yaml in it."""
    write.write_text(GOOD)
    assert load_stack(".").stack == "shop"


def test_builtin_stacks_are_found_by_name() -> None:
    """Every built-in stack has its name in its file, and loads."""
    for name, path in builtin_stacks().items():
        assert path.is_file()
        assert load_stack(name).stack == name


def test_missing_file_names_the_builtin_stacks(write: Path) -> None:
    """A stack that is neither built in nor a file is refused with a suggestion."""
    with pytest.raises(InvalidInput) as caught:
        load_stack("nowhere/stack.yaml")
    assert "no such stack" in caught.value.evidence[0]


def test_all_problems_come_at_once_with_places(write: Path) -> None:
    """Unknown keys, placeholders, settings and environment are all reported, each at its line and column."""
    problems = refused(
        write,
        """\
stack: shop
enviroment: staging
services:
  rooms:
    secret: ${NO_SUCH_WORD}
    nodes:
      - {name: a, comand: [x], command: [x, "${prot}", "${settings.mutnat}"]}
settings: {mutant: ""}
""",
        {"mutan": "ghost"},
    )
    assert [(one.line, one.col, one.message, one.hint) for one in problems] == [
        (2, 1, "unknown key `enviroment`", "did you mean `environment`?"),
        (5, 13, "the environment has no NO_SUCH_WORD", "set it: export NO_SUCH_WORD=..."),
        (7, 19, "unknown key `comand`", "did you mean `command`?"),
        (7, 45, "unknown placeholder `${prot}`", "did you mean `port`?"),
        (7, 56, "no setting `mutnat`", "did you mean `mutant`?"),
        (8, 1, "no setting `mutan`", "did you mean `mutant`?"),
    ]
    assert {one.file for one in problems} == {"stack.yaml"}


def test_names_must_be_unique_and_known(write: Path) -> None:
    """Duplicate nodes and links, links to nowhere, unknown regions and reserved names are refused."""
    problems = refused(
        write,
        """\
stack: shop
runtime: dokcer
regions: {east: {}}
services:
  rooms:
    urls: {eats: "ws://x"}
    nodes:
      - {name: a, command: [x], region: eest}
      - {name: a, command: [x]}
      - {name: users, command: [x]}
      - {name: c}
links:
  - {name: l, source: users, target: d, kind: access}
  - {name: l, source: b, target: a, kind: internal, regions: [wset]}
""",
    )
    assert [(one.line, one.message) for one in problems] == [
        (2, "unknown runtime `dokcer`"),
        (6, "no region `eats`"),
        (8, "no region `eest`"),
        (9, "two nodes are called `a`"),
        (10, "a node cannot be called `users`"),
        (11, "node `c` has neither command nor port"),
        (13, "no node `d`"),
        (14, "two links are called `l`"),
        (14, "no node `b`"),
        (14, "no region `wset`"),
    ]


def test_wrong_shapes_are_said_in_words(write: Path) -> None:
    """A value of the wrong kind and a missing key are reported at their places."""
    problems = refused(write, "stack: s\nservices:\n  a:\n    nodes: [{port: high}]\nbounds: {leave_s: -1}\n")
    assert [(one.line, one.message) for one in problems] == [
        (4, "`name` is missing"),
        (4, "`services.a.nodes.0.port`: input should be a valid integer, unable to parse string as an integer"),
        (5, "`bounds.leave_s`: input should be greater than 0"),
    ]


def test_placeholders_of_nodes_have_no_meaning_outside(write: Path) -> None:
    """`${port}` belongs into a node; elsewhere a port is named with its node or link."""
    problems = refused(
        write,
        'stack: s\nservices:\n  a:\n    urls: {default: "ws://x:${port}"}\n    key: "${links.a}"\n'
        '    secret: "${nodes.z.port}"\n    nodes: [{name: y, port: 1}]\n',
    )
    assert [(one.line, one.hint) for one in problems] == [
        (4, "write ${nodes.NAME.port}"),
        (5, "write ${links.NAME.port}"),
        (6, ""),
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("stack: [\n", 2, "not YAML"),
        ("stack: a\nstack: b\n", 2, "not YAML: found duplicate key"),
        ("- a\n", 1, "a stack file is a mapping"),
        ("", 1, "a stack file is a mapping"),
    ],
)
def test_text_that_is_no_stack_file(write: Path, text: str, line: int, says: str) -> None:
    """Broken YAML, duplicate keys and other documents are refused with their place."""
    (problem,) = refused(write, text)
    assert problem.line == line
    assert problem.message.startswith(says)


def test_binary_file_is_refused(write: Path) -> None:
    """Bytes that are no text make a problem, not a traceback."""
    write.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="1 problem"):
        load_stack("stack.yaml")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9090", "https://prometheus.example/some/path/", "http://[::1]:${nodes.store.port}"]
)
def test_alerts_name_a_prometheus(write: Path, url: str) -> None:
    """A host, its port and a path before the API's; a node of the stack may be the one."""
    write.write_text(GOOD + f'alerts: {{prometheus: "{url}"}}\n')
    alerts = fill(load_stack("stack.yaml"), {"store": 7, "a": 2, "b": 3}, {"users--a": 3, "a--store": 4}, {}).alerts
    assert alerts is not None
    assert alerts.prometheus == url.replace("${nodes.store.port}", "7")


@pytest.mark.parametrize(
    ("alerts", "col", "message", "hint"),
    [
        ("", 1, "`prometheus` is missing", ""),
        ("{promtheus: x}", 10, "unknown key `promtheus`", "did you mean `prometheus`?"),
        ("{prometheus: 9090}", 22, "`alerts.prometheus`: input should be a valid string", ""),
        ("{prometheus: localhost:9090}", 22, "`localhost:9090` is no URL of a Prometheus", HOW),
        ("{prometheus: ftp://h}", 22, "`ftp://h` is no URL of a Prometheus", HOW),
        ("{prometheus: http://h:0}", 22, "`http://h:0` is no URL of a Prometheus", HOW),
        ("{prometheus: http://h:x}", 22, "`http://h:x` is no URL of a Prometheus", HOW),
        ("{prometheus: http://h/?q=1}", 22, "`http://h/?q=1` goes on after its path", HOW),
        (
            "{prometheus: http://me:secret@h}",
            22,
            "a user or a password has no place here: the plan of a run would show it",
            HOW,
        ),
    ],
)
def test_alerts_that_cannot_be_asked_are_refused(write: Path, alerts: str, col: int, message: str, hint: str) -> None:
    """Each with its place, and how to write it; a password is not repeated."""
    problems = refused(write, f"alerts: {alerts}\n{GOOD}")
    found = {(one.line, one.col, one.message, one.hint) for one in problems}
    assert (1, col, message, hint) in found
    assert "secret" not in message
