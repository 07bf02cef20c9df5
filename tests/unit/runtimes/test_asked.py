"""What the link proxy reads in the first bytes of a connection."""

from __future__ import annotations

import pytest

from chaos.runtimes.proxy_link import asked


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        (b"GET /rooms/room-1 HTTP/1.1\r\nHost: x\r\n\r\n", "room-1"),
        (b"GET /docs/my%2Fplan?token=a/b HTTP/1.1\r\n", "my/plan"),
        (b"GET / HTTP/1.1\r\n\r\n", ""),
        (b"GET /rooms/room-1 HTTP/1.", "room-1"),
        (b"GET /rooms/room-1", ""),
        (b"\x16\x03\x01\x02\x00\x01", ""),
        (b"GET /\xff\xfe HTTP/1.1\r\n", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_the_key_is_the_last_part_of_the_path(request_: bytes, key: str) -> None:
    """Queries and escapes are understood; what is no whole request line of HTTP names nothing."""
    assert asked(request_) == key
