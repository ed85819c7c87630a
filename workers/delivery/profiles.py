"""Which kinds of results a peer gets, and which only where it does not take another; a profile for each viewer.

No heavy import: deliveries look here, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from node.entities import JobState
from node.errors import ConfigurationError
from node.sending.deliveries import Plan
from node.settings import Peer, Settings, did_you_mean
from workers.results.registry import fallbacks, kinds


class Profile(NamedTuple):
    """The kinds that a peer with this viewer gets, and why these."""

    kinds: tuple[str, ...]
    reason: str


class ResultOptions(NamedTuple):
    """Which kinds of results an analysis makes, and the language and font of what is drawn or printed."""

    kinds: frozenset[str]
    language: str = "en"
    font: Path | None = None


_PROFILES: dict[str, Profile] = {}


def register(viewer: str, profile: Profile) -> None:
    """Called by each file of `workers.delivery.viewers`."""
    _PROFILES[viewer] = profile


def profiles() -> Mapping[str, Profile]:
    """Each viewer's profile."""
    import_module("workers.delivery.viewers")
    return _PROFILES


def require_known(settings: Settings) -> None:
    """Every viewer and kind that `peers` names has a profile or writer.

    Raises
    ------
    ConfigurationError
    """
    for name, peer in settings.peers.items():
        if peer.viewer not in profiles():
            known = f"{', '.join(sorted(profiles()))}{did_you_mean(peer.viewer, profiles())}"
            raise ConfigurationError(f"peers.{name}.viewer: there is no profile {peer.viewer}, only {known}")
        for kind in set(peer.also) - set(kinds()):
            known = f"{', '.join(kinds())}{did_you_mean(kind, kinds())}"
            raise ConfigurationError(f"peers.{name}.also: there is no kind {kind}, only {known}")


def kinds_for(peer: Peer) -> tuple[str, ...]:
    """Its viewer's kinds, and those that it also asks for."""
    return tuple(dict.fromkeys((*profiles()[peer.viewer].kinds, *peer.also)))


def standby_for(peer: Peer) -> tuple[str, ...]:
    """What may be sent instead; nothing to a folder, which refuses nothing."""
    wanted = kinds_for(peer)
    instead = (kind for each in wanted for kind in fallbacks(each)) if not peer.folder else ()
    return tuple(dict.fromkeys(kind for kind in instead if kind not in wanted))


def plan_of(settings: Settings) -> Plan:
    """Which object goes to which peer at once, and which only where another is refused."""

    def plan(name: str, kind: str) -> JobState | None:
        peer = settings.receivers[name]
        if kind in kinds_for(peer):
            return JobState.PENDING
        return JobState.STANDBY if settings.results.fallback and kind in standby_for(peer) else None

    return plan


def result_options(settings: Settings) -> ResultOptions:
    """What the receivers get or may get; without any receiver what OHIF shows, to be looked at on disk."""
    receivers, results = settings.receivers.values(), settings.results
    if not receivers:
        return ResultOptions(frozenset(profiles()["ohif"].kinds), results.language, results.font)
    made = {kind for peer in receivers for kind in kinds_for(peer)}
    if results.fallback:
        made |= {kind for peer in receivers for kind in standby_for(peer)}
    return ResultOptions(frozenset(made), results.language, results.font)
