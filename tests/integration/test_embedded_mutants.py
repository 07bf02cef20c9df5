"""Mutants of the embedded stack: switched on by a setting, loud in the log, and wrong in their one way."""

from __future__ import annotations

import asyncio

import pytest
from embedded_harness import Editor, Stack, cold_read, play, running, until

from chaos.errors import InvalidInput

pytestmark = pytest.mark.timeout(60)


def test_lost_edit_loses_what_it_acknowledged_at_a_crash_only() -> None:
    """With `lost-edit` an acknowledged edit is missing after SIGKILL of its owner; without a crash it arrives late."""

    async def scene(stack: Stack) -> None:
        url = stack.url("cn-east", "/docs/lossy")
        editor, watcher = Editor("lossy"), Editor("lossy")
        await editor.open(url)
        await watcher.open(url)
        await editor.edit("kept", 1)
        assert watcher.tokens() == []
        await until(lambda: _reads(watcher, ["kept"]), 4)
        owner = await stack.owner("lossy")
        assert "MUTANT lost-edit IS ON" in stack.log(owner)
        await editor.edit("lost", 1)
        await stack.kill(owner)
        await asyncio.gather(editor.close(), watcher.close())
        assert await cold_read(stack, "cn-east", "lossy") == ["kept"]

    with running(mutant="lost-edit") as stack:
        play(scene(stack))


def test_unknown_mutant_does_not_start() -> None:
    """A misspelt mutant is refused before anything starts, with the one that was meant."""
    with pytest.raises(InvalidInput) as refused, running(mutant="gost"):
        pass
    assert "did you mean `ghost`" in str(refused.value.problems[0])


async def _reads(editor: Editor, tokens: list[str]) -> bool:
    return editor.tokens() == tokens
