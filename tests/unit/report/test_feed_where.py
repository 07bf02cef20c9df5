"""Who is hit, in a word or two."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.report.feed import Feed


@pytest.mark.parametrize(
    ("reach", "where"),
    [
        ({"nodes": ["doc-e1"]}, "doc-e1"),
        ({"regions": ["cn-east"]}, "cn-east"),
        ({"nodes": ["a", "b", "c"], "regions": ["cn-east"]}, "cn-east"),
        ({"nodes": ["a", "b", "c"]}, "3 nodes"),
        ({"everything": True}, "everybody"),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_fault_says_who_is_hit(reach: Any, where: str) -> None:
    """Few nodes by name, else the regions, else a count; nothing where the record does not say."""
    feed = Feed()
    assert feed.step_of_fault("on", {"id": "r.1", "reach": reach}).where == where
