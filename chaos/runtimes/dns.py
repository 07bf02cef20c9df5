"""One query of DNS, as simple as it can be (RFC 1035): to see whether a name server answers, not what it answers."""

from __future__ import annotations

import secrets
import socket
import struct
from pathlib import Path

from chaos.errors import StackFailed

PORT = 53
HEADER = struct.Struct(">HHHHHH")
LENGTH = struct.Struct(">H")
RECURSION_DESIRED, RESPONSE = 0x0100, 0x8000
TYPE_A, CLASS_IN = 1, 1


def server(resolv_conf: Path) -> str:
    """The first IPv4 name server of a resolver's configuration. Raises `StackFailed` where there is none."""
    for line in resolv_conf.read_text(errors="replace").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and ":" not in words[1]:
            return words[1]
    raise StackFailed(f"{resolv_conf} names no name server of IPv4")


def ask(address: str, name: str, *, tcp: bool, timeout_s: float) -> str:
    """Ask for the address of a name: `answered` (whatever the answer says), `timeout`, `refused`, or other words.

    refused: a reset, an ICMP message that nobody listens, or a send that the kernel itself turns away.
    """
    number = secrets.randbelow(1 << 16)
    message = question(number, name)
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect((address, PORT))
            sock.sendall(LENGTH.pack(len(message)) + message if tcp else message)
            answer = sock.recv(4096)[LENGTH.size if tcp else 0 :]
        except TimeoutError:
            return "timeout"
        except (ConnectionError, PermissionError):
            return "refused"
        except OSError as error:
            return f"no query: {error.strerror or error}"
    return "answered" if is_answer(number, answer) else "no answer to this query"


def question(number: int, name: str) -> bytes:
    """A query for the IPv4 address of a name."""
    labels = (label.encode("idna") for label in name.rstrip(".").split("."))
    asked = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return HEADER.pack(number, RECURSION_DESIRED, 1, 0, 0, 0) + asked + struct.pack(">HH", TYPE_A, CLASS_IN)


def is_answer(number: int, message: bytes) -> bool:
    """Whether it is a response to that query, with or without a result."""
    if len(message) < HEADER.size:
        return False
    its_number, flags, *_ = HEADER.unpack_from(message)
    return bool(its_number == number and flags & RESPONSE)
