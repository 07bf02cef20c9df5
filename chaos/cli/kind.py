"""Whose experiment is it? One that holds nothing of ours belongs to the stock toolkit, and runs as it would there."""

from __future__ import annotations

from chaos.errors import ChaosError


def is_address(target: str) -> bool:
    """True for what the stock toolkit fetches over HTTP; we never do."""
    return target.startswith(("http://", "https://"))


def is_stock(target: str) -> bool:
    """True for an address, and for a readable experiment without our extension and our providers.

    What cannot be read or parsed is not stock: our own errors say more about it.
    """
    if is_address(target):
        return True
    from chaos.experiment.document import load

    try:
        return not load(target).ours
    except ChaosError:
        return False
