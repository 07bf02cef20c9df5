"""The registry of backends."""

from __future__ import annotations

from chaos.backends import registry


def test_every_file_that_exports_a_backend_is_found() -> None:
    """Both shipped protocols are there under their names, and helper files are not."""
    found = registry()
    assert {"rooms", "hocuspocus"} <= set(found)
    assert all(name == backend.name for name, backend in found.items())


def test_backends_say_what_they_serve() -> None:
    """Each backend serves meetings or documents, and its acknowledgement has one of the known meanings."""
    for backend in registry().values():
        assert backend.serves in {"meetings", "documents"}
        assert backend.ack in {"local", "received", "applied", "durable"}
        assert backend.says
