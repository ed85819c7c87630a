from __future__ import annotations

import pytest
from pynetdicom.service_class_n import UnifiedProcedureStepServiceClass

from node.worklist.items.statuses import Status, UpsRefused


@pytest.mark.parametrize("status", Status)
def test_each_status_is_one_of_the_service_class_and_says_what_and_where(status):
    assert int(status) in UnifiedProcedureStepServiceClass.statuses
    category = UnifiedProcedureStepServiceClass.statuses[int(status)][0]
    assert status.failed == (category == "Failure")
    assert 0 < len(status.meaning) <= 64
    assert status.section.startswith("PS3.")


def test_a_refusal_names_the_attribute():
    refusal = UpsRefused(Status.MISSING_ATTRIBUTE, "ProcedureStepLabel")
    assert str(refusal) == "Missing Attribute: ProcedureStepLabel"
    assert refusal.status == 0x0120
