"""The section `[commitment]`."""

from __future__ import annotations

from pydantic import Field

from node.settings.base import Section


class Commitment(Section):
    """Storage commitment in both roles (PS3.4 Annex J): how long a report is waited for."""

    answer_seconds: float = Field(
        3600.0, gt=0.0,
        description="so long a receiver's report (storage commitment) is waited for; then a query finds out whether it "
        "keeps the results",
    )  # fmt: skip
    stay_seconds: float = Field(
        2.0, ge=0.0, le=60.0,
        description="the association of the request stays open so long for the report; receivers may report over their "
        "own at any time",
    )  # fmt: skip
    report_hours: float = Field(
        24.0, gt=0.0, description="a report on what the node keeps, that its sender did not take so long, is dropped"
    )
