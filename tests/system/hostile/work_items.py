"""UPS-RS: work items that could not be sent again, sent by programs or kept by an older version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import httpx
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import UnifiedProcedureStepPull

from tests.node.dicomweb.test_unsendable import ACCEPT, spoil
from tests.node.dicomweb.test_unsendable import BAD as SENT_BAD
from tests.node.dicomweb.test_workitems import JSON, body, create
from tests.node.worklist.items.test_encoding import BAD
from tests.node.worklist.scu import find, pushed
from tests.system.hostile.kind import Answer, Kind, spread
from tests.system.hostile.limited import HOSTILE, Site

_KEPT = {
    "null": "null",
    "a list": "[]",
    "a number for an attribute": '{"00100010": 5}',
    "a number for a list": '{"00741000": {"vr": "CS", "Value": 7}}',
}
_TITLES = ("%C3%84RZTE", "%20", "SEVENTEENLETTERSX", "A%5CB")
_WORKITEMS, _EVERYTHING = "/workitems", "1.2.840.10008.5.1.4.34.5"


def _client(site: Site) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{site.web}/dicomweb", trust_env=False, timeout=20)


def _poisoned(site: Site, most: int) -> Iterator[Answer]:
    with _client(site) as client:
        create(client)
        for name, (tag, entry) in spread(list((BAD | SENT_BAD).items()), most):
            content = json.dumps([body(pushed())[0] | {tag: entry}])
            answer = client.post(f"{_WORKITEMS}?workitem={generate_uid()}", content=content, headers=JSON)
            yield Answer(name, str(answer.status_code), answer.status_code == 400)
        for title in _TITLES:
            answer = client.post(f"{_WORKITEMS}/{_EVERYTHING}/subscribers/{title}")
            yield Answer(f"Receiving AE {title}", str(answer.status_code), answer.status_code == 400)
        yield from _listed(site, client)


def _spoiled(site: Site, most: int) -> Iterator[Answer]:
    with _client(site) as client:
        for name, attributes in spread(list(_KEPT.items()), most):
            uid = create(client)
            with closing(site.house.ledger()) as ledger:
                spoil(ledger, uid, attributes)
            yield Answer(name, "kept")
            yield from _listed(site, client)


def _listed(site: Site, client: httpx.Client) -> Iterator[Answer]:
    """Everybody else still finds the others, by both ways."""
    search = client.get(_WORKITEMS, headers=ACCEPT)
    yield Answer("Search", f"Search {search.status_code}", search.status_code == 200 and bool(search.json()))
    page = httpx.get(f"http://127.0.0.1:{site.web}/", trust_env=False, timeout=20, follow_redirects=True)
    yield Answer("page", f"page {page.status_code}", page.status_code == 200)
    ae = AE(HOSTILE)
    ae.add_requested_context(UnifiedProcedureStepPull)
    association = ae.associate("127.0.0.1", site.house.port, ae_title="READFIRST")
    matches, status = find(association, SOPInstanceUID="")
    association.release()
    yield Answer("C-FIND", f"C-FIND 0x{status:04X}", status == 0x0000 and bool(matches))


KINDS = (
    Kind("UPS-RS poison", _poisoned, few=6),
    Kind("UPS-RS rows that are there already", _spoiled, few=1),
)
