"""Each region has a room of its own under the same name: who comes in through the other one is elsewhere."""

from __future__ import annotations

from chaos.stacks.embedded.gateway import Gateway, Relay

SERVICE = "gateway"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M4"


def mutate(base: type[Gateway]) -> type[Gateway]:
    """Ask for the region's own room."""

    class Apart(base):  # type: ignore[valid-type,misc]
        async def reach(self, kind: str, key: str, *, relayed: bool) -> Relay:
            name = f"{key}@{self.region}" if kind == "rooms" and not relayed else key
            relay: Relay = await super().reach(kind, name, relayed=relayed)
            return relay

    return Apart
