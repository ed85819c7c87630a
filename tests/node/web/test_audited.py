"""What the page shows is in the audit trail; metrics are served by the token's rule."""

from __future__ import annotations

from base64 import b64decode

from tests.node.audit.test_recorder import event, things, told, users
from tests.node.phantoms import STUDY
from tests.node.web.conftest import Serve, Site, analyse, arrive


def test_a_study_and_its_pictures_are_one_viewing(site: Site) -> None:
    ledger, data = site.context.ledger, site.context.settings.node.data
    arrive(ledger, PatientID="HUSH4711")
    analyse(ledger, data)
    shown = site.client.get(f"/study/{STUDY}").text
    for number in (1, 2):
        assert f"/picture/{number}" in shown
        assert site.client.get(f"/picture/{number}").status_code == 200
    site.recorded()
    (message,) = told(ledger)
    assert (event(message), things(message)) == (("110103", "R", "0"), [STUDY, "HUSH4711"])
    assert users(message) == ["127.0.0.1", "READFIRST"]


def test_the_list_and_what_is_looked_for_in_it_are_told_once(site: Site) -> None:
    site.client.get("/")
    for _ in range(3):  # the page asks again whenever something has changed
        site.post("/lines", site.csrf("/status"))
        site.post("/lines", site.csrf("/status"), words="Secret")
    site.recorded()
    messages = told(site.context.ledger)
    assert [event(one)[0] for one in messages] == ["110112", "110112"]
    keys = [b64decode(one.findtext(".//ParticipantObjectQuery") or "") for one in messages]
    assert keys == [b"", b"words=Secret"]


def test_logging_in_and_out_is_told(serve: Serve) -> None:
    site = serve(token="a long enough token")
    for token in ("a wrong one", "a long enough token"):
        headers = {"Origin": site.url, "X-CSRF-Token": site.csrf("/login")}
        site.client.post("/login", data={"token": token}, headers=headers)
    site.post("/logout", site.csrf("/"))
    site.recorded()
    found = [(one[0][1].attrib["csd-code"], event(one)[2]) for one in told(site.context.ledger) if len(one[0]) > 1]
    assert found == [("110122", "4"), ("110122", "0"), ("110123", "0")]


def test_a_program_with_a_wrong_token_is_told(serve: Serve) -> None:
    site = serve(token="a long enough token")
    site.client.get("/metrics", headers={"Authorization": "Bearer a wrong one"})
    site.recorded()
    (message,) = told(site.context.ledger)
    assert (event(message), users(message)) == (("110114", "E", "4"), ["127.0.0.1", "READFIRST"])


def test_metrics_need_the_token_where_there_is_one(serve: Serve) -> None:
    open_to_all = serve().client.get("/metrics")
    assert open_to_all.status_code == 200
    assert "readfirst_disk_free_bytes" in open_to_all.text
    client = serve(token="a long enough token").client
    assert client.get("/metrics", follow_redirects=False).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer a wrong one"}).status_code == 401
    given = client.get("/metrics", headers={"Authorization": "Bearer a long enough token"})
    assert (given.status_code, given.headers["content-type"].partition(";")[0]) == (200, "text/plain")
