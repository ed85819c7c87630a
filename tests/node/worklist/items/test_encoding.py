from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from node.worklist.items.encoding import PassedOver, require_sendable, sendable
from node.worklist.items.json_model import from_dataset
from node.worklist.items.statuses import UpsRefused
from tests.node.worklist.scu import discontinued, performed, pushed

BAD = {
    "half a surrogate": ("00741204", {"vr": "LO", "Value": ["\ud800"]}),
    "in a name": ("00100010", {"vr": "PN", "Value": [{"Alphabetic": "A\udfff"}]}),
    "infinity": ("00181041", {"vr": "DS", "Value": ["1e999"]}),
    "no number": ("00089459", {"vr": "FL", "Value": [float("nan")]}),
    "more than a US": ("00280010", {"vr": "US", "Value": [70000]}),
    "more than an FL": ("00089459", {"vr": "FL", "Value": [1e300]}),
    "too long for its length field": ("00741204", {"vr": "LO", "Value": ["x" * 70000]}),
    "letters that no AE has": ("00741234", {"vr": "AE", "Value": ["K\u00f6ln"]}),
    "letters that no CS has": ("00100040", {"vr": "CS", "Value": ["\u754c"]}),
    "a tag that is none": ("00081164", {"vr": "AT", "Value": ["XYZ"]}),
    "deep inside": ("00404021", {"vr": "SQ", "Value": [{"0040E020": {"vr": "CS", "Value": ["\u754c"]}}]}),
}


@pytest.mark.parametrize(("tag", "entry"), BAD.values(), ids=BAD)
def test_what_no_output_takes_is_refused_with_its_attribute(tag: str, entry: dict[str, Any]) -> None:
    with pytest.raises(UpsRefused) as refused:
        require_sendable({tag: entry})
    assert int(refused.value.status) == 0x0106
    assert refused.value.keyword


@pytest.mark.parametrize("dataset", [pushed(), performed(), discontinued()])
def test_what_peers_send_usually_passes(dataset: Any) -> None:
    require_sendable(from_dataset(dataset)[0])


def test_every_script_passes_and_numbers_may_be_strings() -> None:
    given: dict[str, Any] = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "\u5c71\u7530^\u592a\u90ce"}]},
        "00741204": {"vr": "LO", "Value": ["\U0001f600", None, ""]},
        "00280010": {"vr": "US", "Value": ["5"]},
        "00089459": {"vr": "FL", "Value": ["1.5"]},
        "00181041": {"vr": "DS", "Value": ["1.50", None]},
        "00741202": {"vr": "LO"},
    }
    require_sendable(given)
    sent = sendable(given)
    assert sent is not None
    assert (sent.Rows, sent[0x00089459].value) == (5, 1.5)


def test_what_cannot_be_sent_is_none_and_logged_once() -> None:
    assert sendable({"00280010": {"vr": "US", "Value": [70000]}}) is None
    over = PassedOver()
    with capture_logs() as logs:
        over.log("1.2")
        over.log("1.2")
    assert [line["sop_instance_uid"] for line in logs] == ["1.2"]
