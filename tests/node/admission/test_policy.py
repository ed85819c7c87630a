"""Who may come in, and what each may do."""

from __future__ import annotations

import pytest

from node.admission.policy import AssociationPolicy, Caller, Right, plain_address
from node.settings import Node, Peer, Settings, Tls

TLS = Tls.model_validate({"certificate": "c.pem", "key": "k.pem", "ca": "ca.pem"})
PEERS = {
    "anywhere": {"ae_title": "ANYWHERE", "host": "h", "send": ["images"]},
    "near": {"ae_title": "NEAR", "host": "h", "addresses": ["10.1.0.0/16", "fd00::/8"], "worklist": ["read"]},
    "bound": {"ae_title": "BOUND", "host": "h", "certificate": "CT.Hospital", "worklist": ["change"]},
    "twin-1": {"ae_title": "TWIN", "host": "h", "addresses": ["10.2.0.1"], "send": ["images"]},
    "twin-2": {"ae_title": "TWIN", "host": "h", "addresses": ["10.2.0.2"], "worklist": ["read", "change"]},
    "results": {"folder": "out", "receive": ["results"]},
}
CALLED, CALLING = (1, 1, 7), (1, 1, 3)  # PS3.8 Table 9-21


def policy(*, accept_unknown: bool = False) -> AssociationPolicy:
    peers = {name: Peer.model_validate(table) for name, table in PEERS.items()}
    return AssociationPolicy(Settings(node=Node(tls=TLS, accept_unknown=accept_unknown), peers=peers))


def rejected(caller: Caller, *, accept_unknown: bool = False) -> tuple[tuple[int, int, int] | None, str]:
    found = policy(accept_unknown=accept_unknown).rejection(caller)
    return (found.reason.value, found.hint) if found else (None, "")


@pytest.mark.parametrize(
    ("caller", "answer", "hint"),
    [
        (Caller("READFIRST", "ANYWHERE", "192.0.2.1"), None, ""),
        (Caller("OTHER", "ANYWHERE", "192.0.2.1"), CALLED, "enter READFIRST there, or change node.ae_title"),
        (Caller("readfirst", "ANYWHERE", "192.0.2.1"), CALLED, "node.ae_title"),
        (Caller("READFIRST", "STRANGER", "192.0.2.1"), CALLING, "[peers.…]"),
        (Caller("READFIRST", "anywhere", "192.0.2.1"), CALLING, "[peers.…]"),
        (Caller("READFIRST", "", "192.0.2.1"), CALLING, "[peers.…]"),
        (Caller("READFIRST", "ANY", "192.0.2.1"), CALLING, "[peers.…]"),  # what a folder's table is called
        (Caller("READFIRST", "NEAR", "10.1.200.3"), None, ""),
        (Caller("READFIRST", "NEAR", "fd00::1"), None, ""),
        (Caller("READFIRST", "NEAR", "10.2.0.1"), CALLING, "10.2.0.1: add that to addresses of [peers.near]"),
        (Caller("READFIRST", "BOUND", "10.9.9.9", frozenset({"ct.hospital"})), None, ""),
        (Caller("READFIRST", "BOUND", "10.9.9.9", frozenset({"mr"})), CALLING, "give it one that names CT.Hospital"),
        (Caller("READFIRST", "BOUND", "10.9.9.9", frozenset()), CALLING, "names nobody"),
        (Caller("READFIRST", "TWIN", "10.2.0.2"), None, ""),
        (Caller("READFIRST", "TWIN", "10.2.0.3"), CALLING, "addresses of [peers.twin-1]"),
    ],
)  # fmt: skip
def test_who_is_let_in(caller: Caller, answer: tuple[int, int, int] | None, hint: str) -> None:
    found, said = rejected(caller)
    assert found == answer
    assert hint in said


def test_accept_unknown_is_for_the_unknown_and_for_nobody_who_pretends() -> None:
    assert rejected(Caller("READFIRST", "STRANGER", "192.0.2.1"), accept_unknown=True)[0] is None
    assert rejected(Caller("READFIRST", "NEAR", "192.0.2.1"), accept_unknown=True)[0] == CALLING


@pytest.mark.parametrize(
    ("ae_title", "address", "rights"),
    [
        ("ANYWHERE", "192.0.2.1", {"images"}),
        ("NEAR", "10.1.0.1", {"read"}),
        ("NEAR", "192.0.2.1", set()),
        ("BOUND", "192.0.2.1", set()),
        ("TWIN", "10.2.0.1", {"images"}),
        ("TWIN", "10.2.0.2", {"read", "change"}),
        ("STRANGER", "192.0.2.1", set()),
    ],
)
def test_each_right_stands_in_the_table_that_the_caller_fits(ae_title: str, address: str, rights: set[Right]) -> None:
    every: tuple[Right, ...] = ("images", "read", "change")
    caller = Caller("READFIRST", ae_title, address)
    assert {right for right in every if policy().may(caller, right)} == rights
    opened = {right for right in every if policy(accept_unknown=True).may(caller, right)}
    assert opened == ({"images"} if ae_title == "STRANGER" else rights)


def test_all_whom_no_table_names_share_their_limits() -> None:
    assert policy().key(Caller("READFIRST", "NEAR", "10.1.0.1")) == "NEAR"
    assert {policy().key(Caller("READFIRST", name, "10.1.0.1")) for name in ("A", "B", "C")} == {""}


@pytest.mark.parametrize(
    ("text", "plain"),
    [("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_an_address_is_compared_as_itself(text: str, plain: str) -> None:
    assert plain_address(text) == plain
