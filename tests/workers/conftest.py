"""The ledger and the SCP of tests/node, for workers that are told what to do by them."""

from __future__ import annotations

from tests.node.conftest import associate, house, ledger, listen, redis_server, settings

__all__ = ["associate", "house", "ledger", "listen", "redis_server", "settings"]
