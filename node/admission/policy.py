"""Who may associate, and what each may do: a decision on the settings, without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from node.settings import Peer, Settings

Right = Literal["images", "read", "change", "subscriptions"]
RIGHTS: Mapping[Right, tuple[str, Callable[[Peer], bool]]] = {
    "images": ('send = ["images"]', lambda peer: "images" in peer.send),
    "read": ('worklist = ["read"]', lambda peer: "read" in peer.worklist),
    "change": ('worklist = ["change"]', lambda peer: "change" in peer.worklist),
    "subscriptions": ('worklist = ["subscriptions"]', lambda peer: "subscriptions" in peer.worklist),
}
"""The entry of a peer's table that gives each right, and whether a peer has it."""
_OF_UNKNOWN = ("images",)  # with node.accept_unknown


@dataclass(frozen=True, slots=True)
class Caller:
    """Who requests an association: the AE titles of its request, its address, and the names of its certificate."""

    called: str
    ae_title: str
    address: str
    names: frozenset[str] | None = None
    """Common Name and subjectAltName in small letters; None without TLS."""


class RejectReason(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    CALLED_NOT_RECOGNIZED = 1, 1, 7  # permanent, service user: called AE title
    CALLING_NOT_RECOGNIZED = 1, 1, 3  # permanent, service user: calling AE title
    VERSION_NOT_SUPPORTED = 1, 2, 2  # permanent, service provider (ACSE)
    LOCAL_LIMIT_EXCEEDED = 2, 3, 2  # transient, service provider (presentation)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a caller is rejected, and what it or the administrator can do about it."""

    reason: RejectReason
    hint: str


class AssociationPolicy:
    """Which callers the settings accept, and their rights."""

    def __init__(self, settings: Settings) -> None:
        self._node = settings.node
        self._peers = settings.peers_that(lambda peer: not peer.folder)

    def rejection(self, caller: Caller) -> Rejection | None:
        """Why the caller is rejected; None where it is accepted."""
        if caller.called != self._node.ae_title:
            hint = f"it calls another AE title: enter {self._node.ae_title} there, or change node.ae_title"
            return Rejection(RejectReason.CALLED_NOT_RECOGNIZED, hint)
        named = {name: peer for name, peer in self._peers.items() if peer.ae_title == caller.ae_title}
        if not named:
            hint = "no peer has this AE title: write a [peers.…] table with it"
            return None if self._node.accept_unknown else Rejection(RejectReason.CALLING_NOT_RECOGNIZED, hint)
        near = {name: peer for name, peer in named.items() if _calls_from(peer, caller.address)}
        if not near:
            hint = f"it calls from {caller.address}: add that to addresses of [peers.{next(iter(named))}]"
            return Rejection(RejectReason.CALLING_NOT_RECOGNIZED, hint)
        if not any(_shows(peer, caller.names) for peer in near.values()):
            name, peer = next(iter(near.items()))
            hint = (
                f"its certificate names {', '.join(sorted(caller.names or ())) or 'nobody'}: give it one that names "
                f"{peer.certificate}, or change certificate of [peers.{name}]"
            )
            return Rejection(RejectReason.CALLING_NOT_RECOGNIZED, hint)
        return None

    def key(self, caller: Caller) -> str:
        """The name under which the limits of a peer are counted: its AE title; all that no table names share one."""
        return caller.ae_title if self._tables(caller) else ""

    def may(self, caller: Caller, right: Right) -> bool:
        """Whether a table of the caller gives the right."""
        tables = self._tables(caller)
        if not tables and not any(peer.ae_title == caller.ae_title for peer in self._peers.values()):
            return self._node.accept_unknown and right in _OF_UNKNOWN
        return any(RIGHTS[right][1](peer) for peer in tables)

    def _tables(self, caller: Caller) -> Iterable[Peer]:
        return [
            peer
            for peer in self._peers.values()
            if peer.ae_title == caller.ae_title and _calls_from(peer, caller.address) and _shows(peer, caller.names)
        ]


def plain_address(text: str) -> str:
    """An address without its zone; IPv4 where it is one that IPv6 carries."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def _calls_from(peer: Peer, address: str) -> bool:
    return not peer.addresses or any(ip_address(address) in network for network in peer.addresses)


def _shows(peer: Peer, names: frozenset[str] | None) -> bool:
    return not peer.certificate or peer.certificate.lower() in (names or ())
