"""A user's wish, tried until it is granted, refused for good, or the user's patience is over."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.backends.base import BackendError, Lost, MeetingSession, NotSent, Refused
from chaos.load.retry import delay_s
from chaos.model.event import Type

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from chaos.load.scribe import Op

FINAL = ("bad-token", "expired")
"""Refusals that another attempt cannot change."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a wish ended."""

    granted: bool
    attempts: int
    certain: bool = True
    """False: some attempt may have been applied although no answer came."""
    error: str = ""
    node: str = ""

    def close(self, op: Op, node: str = "") -> None:
        """Record it: ok, fail (certainly not applied) or info (open)."""
        if self.granted:
            op.ok({"attempts": self.attempts}, node)
        elif self.certain:
            op.end(Type.FAIL, value={"attempts": self.attempts}, node=self.node, error=self.error)
        else:
            op.end(Type.INFO, value={"attempts": self.attempts}, node=self.node, error=self.error)


async def attempt(
    call: Callable[[], Awaitable[None]], *, until_s: float, each_s: float, policy: str, rng: random.Random
) -> Outcome:
    """Call until it succeeds; `until_s` on `time.monotonic`'s clock, `each_s` for one attempt."""
    count, certain = 0, True
    error, node = "timeout", ""
    while (left := until_s - time.monotonic()) > 0:
        count += 1
        retry_after_s = None
        try:
            async with asyncio.timeout(min(left, each_s)):
                await call()
        except Refused as refusal:
            error, node, retry_after_s = f"refused: {refusal.reason}", refusal.node, refusal.retry_after_s
            if refusal.reason in FINAL:
                break
        except NotSent as reason:
            error, node = f"not sent: {reason}", ""
        except Lost as reason:
            error, certain = f"lost: {reason}", False
        except TimeoutError:
            error, certain = "timeout", False
        else:
            return Outcome(granted=True, attempts=count)
        pause = delay_s(policy, count, rng, retry_after_s)
        if pause is None or time.monotonic() + pause >= until_s:
            break
        await asyncio.sleep(pause)
    return Outcome(granted=False, attempts=count, certain=certain and count > 0, error=error, node=node)


async def ask_once(link: MeetingSession, op: Op, within_s: float) -> bool:
    """Join on one socket, once, and close `op` with what came of it; whether it was let in. What is unsure is cut."""
    try:
        async with asyncio.timeout(within_s):
            await link.join()
    except Refused as refusal:
        op.fail(f"refused: {refusal.reason}", refusal.node)
        return False
    except TimeoutError:
        op.info("timeout")
    except BackendError as error:
        op.info(f"{'lost' if isinstance(error, Lost) else 'not sent'}: {error.reason}")
    else:
        op.ok(node=link.node)
        return True
    await link.cut()
    return False
