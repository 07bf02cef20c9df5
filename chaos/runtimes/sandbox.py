"""A private network for this process and all that it will start: faults then act in the kernel, and end with it.

`enter` moves the calling process, so pid, terminal, signals, exit code and files stay as they are; only the network is
another one, with nothing but `lo`. A user who may make network namespaces (root) gets just that. Everybody else gets
a user namespace around it, keeps his own uid, and hands the capabilities over the new network on to his children.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from chaos.errors import InternalError, StackFailed, UsageError
from chaos.model.stack import StackSpec
from chaos.runtimes.docker_net import run

TOOLS = ("iptables", "iptables-save", "iptables-restore", "tc", "ip", "ss", "unshare")
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where these programs are; an ordinary user's PATH often lacks them."""
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
CAPABILITIES = (12, 13, 21)
"""CAP_NET_ADMIN for rules, CAP_NET_RAW for raw sockets, CAP_SYS_ADMIN for trials in a namespace of their own."""
CAPABILITY_VERSION = 0x20080522
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
WITHOUT = "without --sandbox the link proxy carries the faults"

_entered = False


def entered() -> bool:
    """Whether this process has its private network."""
    return _entered


def enter() -> None:
    """Give this process its private network; it must have a single thread. Raises `UsageError` with the reason."""
    global _entered  # noqa: PLW0603 - what is entered is the process
    if why := _lacks():
        raise UsageError(f"no sandbox here: {why}", hint=WITHOUT)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise InternalError("the sandbox has to be entered before any thread is started")
    if _unshare(CLONE_NEWNET):  # not root
        _enter_as_user()
    bring_up_loopback()
    _entered = True


def must_fit(spec: StackSpec, attach: str = "") -> None:
    """In a private network only a stack can be used that is started there whole; raises `UsageError` for another."""
    if not entered():
        return
    if attach:
        raise UsageError(f"the stack {attach} runs already, outside of the sandbox", hint="name it, so that one starts")
    if spec.runtime != "process":
        hint = "leave --sandbox out: the kernel impairs their links anyway"
        raise UsageError(f"the stack {spec.stack} is made of containers, which have networks of their own", hint=hint)
    if strange := [name for name, (_, node) in spec.nodes().items() if not node.command]:
        hint = "give each a `command` in the stack file, or leave --sandbox out"
        raise UsageError(f"{', '.join(strange)}: started by nobody here, and not reached from the sandbox", hint=hint)


def why_not(check: Callable[[], str] = str) -> str:
    """Why `enter` would fail, or else what `check` says inside; empty if all works. It is tried in a child."""
    if entered():
        return check()
    if why := _lacks():
        return why
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            enter()
            said = check()
        except BaseException as error:  # noqa: BLE001 - nothing may return into the parent's code
            said = str(error).removeprefix("no sandbox here: ")
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        why = pipe.read()
    os.waitpid(pid, 0)
    return why


def _lacks() -> str:
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    paths = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*filter(None, paths), *SYSTEM_FOLDERS]))
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not on this host: {', '.join(absent)} (iproute2, iptables, util-linux)" if absent else ""


def _unshare(flags: int) -> int:
    """0, or the error's number."""
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.unshare(flags) else 0


def _enter_as_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if failed := _unshare(CLONE_NEWUSER | CLONE_NEWNET):
        limit = "/proc/sys/user/max_user_namespaces is reached" if failed == errno.ENOSPC else ""
        raise _forbidden(limit or os.strerror(failed))
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        _keep_capabilities()
    except OSError as error:
        raise _forbidden(f"{error.strerror} ({error.filename or 'capabilities'})") from error


def _forbidden(why: str) -> UsageError:
    hint = f"an administrator may allow user namespaces (sysctl user.max_user_namespaces, AppArmor, seccomp); {WITHOUT}"
    return UsageError(f"no sandbox here: a user namespace cannot be made: {why}", hint=hint)


def _keep_capabilities() -> None:
    """Make them ambient: a program that is started without being root would lose them."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; low words, then high ones
    failed = libc.capget(header, sets)
    for number in CAPABILITIES:
        sets[2] |= 1 << number
    failed = failed or libc.capset(header, sets)
    for number in CAPABILITIES:
        failed = failed or libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0)
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def bring_up_loopback() -> None:
    """With packets as they are on Ethernet: of 64 kB each, a loss or a rate would be another one than was asked for."""
    try:
        run(0, "ip", "link", "set", "lo", "up", "mtu", "1500", "gso_max_segs", "1")
    except StackFailed as error:  # a user namespace that was granted without its capabilities
        raise _forbidden(error.message) from error
